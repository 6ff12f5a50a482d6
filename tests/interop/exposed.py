"""Load balancers as another machine reaches them: a network namespace of its own, joined by a pair of virtual cables."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

import proxies
from daemon import BINARY, Daemon, wait
from tls import make

NAMESPACE = f"forebay-other-{os.getpid()}"
# The documentation's addresses: nobody has them.
HERE, THERE = ("198.51.100.1", "2001:db8:5::1"), ("198.51.100.2", "2001:db8:5::2")
DOMAIN = "elb.test.internal"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextlib.contextmanager
def other_machine():
    near, far = f"fbx{os.getpid() % 100000}", f"fby{os.getpid() % 100000}"
    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", NAMESPACE)
        for address, length in zip(HERE, (24, 64)):
            ip("address", "add", f"{address}/{length}", "dev", near, *(["nodad"] if ":" in address else []))
        ip("link", "set", near, "up")
        for address, length in zip(THERE, (24, 64)):
            ip("-n", NAMESPACE, "address", "add", f"{address}/{length}", "dev", far, *(["nodad"] if ":" in address else []))
        ip("-n", NAMESPACE, "link", "set", far, "up")
        yield near
    finally:
        ip("netns", "delete", NAMESPACE)


def curl(url, address, *options):
    """What another machine gets of a URL whose host is at this address: status and body."""
    host, _, named = url.split("/")[2].partition(":")
    port = named or (443 if url.startswith("https") else 80)
    where = f"[{address}]" if ":" in address else address
    done = subprocess.run(
        ["ip", "netns", "exec", NAMESPACE, "curl", "-sS", "-w", "\n%{http_code}", "--max-time", "10",
         "--resolve", f"{host}:{port}:{where}", url, *options],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, (url, address, done.stderr)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


class Made:
    """A load balancer that says its own name on ports 80 and 443."""

    def __init__(self, daemon, name, certificate, key, names=None):
        elb, ec2, acm = daemon.client("elbv2"), daemon.client("ec2"), daemon.client("acm")
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
        tags = {"Tags": [{"Key": "forebay:names", "Value": names}]} if names else {}
        made = elb.create_load_balancer(Name=name, Subnets=subnets, **tags)["LoadBalancers"][0]
        self.name, self.dns = name, made["DNSName"]
        arn = acm.import_certificate(Certificate=certificate(self.dns), PrivateKey=key())["CertificateArn"]
        says = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": name}}]
        for protocol, port, more in [("HTTP", 80, {}), ("HTTPS", 443, {"Certificates": [{"CertificateArn": arn}]})]:
            elb.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol=protocol, Port=port, DefaultActions=says, **more)


def names_and_certificates(daemon, folder):
    """Two load balancers on the same ports of the same addresses, each reached by its names, with its own certificate."""
    def balancer(name, own, **more):
        held = {}
        def certificate(dns):
            held["made"] = make([dns, f"dualstack.{dns}", *own])
            folder.joinpath(f"{name}.pem").write_bytes(held["made"][0])
            return held["made"][0]
        return Made(daemon, name, certificate, lambda: held["made"][1], **more)
    first = balancer("first", [])
    second = balancer("second", ["shop.example", "*.shop.example"], names="shop.example .shop.example")
    assert first.dns.endswith("." + DOMAIN), first.dns
    for address in HERE:
        for made, hosts in [(first, [first.dns, f"dualstack.{first.dns}"]), (second, [second.dns, "shop.example", "eu.shop.example"])]:
            trusted = str(folder / f"{made.name}.pem")
            for host in hosts:
                assert curl(f"http://{host}/", address) == (200, made.name), (host, address)
                # curl verifies the certificate against the name: another's would be refused.
                assert curl(f"https://{host}/", address, "--cacert", trusted) == (200, made.name), (host, address)
        # A name that nobody has goes to the oldest; and HTTP/2 by SNI as well.
        assert curl("http://nobody.example/", address) == (200, "first")
        status, body = curl(f"https://{second.dns}/", address, "--http2", "--cacert", str(folder / "second.pem"))
        assert (status, body) == (200, "second")
    # Once secured for one, a connection never reaches another by its Host.
    asked = curl(f"https://{second.dns}/", HERE[0], "--cacert", str(folder / "second.pem"), "-H", f"Host: {first.dns}")
    assert asked == (200, "second"), asked
    with urllib.request.urlopen(f"{daemon.admin}/health") as page:
        told = json.load(page)["exposed"]
    assert {"address": f"{HERE[0]}:80", "default": told[0]["default"], "names": told[0]["names"]} in told, told
    assert all(one["default"].startswith("app/first/") for one in told), told
    print(f"exposed: two load balancers on ports 80 and 443 of {', '.join(HERE)}, by {told[0]['names']} names")


def any_address(pool):
    """All addresses at once, beside the nodes' own; and what cannot be is said at start."""
    with Daemon(pool=pool, expose="0.0.0.0,[::]", domain=DOMAIN) as daemon:
        held = make(["any.example"])
        made = Made(daemon, "any", lambda dns: held[0], lambda: held[1])
        nodes = daemon.client("elbv2").describe_load_balancers(Names=["any"])["LoadBalancers"][0]["AvailabilityZones"]
        own = nodes[0]["LoadBalancerAddresses"][0]["IpAddress"]
        for address in HERE:
            assert curl(f"http://{made.dns}/", address) == (200, "any"), address
        for address in (own, "127.0.0.1"):
            assert urllib.request.urlopen(f"http://{address}/", timeout=10).read() == b"any", address
        with urllib.request.urlopen(f"{daemon.admin}/health") as page:
            told = json.load(page)
        assert not told["listeners_not_bound"], told
        daemon.stop()
    for flag, value, said in [("expose", "no-such0", "no interface"), ("expose", "1.2.3.4:80", "neither an IP address"), ("domain", "a b", "no domain")]:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [BINARY, "up", "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", folder, f"--{flag}", value],
                capture_output=True, text=True, timeout=30,
            )
        assert done.returncode != 0 and said in done.stderr, (flag, value, done.stderr)


def main():
    if os.geteuid() != 0:
        print("exposed: another machine needs root, for a network namespace")
        return
    with other_machine() as near, tempfile.TemporaryDirectory() as folder:
        with Daemon(pool="127.160.0.0/14", expose=near, domain=DOMAIN) as daemon:
            names_and_certificates(daemon, pathlib.Path(folder))
            assert "panic" not in daemon.stderr(), daemon.stderr()[-2000:]
            daemon.stop()
        any_address("127.164.0.0/14")
        proxies.run(near, NAMESPACE, HERE, THERE, "127.160.0.0/14")
    print("exposed: passed")


if __name__ == "__main__":
    sys.exit(main())
