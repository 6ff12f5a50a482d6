"""Planned groups through boto3: nobody is refused where alarms would come too late, groups that have nothing until a request comes, paused
warm pools, and `forebay why`.

`planner.py --full` repeats what is measured as often as docs/claims.md says."""

import asyncio
import json
import statistics
import subprocess
import sys
import time

from daemon import BINARY, Daemon, wait
from fleets import FLAGS, Fleet, add_image, sample_command
from load import Client
from scaling import Load, agent_command

FULL = "--full" in sys.argv
# What the instances of `from_zero` need until they listen, in seconds.
START_UP = 2.0


def tags(**settings):
    values = {"forebay:planner": "on", **{f"forebay:planner-{key.replace('_', '-')}": value for key, value in settings.items()}}
    return [{"Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in values.items()]


def queue(**settings):
    return {"Tags": [{"Key": f"forebay:{key.replace('_', '-')}", "Value": value} for key, value in settings.items()]}


def why(daemon, *args):
    done = subprocess.run([BINARY, "why", *args, "--admin", daemon.admin], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def nobody_is_refused(daemon, image, number):
    """The published reject experiment, with a queue and a planner in place of the alarm."""
    target = {"TargetControlPort": 3000, **queue(queue_length="100", queue_wait="10")}
    fleet = Fleet(daemon, image, name=f"queue-{number}", minimum=3, maximum=9, delay=30, target=target, Tags=tags())
    fleet.wait_serving(3)
    # Five requests of 0.8 s a second keep four of three instances busy.
    with Load(fleet, 5, (800, 800)) as load:
        began = time.monotonic()
        wait(lambda: len(fleet.instances()) > 3, lambda: f"the planner scales the group: {fleet.activities}", 30)
        grown = time.monotonic()
        wait(lambda: len(fleet.healthy()) > 3, "what was launched serves", 30)
        serving = time.monotonic()
        time.sleep(20 if FULL else 5)
        told = why(daemon, fleet.name)
        page = json.loads(why(daemon, fleet.name, "--json"))
    assert not load.failures(), load.failures()[:5]
    told_of = fleet.scaling.describe_scaling_activities(AutoScalingGroupName=fleet.name)["Activities"]
    causes = [one["Cause"] for one in told_of]
    assert any("the planner saw" in cause and "changing the desired capacity from 3 to" in cause for cause in causes), causes
    for word in ("arrivals", "slope", "service time", "headroom", "backlog", "order", "longest wait", "to a refusal", "needed slots ="):
        assert word in told, (word, told)
    flow = page["groups"][0]["target_groups"][0]
    assert 0.7 < flow["service_seconds"] < 1.0 and 3 < flow["arrivals_per_second"] < 8, flow
    assert flow["slots_of_one"] == 1, flow
    print(f"reject experiment with queue and planner: 0 of {len(load.met)} refused; ordered {grown - began:.1f} s after the load began, serving "
          f"{serving - grown:.1f} s later, {len(fleet.instances())} instances")
    fleet.delete()


async def ask(fleet, path="/"):
    client = Client(fleet.nodes[0], fleet.port)
    began = time.monotonic()
    status, _, _ = await client.request(path=path, timeout=60)
    took = time.monotonic() - began
    await client.close()
    return status, took


def emptied(fleet):
    """Nothing is in the group but what waits in its warm pool. A planner would keep an instance for the request that has just been there."""
    def switch(value):
        tag = {"ResourceId": fleet.name, "ResourceType": "auto-scaling-group", "Key": "forebay:planner", "Value": value, "PropagateAtLaunch": False}
        fleet.scaling.create_or_update_tags(Tags=[tag])
    switch("off")
    fleet.desire(0)
    gone = lambda: not fleet.described()["Instances"] and not fleet.healthy()
    wait(gone, lambda: f"the group has nothing: {fleet.activities}", 60)
    switch("on")


def ordered(fleet):
    """Sends a request; seconds until the group wanted something for it, and until the answer."""
    async def both():
        began = time.monotonic()
        asked = asyncio.ensure_future(ask(fleet))
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        while (await loop.run_in_executor(None, fleet.described))["DesiredCapacity"] == 0:
            assert time.monotonic() - began < 30, fleet.activities
        wanted = time.monotonic() - began
        return wanted, await asked
    return asyncio.run(both())


def from_zero(daemon, times):
    """A group that has nothing: the request waits for the first instance."""
    image = add_image(daemon, "slow-start", f"sleep {START_UP}; " + sample_command())
    fleet = Fleet(daemon, image, name="zero", minimum=0, maximum=3, delay=5, target=queue(concurrency="8", queue_length="100", queue_wait="30"),
                  Tags=tags())
    answers, orders = [], []
    for _ in range(times):
        emptied(fleet)
        wanted, (status, took) = ordered(fleet)
        assert status == 200, status
        answers.append(took)
        orders.append(wanted)
    over = statistics.median(answers) - START_UP
    print(f"from zero: first answers after {statistics.median(answers):.3f} s with a start-up of {START_UP} s, {over * 1000:.0f} ms more "
          f"(median of {times}, most {max(answers):.3f} s); ordered after {statistics.median(orders) * 1000:.0f} ms (most {max(orders) * 1000:.0f} ms)")
    assert over < 1, answers
    measured = lambda: json.loads(why(daemon, "zero", "--json"))["groups"][0]["start_up_seconds"]
    start_up = wait(measured, "the start-up is measured", 10)
    assert START_UP < start_up < START_UP + 1.5, start_up
    fleet.delete()


def from_warm_pool(daemon, image, times):
    """The same with an instance that is paused: it goes on at once."""
    fleet = Fleet(daemon, image, name="warm", minimum=0, maximum=3, delay=5, target=queue(concurrency="8", queue_length="100", queue_wait="30"),
                  Tags=tags())
    fleet.scaling.put_warm_pool(
        AutoScalingGroupName="warm", MinSize=1, MaxGroupPreparedCapacity=1, PoolState="Running", InstanceReusePolicy={"ReuseOnScaleIn": True},
    )
    def paused():
        pool = fleet.scaling.describe_warm_pool(AutoScalingGroupName="warm")["Instances"]
        return any(one["LifecycleState"] == "Warmed:Running" for one in pool)
    answers = []
    for _ in range(times):
        emptied(fleet)
        wait(paused, lambda: f"an instance is paused: {fleet.activities}", 30)
        status, took = asyncio.run(ask(fleet))
        assert status == 200, status
        answers.append(took)
    print(f"from a paused warm pool: first answers after {statistics.median(answers) * 1000:.0f} ms (median of {times}, most "
          f"{max(answers) * 1000:.0f} ms)")
    assert statistics.median(answers) < 1, answers
    fleet.delete()


def other_limits(daemon, image):
    """Learned limits, and groups without any: a tag says how many requests an instance is to have."""
    for name, target, own in [
        ("auto", queue(concurrency="auto", queue_length="200", queue_wait="30"), {}),
        ("plain", {}, {"in_flight": "2"}),
    ]:
        fleet = Fleet(daemon, image, name=name, minimum=1, maximum=4, delay=5, target=target, Tags=tags(start_up_seconds="1", **own))
        fleet.wait_serving(1)
        with Load(fleet, 30, (200, 400)) as load:
            grown = wait(lambda: len(fleet.healthy()) > 1 and fleet.healthy(), lambda: f"{name} grows: {why(daemon, name)}", 30)
        assert not load.failures(), load.failures()[:5]
        print(f"{name}: {len(grown)} instances for nine requests in flight; 0 of {len(load.met)} failed")
        fleet.delete()


def refused_tags(daemon):
    """A tag that says nothing is refused with a sentence; a group that is not planned is told to whoever asks why."""
    scaling = daemon.client("autoscaling")
    for key, value, said in [("forebay:planner", "yes", "'on', 'off' or 'dry-run'"), ("forebay:planer", "on", "did you mean")]:
        try:
            scaling.create_auto_scaling_group(AutoScalingGroupName="x", MinSize=0, MaxSize=1, Tags=[{"Key": key, "Value": value}])
        except scaling.exceptions.ClientError as error:
            assert said in str(error), error
        else:
            raise AssertionError(key)
    done = subprocess.run([BINARY, "why", "nothing", "--admin", daemon.admin], capture_output=True, text=True)
    assert done.returncode != 0 and "forebay:planner" in done.stderr, done


def main():
    with Daemon(pool="127.204.0.0/14", **FLAGS) as daemon:
        refused_tags(daemon)
        image = add_image(daemon, "limited", agent_command())
        for number in range(3 if FULL else 1):
            nobody_is_refused(daemon, image, number)
        from_zero(daemon, 10 if FULL else 1)
        image = add_image(daemon, "sample", sample_command())
        from_warm_pool(daemon, image, 10 if FULL else 2)
        other_limits(daemon, image)
        assert "panic" not in daemon.stderr(), daemon.stderr()[-2000:]
        daemon.stop()


if __name__ == "__main__":
    main()
