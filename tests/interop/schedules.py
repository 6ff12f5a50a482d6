"""EventBridge Scheduler and scheduled rules with boto3: a capacity reservation is set and reset at the second by universal targets, rules
and schedules send to queues and put datapoints, what fails goes to its dead-letter queue, and what was missed runs once, or not at all."""

import datetime
import json
import subprocess
import time

from botocore.exceptions import ClientError
from daemon import BINARY, Daemon, bound, wait

ROLE = "arn:aws:iam::000000000000:role/schedules"
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"
OFF = {"Mode": "OFF"}


def at(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("at(%Y-%m-%dT%H:%M:%S)")


def told(daemon, name):
    """What `forebay schedules` says of one."""
    done = subprocess.run([BINARY, "schedules", name, "--json", "--admin", daemon.admin], capture_output=True, text=True)
    return json.loads(done.stdout)["schedules"] if done.returncode == 0 else []


def runs(daemon, name):
    return [run for schedule in told(daemon, name) for run in schedule["runs"]]


def error(call, **arguments):
    try:
        call(**arguments)
    except ClientError as raised:
        return raised.response["Error"]["Code"], raised.response["Error"]["Message"]
    raise AssertionError(f"no error: {arguments}")


def reservation(daemon):
    """Set an instant before an event and reset after it, without code. Seen by asking all the time."""
    elb, ec2, scheduler = daemon.client("elbv2"), daemon.client("ec2"), daemon.client("scheduler")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    arn = elb.create_load_balancer(Name="event", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    begin = int(time.time()) + 4
    inputs = {
        "set": {"LoadBalancerArn": arn, "MinimumLoadBalancerCapacity": {"CapacityUnits": 500}},
        "reset": {"LoadBalancerArn": arn, "ResetCapacityReservation": True},
    }
    for name, when in (("set", begin), ("reset", begin + 3)):
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression=at(when),
            FlexibleTimeWindow=OFF,
            Target={"Arn": UNIVERSAL + "elasticloadbalancingv2:modifyCapacityReservation", "RoleArn": ROLE, "Input": json.dumps(inputs[name])},
        )

    def units():
        answer = elb.describe_capacity_reservation(LoadBalancerArn=arn)
        return answer.get("MinimumLoadBalancerCapacity", {}).get("CapacityUnits")

    seen = {}
    assert units() is None
    wait(lambda: units() == 500, "the reservation is set", 10)
    seen["set"] = time.time() - begin
    wait(lambda: units() is None, "the reservation is reset", 10)
    seen["reset"] = time.time() - begin - 3
    for name in inputs:
        run = runs(daemon, f"default/{name}")[0]
        assert run["status"] == "ok" and run["scheduled"] == run["begun"], run
    # "At the second": within the one in which it is due.
    for name, late in seen.items():
        assert late >= 0, seen
        bound(late, 1, f"seconds after its time until the reservation is {name}")
    elb.delete_load_balancer(LoadBalancerArn=arn)
    for name in inputs:
        scheduler.delete_schedule(Name=name)
    return seen


def refusals(daemon):
    scheduler, events = daemon.client("scheduler"), daemon.client("events")
    target = {"Arn": UNIVERSAL + "ec2:describeInstances", "RoleArn": ROLE}
    make = {"Name": "no", "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF}
    assert error(scheduler.create_schedule, **make, Target=target)[0] == "ValidationException"
    code, message = error(scheduler.create_schedule, **make, Target=target | {"Arn": UNIVERSAL + "sns:publish"})
    assert code == "ValidationException" and "sns" in message, message
    code, message = error(scheduler.create_schedule, **make | {"ScheduleExpression": "cron(0 0 * * * *)"}, Target=target)
    assert code == "ValidationException" and "cron(0 0 * * * *)" in message, message
    assert error(scheduler.get_schedule, Name="no")[0] == "ResourceNotFoundException"
    assert error(events.put_rule, Name="no", ScheduleExpression="at(2030-01-01T00:00:00)")[0] == "ValidationException"
    assert error(events.put_rule, Name="no", EventPattern="{}")[0] == "InvalidEventPatternException"


def targets(daemon):
    """A queue by a schedule and by universal targets, metrics, another schedule's deletion; and a failure's dead letter."""
    scheduler, sqs, cloudwatch = (daemon.client(name) for name in ("scheduler", "sqs", "cloudwatch"))
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn, dead_arn = (sqs.get_queue_attributes(QueueUrl=of, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"] for of in (url, dead))
    when = at(time.time() + 3)

    def make(name, target, given, **more):
        target = {"Arn": target, "RoleArn": ROLE, "Input": given} | more
        scheduler.create_schedule(Name=name, ScheduleExpression=when, FlexibleTimeWindow=OFF, Target=target, ActionAfterCompletion="DELETE")

    make("queue", arn, "<aws.scheduler.schedule-arn> at <aws.scheduler.scheduled-time> by <aws.scheduler.attempt-number>")
    make("universal", UNIVERSAL + "sqs:sendMessage", json.dumps({"QueueUrl": url, "MessageBody": "by its API"}))
    data = {"Namespace": "Schedules", "MetricData": [{"MetricName": "Runs", "Value": 7}]}
    make("metric", UNIVERSAL + "cloudwatch:putMetricData", json.dumps(data))
    wrong = json.dumps({"LoadBalancerArn": "arn:aws:elasticloadbalancing:local-1:000000000000:loadbalancer/app/none/1"})
    make("wrong", UNIVERSAL + "elasticloadbalancingv2:deleteListener", json.dumps({"ListenerArn": "arn:aws:elasticloadbalancing:local-1:000000000000:listener/app/none/0123456789abcdef/0123456789abcdef"}),
         DeadLetterConfig={"Arn": dead_arn})
    assert error(scheduler.create_schedule, Name="x", ScheduleExpression=when, FlexibleTimeWindow=OFF,
                 Target={"Arn": UNIVERSAL + "elasticloadbalancingv2:deleteTargetGroup", "RoleArn": ROLE, "Input": wrong})[0] == "ValidationException"
    bodies = []

    def came():
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            bodies.append(message["Body"])
        return len(bodies) >= 2

    wait(came, "both messages come", 15)
    assert "by its API" in bodies and any(":schedule/default/queue at 20" in body and body.endswith("by 1") for body in bodies), bodies

    def letter():
        return sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["All"], WaitTimeSeconds=1).get("Messages")

    [message] = wait(letter, "the dead letter comes", 15)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "ListenerNotFound" and attributes["TARGET_ARN"].endswith("deleteListener"), attributes

    def put():
        now = datetime.datetime.now(datetime.timezone.utc)
        query = {"Namespace": "Schedules", "MetricName": "Runs", "Period": 60, "Statistics": ["Sum"]}
        found = cloudwatch.get_metric_statistics(StartTime=now - datetime.timedelta(minutes=5), EndTime=now + datetime.timedelta(minutes=1), **query)
        return sum(point["Sum"] for point in found["Datapoints"]) == 7

    wait(put, "the metric is put", 15)
    # All were to be deleted when they had run.
    wait(lambda: not scheduler.list_schedules()["Schedules"], "schedules that are over go", 15)


def rules(daemon):
    """A rule's rate begins when its interval has passed once; each target gets the event, or what is made of it."""
    events, sqs = daemon.client("events"), daemon.client("sqs")
    url = sqs.create_queue(QueueName="rule")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    begun = time.time()
    rule = events.put_rule(Name="each", ScheduleExpression="rate(1 minute)", Tags=[{"Key": "a", "Value": "b"}])["RuleArn"]
    transformer = {"InputPathsMap": {"time": "$.time"}, "InputTemplate": '"at <time>"'}
    made = events.put_targets(Rule="each", Targets=[{"Id": "event", "Arn": arn}, {"Id": "made", "Arn": arn, "InputTransformer": transformer}])
    assert made["FailedEntryCount"] == 0, made
    assert events.list_tags_for_resource(ResourceARN=rule)["Tags"] == [{"Key": "a", "Value": "b"}]
    return url, rule, begun


def rule_ran(daemon, url, rule, begun):
    sqs, events, bodies = daemon.client("sqs"), daemon.client("events"), []

    def came():
        bodies.extend(message["Body"] for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []))
        return len(bodies) >= 2

    wait(came, "a rule runs", 75)
    assert time.time() - begun >= 60
    event = next(json.loads(body) for body in bodies if body.startswith("{"))
    assert event["detail-type"] == "Scheduled Event" and event["resources"] == [rule] and event["source"] == "aws.events", event
    assert f'"at {event["time"]}"' in bodies, bodies
    events.remove_targets(Rule="each", Ids=["event", "made"])
    events.delete_rule(Name="each")


def missed(catch_up, expected):
    """What was due while nobody was there: the latest run of each, or none."""
    with Daemon(pool="127.24.0.0/16", missed_runs=catch_up) as daemon:
        sqs, scheduler = daemon.client("sqs"), daemon.client("scheduler")
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        scheduler.create_schedule(Name="once", ScheduleExpression=at(time.time() + 2), FlexibleTimeWindow=OFF, Target={"Arn": arn, "RoleArn": ROLE})
        daemon.stop()
        time.sleep(3)
        daemon.start()
        sqs = daemon.client("sqs")
        # Less than a minute late is on time, whatever is said of missed runs.
        wait(lambda: sqs.receive_message(QueueUrl=daemon.api + "/000000000000/work", WaitTimeSeconds=1).get("Messages"), "a late run happens", 20)
        assert runs(daemon, "once")[0]["status"] == "ok"
        daemon.stop()


def main():
    with Daemon(pool="127.24.0.0/16") as daemon:
        rule = rules(daemon)
        seen = reservation(daemon)
        refusals(daemon)
        targets(daemon)
        shown = subprocess.run([BINARY, "schedules", "--runs", "--admin", daemon.admin], capture_output=True, text=True)
        assert shown.returncode == 0 and "rate(1 minute)" in shown.stdout, shown
        rule_ran(daemon, *rule)
        daemon.stop()
    missed("skip", 0)
    late = ", ".join(f"{name} {late:.3f} s" for name, late in seen.items())
    print(f"schedules: a capacity reservation by universal targets, after its second: {late}")


if __name__ == "__main__":
    main()
