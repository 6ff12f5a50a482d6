"""kill -9 at a random moment of 1,000 API writes, many times: every acknowledged write is there, nothing is half there,
and traffic flows at once."""

import os
import random
import threading
import time

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, HTTPClientError
from daemon import Balancer, Daemon, Sample, get

ROUNDS = int(os.environ.get("FOREBAY_CRASH_ROUNDS", "20"))
WRITES = 1000


def write_until_dead(daemon, vpc, acknowledged, deleted, number):
    """Makes target groups with a tag and an attribute, deletes some; notes what was acknowledged."""
    elb = daemon.client("elbv2")
    for index in range(WRITES // 4):
        name = f"t{number}-{index}-{random.getrandbits(20):x}"
        try:
            made = elb.create_target_group(
                Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", Tags=[{"Key": "n", "Value": name}]
            )["TargetGroups"][0]["TargetGroupArn"]
            acknowledged[made] = {"name": name, "delay": "300", "targets": set()}
            attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(index % 3600)}
            # Until the answer comes, either value may be there.
            acknowledged[made]["delay"] = None
            elb.modify_target_group_attributes(TargetGroupArn=made, Attributes=[attribute])
            acknowledged[made]["delay"] = attribute["Value"]
            elb.register_targets(TargetGroupArn=made, Targets=[{"Id": "172.31.0.11"}, {"Id": "172.31.0.12"}])
            acknowledged[made]["targets"] = {"172.31.0.11", "172.31.0.12"}
            if index % 3 == 0:
                record = acknowledged.pop(made)
                elb.delete_target_group(TargetGroupArn=made)
                deleted.add(record["name"])
        except (EndpointConnectionError, ConnectionClosedError, HTTPClientError):
            return  # it was killed meanwhile


def check(daemon, acknowledged, deleted):
    elb = daemon.client("elbv2")
    groups = {}
    for page in elb.get_paginator("describe_target_groups").paginate():
        groups.update((group["TargetGroupArn"], group) for group in page["TargetGroups"])
    names = {group["TargetGroupName"] for group in groups.values()}
    assert not names & deleted, f"deleted groups are back: {names & deleted}"
    for arn, record in acknowledged.items():
        assert arn in groups, f"{record['name']} was acknowledged and is gone"
    for arn, group in groups.items():
        # Whole, acknowledged or not: a group that is there has its tag, attributes and all or none of its targets.
        attributes = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        delay = next(a["Value"] for a in attributes if a["Key"] == "deregistration_delay.timeout_seconds")
        health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        targets = {description["Target"]["Id"] for description in health}
        if group["TargetGroupName"] == "crash":
            continue
        tags = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
        assert tags == [{"Key": "n", "Value": group["TargetGroupName"]}], tags
        assert targets in (set(), {"172.31.0.11", "172.31.0.12"}), targets
        record = acknowledged.get(arn)
        if record:
            assert record["delay"] in (None, delay), (record, delay)
            assert targets >= record["targets"], (record, targets)


def main():
    random.seed(os.environ.get("FOREBAY_SEED", "1"))
    # Quotas bound what one store holds, so each few rounds begin afresh.
    with Sample("steady", listen="127.0.0.1:0") as sample:
        acknowledged, deleted = {}, set()
        daemon = Daemon(pool="127.128.0.0/14")
        with daemon:
            vpc = daemon.client("ec2").describe_subnets()["Subnets"][0]["VpcId"]
            balancer = Balancer(daemon, name="crash")
            balancer.register(sample)
            balancer.wait_healthy(sample)
            for number in range(ROUNDS):
                writers = [
                    threading.Thread(target=write_until_dead, args=(daemon, vpc, acknowledged, deleted, f"{number}-{w}"))
                    for w in range(4)
                ]
                for writer in writers:
                    writer.start()
                # Not a wait for something: the random moment itself.
                time.sleep(random.uniform(0.05, 1.5))
                daemon.kill()
                for writer in writers:
                    writer.join()
                daemon.start()
                # Traffic flows before any API call.
                for node in balancer.nodes:
                    status, headers, _ = get(node, balancer.port)
                    assert (status, headers["x-target"]) == (200, "steady"), (status, headers)
                check(daemon, acknowledged, deleted)
                print(f"round {number + 1}: {len(acknowledged)} groups kept, {len(deleted)} deleted, all as acknowledged")
                if len(acknowledged) > 400:
                    elb = daemon.client("elbv2")
                    for arn in list(acknowledged):
                        elb.delete_target_group(TargetGroupArn=arn)
                        deleted.add(acknowledged.pop(arn)["name"])
            daemon.stop()
    print("crash: good")


if __name__ == "__main__":
    main()
