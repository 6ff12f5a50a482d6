"""Nodes at addresses of this machine, reached from another one; four zones; dualstack through a pool on loopback; pools that overlap."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request

import botocore.exceptions

from daemon import BINARY, Daemon, free_port
from exposed import HERE, curl, ip, other_machine

POOL = "127.104.0.0/14"
# One of its own for each run.
POOL6 = f"fd00:f0:{os.getpid() % 65536:x}::/64"
# No suite that runs beside this one has it at an address that all share.
PORT = free_port()
# For nodes in local-1a and local-1b.
GIVEN = {"a": ["198.51.100.11", "198.51.100.12", "2001:db8:5::11"], "b": ["198.51.100.21", "2001:db8:5::21"]}
NODES = f"local-1a={','.join(GIVEN['a'])} local-1b={GIVEN['b'][0]},[{GIVEN['b'][1]}]"


def refused(directory, *flags):
    """What a Forebay says that does not start."""
    command = [BINARY, "up", "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", str(directory), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0, (flags, done.stdout)
    return done.stderr


def make(daemon, name, subnets, kind="dualstack"):
    """A load balancer that says its own name."""
    elb = daemon.client("elbv2")
    arn = elb.create_load_balancer(Name=name, Subnets=subnets, IpAddressType=kind)["LoadBalancers"][0]["LoadBalancerArn"]
    says = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": name}}
    elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=PORT, DefaultActions=[says])


def nodes(daemon, name):
    """Its name in DNS, and its nodes' addresses by the letter of their zone."""
    told = daemon.client("elbv2").describe_load_balancers(Names=[name])["LoadBalancers"][0]
    zones = {zone["ZoneName"][-1]: zone["LoadBalancerAddresses"][0] for zone in told["AvailabilityZones"]}
    return told["DNSName"], {letter: (one["IpAddress"], one.get("IPv6Address")) for letter, one in zones.items()}


def here(address):
    """What this machine gets there."""
    place = f"[{address}]" if ":" in address else address
    return urllib.request.urlopen(f"http://{place}:{PORT}/", timeout=10).read().decode()


def given_addresses(directory, near):
    for address in [*GIVEN["a"], *GIVEN["b"]]:
        ip("address", "add", f"{address}/{64 if ':' in address else 24}", "dev", near, *(["nodad"] if ":" in address else []))
    with Daemon(directory, pool=POOL, zones=4, node_addresses=NODES, expose="0.0.0.0,[::]", log="info") as daemon:
        ec2 = daemon.client("ec2")
        assert len(ec2.describe_availability_zones()["AvailabilityZones"]) == 4
        subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])
        subnets = [subnet["SubnetId"] for subnet in subnets]
        assert len(subnets) == 4, subnets
        make(daemon, "one", subnets[:2])
        make(daemon, "two", [subnets[0], *subnets[2:]], "ipv4")
        one, two = nodes(daemon, "one")[1], nodes(daemon, "two")[1]
        assert one == {"a": (GIVEN["a"][0], GIVEN["a"][2]), "b": tuple(GIVEN["b"])}, one
        assert two["a"] == (GIVEN["a"][1], None) and two["d"][0].startswith("127.104."), two
        interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
        assert {GIVEN["a"][2], GIVEN["b"][1]} == {one["Ipv6Address"] for nic in interfaces for one in nic["Ipv6Addresses"]}, interfaces
        # At its own addresses each is alone, whatever is asked for; at the others of the machine the oldest has what names none.
        for address in [*one["a"], *one["b"]]:
            assert curl(f"http://any.example:{PORT}/", address) == (200, "one"), address
        assert curl(f"http://any.example:{PORT}/", two["a"][0]) == (200, "two")
        assert here(two["d"][0]) == "two"
        for address in HERE:
            assert curl(f"http://any.example:{PORT}/", address) == (200, "one"), address
            assert curl(f"http://{nodes(daemon, 'two')[0]}:{PORT}/", address) == (200, "two"), address
        try:
            make(daemon, "three", subnets, "ipv4")
            raise AssertionError("there was an address left")
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidSubnet" and "--node-addresses local-1a=" in str(error), error
        with urllib.request.urlopen(f"{daemon.admin}/health") as page:
            told = json.load(page)
        assert not told["listeners_not_bound"], told
        said = daemon.stderr()
        assert "load balancers will be reached at 0.0.0.0, ::" in said and f"exposed at 0.0.0.0:{PORT}: app/one/" in said, said
        daemon.stop()
        return nodes_of(one)


def nodes_of(zones):
    return [address for pair in zones.values() for address in pair if address]


def pools(directory):
    """The same data directory: nodes move to a pool of IPv6 on loopback, and nobody else may have a part of either pool."""
    both = ["--address-pool", POOL, "--address-pool", POOL6]
    said = refused(directory, *both)
    assert f"ip -6 route add local {POOL6} dev lo" in said, said
    said = refused(directory, "--zones", "3")
    assert "--zones 3" in said and "local-1d has load balancer two" in said, said
    ip("-6", "route", "add", "local", POOL6, "dev", "lo")
    try:
        with Daemon(directory, pool=f"{POOL},{POOL6}") as daemon:
            one = nodes(daemon, "one")[1]
            assert all(four.startswith("127.10") and six.startswith("fd00:f0:") for four, six in one.values()), one
            for address in nodes_of(one):
                assert here(address) == "one", address
            elb = daemon.client("elbv2")
            arn = elb.describe_load_balancers(Names=["one"])["LoadBalancers"][0]["LoadBalancerArn"]
            elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")
            assert [six for _, six in nodes(daemon, "one")[1].values()] == [None, None]
            gone = next(iter(one.values()))[1]
            with contextlib.suppress(OSError):
                raise AssertionError(f"{here(gone)} is at {gone} still")
            with urllib.request.urlopen(f"{daemon.admin}/health") as page:
                told = json.load(page)
            assert not told["listeners_not_bound"], told
            with tempfile.TemporaryDirectory() as other:
                for pool in ("127.105.0.0/16", "127.104.0.0/13", POOL6):
                    said = refused(other, "--address-pool", pool, *(["--address-pool", "127.88.0.0/14"] if ":" in pool else []))
                    for part in (f"overlaps {POOL6 if ':' in pool else POOL}", f"process {daemon.process.pid}", str(directory), "another --address-pool"):
                        assert part in said, (part, said)
                # What does not overlap starts beside it.
                with Daemon(pool="127.88.0.0/14") as beside:
                    beside.stop()
            daemon.stop()
    finally:
        ip("-6", "route", "del", "local", POOL6, "dev", "lo")


def main():
    if os.geteuid() != 0:
        print("node addresses: another machine needs root, for a network namespace")
        return
    with tempfile.TemporaryDirectory() as directory:
        with other_machine() as near:
            given = given_addresses(directory, near)
        pools(directory)
    print(f"node addresses: nodes at {', '.join(given)}, and at {POOL6}")


if __name__ == "__main__":
    sys.exit(main())
