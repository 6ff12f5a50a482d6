"""A running Forebay, sample targets, and AWS clients for the interop suites."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import boto3
from botocore.config import Config

BINARY = os.environ.get("FOREBAY_BIN") or sys.exit("FOREBAY_BIN must name the forebay binary; run `cargo xtask interop`")
REGION = "local-1"
# Bounds of time and memory hold on a quiet machine, and are judged there: FOREBAY_STRICT=1. Elsewhere a run tells its figures and
# fails only at a multiple of the bound, which is a fault and no noise.
STRICT = os.environ.get("FOREBAY_STRICT") == "1"


def bound(figure, most, what, slack=10):
    """A figure that must stay below `most`, or below `slack` times that where the machine may be busy."""
    limit = most if STRICT else most * slack
    assert figure < limit, f"{what}: {figure:.4g}, the bound is {limit:.4g}"


def wait(condition, what, seconds=60):
    """Waits until condition() holds; returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come to hold within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


class Daemon:
    """`forebay up` in a directory of its own."""

    def __init__(self, directory=None, pool="127.80.0.0/14", workers=None, **flags):
        self.own = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="forebay-interop-"))
        self.arguments = ["--data-dir", str(self.directory), "--address-pool", pool]
        if workers:
            self.arguments += ["--workers", str(workers)]
        for name, value in flags.items():
            self.arguments += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
        self.start()

    def start(self, api="127.0.0.1:0"):
        command = [BINARY, "up", "--api", api, "--admin", "127.0.0.1:0", *self.arguments]
        self.log = self.open_log(self.directory.parent / (self.directory.name + ".log"))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        match = re.match(r"forebay ready api=(\S+) admin=(\S+) ", line)
        if not match:
            raise AssertionError(f"forebay did not become ready: {line!r}\n{self.stderr()}")
        self.api, self.admin = match.groups()
        return self

    def open_log(self, path):
        return open(path, "ab")

    def stderr(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                code = self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
            assert code == 0, f"forebay ended with {code}: {self.stderr()}"
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.process.kill()
            self.process.wait()
        end_instances(self.directory)
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.unlink(self.log.name)

    def client(self, service, profile="default", retries=0, **options):
        access_key, secret = read_keys(self.directory / "credentials", profile)
        return boto3.client(
            service,
            endpoint_url=self.api,
            region_name=options.pop("region", REGION),
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": retries}, read_timeout=30),
            **options,
        )

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def metric(self, pattern):
        """Sum of all samples whose line matches."""
        return metric(self.admin.removeprefix("http://"), pattern)


def end_instances(directory):
    """Instances outlive their Forebay: those of a directory that goes are ended, with their namespaces."""
    ids = [path.name for path in (directory / "instances").glob("i-*")]
    if not ids:
        return
    shims = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"instance-shim" in words[:2] and words[2].startswith(str(directory).encode()):
                shims.append(path.parent)
    for shim in shims:
        with contextlib.suppress(OSError):
            os.kill(int(shim.name), signal.SIGTERM)
    with contextlib.suppress(AssertionError):
        wait(lambda: not any(shim.exists() for shim in shims), "instances end", 40)
    if not shutil.which("ip"):
        return
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.splitlines()
    for line in listed:
        if any(id in line for id in ids):
            subprocess.run(["ip", "netns", "delete", line.split()[0]])


def metric(admin, pattern):
    """Sum of all samples at this admin address whose line matches."""
    connection = http.client.HTTPConnection(admin, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#") and re.search(pattern, line))


def read_keys(path, profile):
    """Access key id and secret of a profile of a shared-credentials file."""
    section, values = None, {}
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[] ")
        elif "=" in line and section == profile:
            name, value = line.split("=", 1)
            values[name.strip()] = value.strip()
    return values["aws_access_key_id"], values["aws_secret_access_key"]


class Sample:
    """`forebay sample-target`."""

    def __init__(self, name, listen="127.0.0.1:0", **flags):
        self.name = name
        self.flags = flags
        self.start(listen)

    def start(self, listen):
        command = [BINARY, "sample-target", "--name", self.name, "--listen", listen]
        for name, value in self.flags.items():
            command += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.match(r"sample-target ready http://([\d.]+):(\d+) ", line)
        assert match, f"sample-target did not start: {line!r}"
        self.ip, self.port = match.group(1), int(match.group(2))
        self.address = f"{self.ip}:{self.port}"

    def counts(self):
        connection = http.client.HTTPConnection(self.ip, self.port, timeout=10)
        connection.request("GET", "/counts")
        return json.loads(connection.getresponse().read())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


NAMED = set()


def free_port(ip="127.0.0.1"):
    """A port that is free, and that was not named before: the system may name one twice while nobody listens."""
    while True:
        with socket.socket() as sock:
            sock.bind((ip, 0))
            port = sock.getsockname()[1]
        if port not in NAMED:
            NAMED.add(port)
            return port


class Balancer:
    """A load balancer with one listener and one target group of `ip` targets, made with boto3."""

    def __init__(self, daemon, name="interop", delay=None, interval=5, timeout=2):
        self.elb, ec2 = daemon.client("elbv2"), daemon.client("ec2")
        subnets = ec2.describe_subnets()["Subnets"]
        made = self.elb.create_load_balancer(Name=name, Subnets=[subnet["SubnetId"] for subnet in subnets])
        self.arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        group = self.elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip",
            HealthCheckIntervalSeconds=interval, HealthCheckTimeoutSeconds=timeout, HealthyThresholdCount=2,
        )
        self.group = group["TargetGroups"][0]["TargetGroupArn"]
        if delay is not None:
            self.elb.modify_target_group_attributes(
                TargetGroupArn=self.group,
                Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}],
            )
        self.port = free_port()
        listener = self.elb.create_listener(
            LoadBalancerArn=self.arn, Protocol="HTTP", Port=self.port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )
        self.listener = listener["Listeners"][0]["ListenerArn"]
        zones = self.elb.describe_load_balancers(Names=[name])["LoadBalancers"][0]["AvailabilityZones"]
        self.nodes = [zone["LoadBalancerAddresses"][0]["IpAddress"] for zone in zones]

    def register(self, *samples):
        self.elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": s.ip, "Port": s.port} for s in samples])

    def deregister(self, *samples):
        self.elb.deregister_targets(TargetGroupArn=self.group, Targets=[{"Id": s.ip, "Port": s.port} for s in samples])

    def states(self):
        described = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {f"{d['Target']['Id']}:{d['Target']['Port']}": d["TargetHealth"]["State"] for d in described}

    def wait_healthy(self, *samples):
        wanted = {sample.address for sample in samples}
        wait(lambda: {a for a, state in self.states().items() if state == "healthy"} >= wanted, "targets are healthy")


def get(ip, port, path="/", headers=None):
    """One request on a connection of its own: status, headers, body."""
    connection = http.client.HTTPConnection(ip, port, timeout=20)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body
