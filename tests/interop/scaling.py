"""Groups of real instances through boto3: the published reject-alarm experiment, scale-in without a failed request, policies and hooks.

`scaling.py --full` runs the alarm with periods of a minute and the termination of 100 instances."""

import asyncio
import random
import sys
import threading
import time

from daemon import Daemon, wait
from fleets import FLAGS, Fleet, add_image, sample_command, stage_binary
from load import Client

FULL = "--full" in sys.argv


class Load:
    """Requests on connections of their own, at even times, whatever becomes of those before; and what became of each."""

    def __init__(self, fleet, rate, delay):
        self.fleet, self.rate, self.delay = fleet, rate, delay
        self.met, self.stopping = [], False

    async def one(self, node):
        client = Client(node, self.fleet.port)
        began = time.monotonic()
        low, high = self.delay
        try:
            status, _, _ = await client.request(path=f"/?delay={random.randint(low, high)}", timeout=60)
        except Exception as error:  # noqa: BLE001: whatever it was, the request failed
            status = repr(error)
        await client.close()
        self.met.append((began, status))

    async def run(self):
        began, sent, tasks = time.monotonic(), 0, set()
        while not self.stopping:
            while sent < (time.monotonic() - began) * self.rate:
                task = asyncio.ensure_future(self.one(self.fleet.nodes[sent % len(self.fleet.nodes)]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                sent += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)

    def __enter__(self):
        self.thread = threading.Thread(target=asyncio.run, args=(self.run(),))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()

    def failures(self, since=0.0):
        return [(at, status) for at, status in self.met if status != 200 and at >= since]

    def around(self, failures):
        """All requests that began around these: whether they came at even times, as they should."""
        first, last = (pick(at for at, _ in failures) for pick in (min, max))
        return [(round(at - first, 3), status) for at, status in sorted(self.met) if first - 3 <= at <= last + 1]


def agent_command():
    """The application and, beside it, the agent that lets one request at a time through to it."""
    forebay = stage_binary()
    return (
        f"{forebay} sample-target --listen $FOREBAY_ADDRESS:9000 --name $INSTANCE_ID & "
        f"exec {forebay} --log error agent --data-address $FOREBAY_ADDRESS:$PORT --control-address $FOREBAY_ADDRESS:3000 "
        "--destination-address $FOREBAY_ADDRESS:9000 --max-concurrency 1"
    )


def reject_alarm(daemon):
    """Limit 1, three instances, no queue, more load than they can take: rejects raise an alarm, the alarm scales the group, rejects end."""
    period = 60 if FULL else 10
    image = add_image(daemon, "limited", agent_command())
    target = {"TargetControlPort": 3000, "Tags": [{"Key": "forebay:queue-length", "Value": "0"}]}
    fleet = Fleet(daemon, image, name="reject", minimum=3, maximum=9, delay=30, DefaultInstanceWarmup=0, target=target)
    fleet.wait_serving(3)
    arn = fleet.policy(
        "out", PolicyType="StepScaling", AdjustmentType="ChangeInCapacity", EstimatedInstanceWarmup=0,
        StepAdjustments=[{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 3}],
    )
    # AWS has this metric by load balancer.
    dimensions = [{"Name": "LoadBalancer", "Value": fleet.dimension(fleet.balancer)}]
    fleet.watch.put_metric_alarm(
        AlarmName="rejects", Namespace="AWS/ApplicationELB", MetricName="TargetControlRequestRejectCount", Dimensions=dimensions,
        Statistic="Sum", Period=period, EvaluationPeriods=1, Threshold=0, ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching", AlarmActions=[arn],
    )
    # Five requests of 0.8 s a second keep four of three instances busy.
    with Load(fleet, 5, (800, 800)) as load:
        began = time.monotonic()
        wait(load.failures, "requests are refused", 30)
        refused = time.monotonic()
        wait(lambda: len(fleet.instances()) > 3, lambda: f"the alarm scales the group: {fleet.activities}", period + 25)
        grown = time.monotonic()
        wait(lambda: len(fleet.healthy()) >= 6, "what was launched serves", 30)
        # With six, four are busy: nobody is refused any more.
        serving = time.monotonic()
        time.sleep(20)
        late = load.failures(serving + 1)
    refusals = load.failures()
    assert {status for _, status in refusals} == {503}, refusals[:5]
    assert not late, (
        f"{late[:5]}, {serving - began:.1f} s after the beginning at {began:.1f}; around them {load.around(late)}; {daemon.stderr()[-3000:]}"
    )
    told = fleet.watch.describe_alarm_history(AlarmName="rejects", HistoryItemType="Action")["AlarmHistoryItems"]
    assert any("Successfully executed" in item["HistorySummary"] for item in told), told
    print(f"reject-alarm: {len(refusals)} of {len(load.met)} refused; first refusal after {refused - began:.1f} s, group grown "
          f"{grown - refused:.1f} s later, serving {serving - grown:.1f} s after that; none refused in the 20 s after it ({period} s periods)")
    fleet.delete()


def terminations(daemon, count, at_a_time):
    """Instances are terminated under load, and replaced, without a failed request."""
    image = add_image(daemon, "plain", sample_command())
    fleet = Fleet(daemon, image, name="ends", minimum=10, maximum=30, delay=30)
    fleet.wait_serving(10)
    rate, ended = (200 if FULL else 60), 0
    with Load(fleet, rate, (100, 2000)) as load:
        wait(lambda: len(load.met) > rate, "requests are answered", 30)
        while ended < count:
            victims = wait(lambda: sorted(set(fleet.instances()) & fleet.healthy())[:at_a_time], "some serve", 60)
            if len(victims) < at_a_time:
                time.sleep(0.1)
                continue
            for id in victims:
                fleet.scaling.terminate_instance_in_auto_scaling_group(InstanceId=id, ShouldDecrementDesiredCapacity=False)
            ended += len(victims)
            wait(lambda: len(set(fleet.instances()) & fleet.healthy()) >= 10, lambda: f"they are replaced: {fleet.activities}", 60)
    failures = load.failures()
    assert not failures, failures[:5]
    print(f"terminations: {ended} instances, {at_a_time} at a time, under {rate} requests a second of 0.1 to 2 s: 0 of {len(load.met)} failed")
    fleet.delete()


def main():
    with Daemon(pool="127.200.0.0/14", **FLAGS) as daemon:
        reject_alarm(daemon)
        terminations(daemon, *((100, 5) if FULL else (10, 5)))
        left = wait(lambda: not list((daemon.directory / "instances").glob("i-*")) and "nothing", "nothing is left of instances", 60)
        assert left
        assert "panic" not in daemon.stderr(), daemon.stderr()[-2000:]
        daemon.stop()
    print("scaling: passed")


if __name__ == "__main__":
    sys.exit(main())
