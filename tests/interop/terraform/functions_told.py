"""What the APIs tell of functions and of what invokes them, against functions/main.tf."""

import base64
import hashlib
import json
import pathlib


def assert_functions(daemon, second, archives):
    """The API tells of functions and of what invokes them what the configuration says."""
    client = daemon.client("lambda", region="eu-north-1")
    told = client.get_function(FunctionName="functions-web")
    function, reserved = told["Configuration"], told["Concurrency"]["ReservedConcurrentExecutions"]
    found = tuple(function[name] for name in ("Timeout", "MemorySize", "Description")) + (reserved,)
    assert found == ((20, 512, "Answers, changed", 7) if second else (10, 256, "Answers", 5)), told
    code = hashlib.sha256(pathlib.Path(archives[second]).read_bytes()).digest()
    assert function["CodeSha256"] == base64.b64encode(code).decode() and function["Handler"] == "index.handler", told
    variables = {"GREETING": "hello again", "NEW": "yes"} if second else {"GREETING": "hello", "OLD": "yes"}
    assert function["Environment"]["Variables"] == variables, told
    assert function["DeadLetterConfig"]["TargetArn"].endswith(":functions-failed"), told
    changed = {"Changed": "yes" if second else "no"}
    assert told["Tags"] == {"Suite": "functions", **changed, ("New" if second else "Old"): "yes"}, told
    statements = json.loads(client.get_policy(FunctionName="functions-web")["Policy"])["Statement"]
    [everyone] = (statement for statement in statements if statement["Principal"] == "*")
    assert everyone["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-functions0"}}, everyone
    statements.remove(everyone)
    permitted = {statement["Principal"]["Service"].split(".")[0]: statement["Condition"]["ArnLike"]["AWS:SourceArn"] for statement in statements}
    assert set(permitted) == {"elasticloadbalancing", "events"} and permitted["events"].endswith(":rule/functions-minutes"), statements
    [mapping] = client.list_event_source_mappings(FunctionName="functions-web")["EventSourceMappings"]
    found = (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"], mapping["ScalingConfig"]["MaximumConcurrency"], mapping["State"])
    assert found == ((200, 10, 4, "Disabled") if second else (100, 5, 2, "Enabled")), mapping
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"] and mapping["EventSourceArn"].endswith(":functions-work"), mapping
    tags = client.list_tags(Resource=mapping["EventSourceMappingArn"])["Tags"]
    assert tags == {"Suite": "functions", **changed}, tags
    assert_least(client, second)
    assert_function_is_target(daemon, second, function["FunctionArn"], permitted["elasticloadbalancing"])
    assert_schedules(daemon, second, function["FunctionArn"])
    assert_rules(daemon, second, function["FunctionArn"])


def assert_least(client, second):
    """What the second configuration says no more has its default."""
    told = client.get_function(FunctionName="functions-least")
    least, reserved = told["Configuration"], told.get("Concurrency", {}).get("ReservedConcurrentExecutions")
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG" if second else "INFO", "SystemLogLevel": "WARN", "LogGroup": "/aws/lambda/functions-least"}
    assert least["LoggingConfig"] == logging and least["Architectures"] == ["arm64"] and least["Runtime"] == "provided.al2023", least
    found = (least["Description"], least["Timeout"], least["MemorySize"], least["TracingConfig"]["Mode"], least["EphemeralStorage"]["Size"], reserved)
    assert found == (("", 3, 128, "PassThrough", 512, None) if second else ("With everything", 10, 256, "Active", 1024, 0)), told
    assert ("Environment" in least, "DeadLetterConfig" in least) == (not second, not second), least
    [mapping] = client.list_event_source_mappings(FunctionName="functions-least")["EventSourceMappings"]
    found = (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"], len(mapping["FunctionResponseTypes"]), "ScalingConfig" in mapping)
    assert found == ((10, 0, 0, False) if second else (5, 1, 1, True)) and mapping["State"] == "Disabled", mapping


def assert_function_is_target(daemon, second, function, group):
    """The load balancer forwards to the function."""
    elb = daemon.client("elbv2", region="eu-north-1")
    [found] = elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    health = (found["HealthCheckPath"], found["HealthCheckIntervalSeconds"], found["HealthCheckTimeoutSeconds"], found["Matcher"]["HttpCode"])
    assert health == (("/healthy", 60, 25, "200-299") if second else ("/health", 40, 35, "200")), found
    attributes = {one["Key"]: one["Value"] for one in elb.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]}
    assert attributes["lambda.multi_value_headers.enabled"] == ("true" if second else "false"), attributes
    targets = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    assert [target["Target"]["Id"] for target in targets] == [function], targets
    [balancer] = elb.describe_load_balancers(Names=["functions"])["LoadBalancers"]
    [listener] = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    [rule] = (rule for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"] if not rule["IsDefault"])
    paths = ["/web/*", "/app/*"] if second else ["/web/*"]
    assert rule["Actions"][0]["TargetGroupArn"] == group and sorted(rule["Conditions"][0]["Values"]) == sorted(paths), rule


def assert_schedules(daemon, second, function):
    """Schedules are as the configuration has them."""
    client = daemon.client("scheduler", region="eu-north-1")
    capacity = client.get_schedule(GroupName="functions", Name="capacity")
    found = tuple(capacity[name] for name in ("ScheduleExpression", "ScheduleExpressionTimezone", "State"))
    wanted = ("cron(30 7 ? * MON-FRI *)", "Europe/Berlin", "DISABLED") if second else ("cron(0 8 ? * MON-FRI *)", "Europe/Stockholm", "ENABLED")
    assert found == wanted, capacity
    assert capacity["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30 if second else 15}, capacity
    target = capacity["Target"]
    age, attempts = (600, 2) if second else (3600, 10)
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": age, "MaximumRetryAttempts": attempts}, capacity
    assert json.loads(target["Input"])["MinimumLoadBalancerCapacity"] == {"CapacityUnits": 300 if second else 200}, capacity
    assert target["DeadLetterConfig"]["Arn"].endswith(":functions-failed"), capacity
    schedule = client.get_schedule(Name="function")
    assert schedule["GroupName"] == "default" and schedule["ScheduleExpression"] == f"rate({2 if second else 1} hours)", schedule
    assert schedule["Target"]["Arn"] == function and schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}, schedule
    assert ("Description" in schedule, "Input" in schedule["Target"], "DeadLetterConfig" in schedule["Target"]) == (not second,) * 3, schedule
    assert (schedule["StartDate"].year, schedule["EndDate"].year) == (2100, 2102 if second else 2101), schedule
    group = client.get_schedule_group(Name="functions")["Arn"]
    tags = {tag["Key"]: tag["Value"] for tag in client.list_tags_for_resource(ResourceArn=group)["Tags"]}
    assert tags == {"Suite": "functions", "Changed": "yes" if second else "no"}, tags


def assert_rules(daemon, second, function):
    """Rules and their targets are as the configuration has them."""
    client = daemon.client("events", region="eu-north-1")
    rule = client.describe_rule(Name="functions-minutes")
    assert rule["ScheduleExpression"] == ("rate(3 hours)" if second else "rate(90 minutes)") and rule["State"] == "ENABLED", rule
    tags = {tag["Key"]: tag["Value"] for tag in client.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]}
    assert tags == {"Suite": "functions", "Changed": "yes" if second else "no"}, tags
    [nightly] = client.list_rules(NamePrefix="functions-nightly-")["Rules"]
    wanted = ("cron(30 2 * * ? *)", "DISABLED") if second else ("cron(0 2 * * ? *)", "ENABLED")
    assert (nightly["ScheduleExpression"], nightly["State"]) == wanted, nightly
    targets = {target["Id"]: target for target in client.list_targets_by_rule(Rule="functions-minutes")["Targets"]}
    calls = targets.pop("function")
    assert calls["Arn"] == function and json.loads(calls["Input"]) == {"from": "rule, changed" if second else "rule"}, calls
    assert calls["RetryPolicy"] == {"MaximumEventAgeInSeconds": 600, "MaximumRetryAttempts": 3 if second else 4}, calls
    [sends] = targets.values()
    paths = {"at": "$.time", "of": "$.resources[0]"} if second else {"at": "$.time"}
    assert sends["InputTransformer"]["InputPathsMap"] == paths and sends["Arn"].endswith(":functions-failed"), sends
    [target] = client.list_targets_by_rule(Rule=nightly["Name"])["Targets"]
    assert target["InputPath"] == ("$.detail" if second else "$.time") and ("DeadLetterConfig" in target) == (not second), target
    assert ("Description" in nightly) == (not second), nightly


def assert_no_functions(daemon, path):
    """No function is left, and nothing that would invoke one."""
    of = lambda service: daemon.client(service, region="eu-north-1")
    lambdas, scheduler, events = of("lambda"), of("scheduler"), of("events")
    left = [lambdas.list_functions()["Functions"], lambdas.list_event_source_mappings()["EventSourceMappings"], scheduler.list_schedules()["Schedules"],
            [group for group in scheduler.list_schedule_groups()["ScheduleGroups"] if group["Name"] != "default"], events.list_rules()["Rules"],
            of("sqs").list_queues().get("QueueUrls"), daemon.client("iam").list_roles(PathPrefix=path)["Roles"]]
    assert not any(left), left
