"""What the cases of functions share: a daemon with clients, functions made of texts, and what is left of them on the machine."""

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from daemon import REGION, Daemon, free_port, read_keys, wait

NOBODY = 65534
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
FUNCTION = "arn:aws:lambda:local-1:000000000000:function:"
PRINCIPAL = "elasticloadbalancing.amazonaws.com"


def runs(program):
    """Whether functions' user may run a Python that has AWS's client."""
    try:
        command = [program, "-c", "import awslambdaric, boto3"]
        done = subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={"PATH": os.environ["PATH"]}, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


@contextlib.contextmanager
def python():
    """Flags that say which Python runs functions, and as whom: this one where functions' user may run it; else the system's, if it is of the
    same version, with this one's packages; else this one as Forebay's own user."""
    if os.getuid() != 0:
        yield {"function_python": sys.executable, "function_user": "own"}
        return
    if runs(sys.executable):
        yield {"function_python": sys.executable}
        return
    # Not below /tmp, where functions may see another directory.
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_INTEROP_DIR", "/var/tmp")) as place:
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        wrapper = pathlib.Path(place) / "python"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{packages}" exec /usr/bin/python{version} "$@"\n')
        wrapper.chmod(0o755)
        os.chmod(place, 0o755)
        if runs(wrapper):
            yield {"function_python": wrapper}
        else:
            yield {"function_python": sys.executable, "function_user": "own"}


def archive(**files):
    """A zip archive of texts; a name's last underscore is its dot. A bootstrap may be executed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in files.items():
            name = ".".join(name.rsplit("_", 1))
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name == "bootstrap" else 0o100644) << 16
            file.writestr(entry, text)
    return packed.getvalue()


def error(call, **arguments):
    """The code of the error that a call must give."""
    try:
        call(**arguments)
    except ClientError as raised:
        return raised.response["Error"]["Code"]
    raise AssertionError(f"no error: {arguments}")


class Place:
    """A daemon, its clients, and functions by name."""

    def __init__(self, daemon: Daemon, flags):
        self.daemon = daemon
        self.is_nobody = "function_user" not in flags
        self.functions, self.sqs, self.elb, self.iam = (self.client(name) for name in ("lambda", "sqs", "elbv2", "iam"))
        self.role = self.iam.create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]

    def client(self, service, keys=None):
        """One that many threads may use at once."""
        access_key, secret = keys or read_keys(self.daemon.directory / "credentials", "default")
        config = Config(retries={"max_attempts": 0}, read_timeout=60, max_pool_connections=64)
        return boto3.client(service, endpoint_url=self.daemon.api, region_name=REGION, aws_access_key_id=access_key,
                            aws_secret_access_key=secret, config=config)

    def make(self, name, zipped, runtime="python3.13", handler="app.handler", **more):
        """Makes a function, and returns its ARN."""
        more = {"Timeout": 10, "MemorySize": 256, "Role": self.role} | more
        made = self.functions.create_function(FunctionName=name, Runtime=runtime, Handler=handler, Code={"ZipFile": zipped}, **more)
        return made["FunctionArn"]

    def delete(self, *names):
        for name in names:
            self.functions.delete_function(FunctionName=name)

    def invoke(self, name, event=None, **more):
        """What a function answers, as bytes, and the whole answer of the call."""
        answer = self.functions.invoke(FunctionName=name, Payload=json.dumps(event if event is not None else {}), **more)
        return answer["Payload"].read(), answer

    def ask(self, name, event=None):
        """What a function answers, which must be no error."""
        payload, answer = self.invoke(name, event)
        assert "FunctionError" not in answer, (name, payload[:2000])
        return json.loads(payload)

    def fails(self, name, event=None):
        """The error that a function's caller gets."""
        payload, answer = self.invoke(name, event)
        assert answer.get("FunctionError") == "Unhandled" and answer["StatusCode"] == 200, (name, answer, payload[:2000])
        return json.loads(payload)

    def logs(self, name):
        """A function's log, the older file included."""
        files = sorted((self.daemon.directory / "functions/logs").glob(f"{name}.log*"), reverse=True)
        return "".join(file.read_text(errors="replace") for file in files)

    def said(self, name, mark="SAID "):
        """What a function said in JSON, in its log's order."""
        lines = re.findall(rf"^{mark}(.*)$", self.logs(name), re.MULTILINE)
        return [json.loads(line) for line in lines]

    def queue(self, name, **attributes):
        """A queue's URL and ARN."""
        attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def holds(self, url):
        """Messages that are visible or in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def group(self, name, multi=False, **more):
        """A group for a function, without one."""
        arn = self.elb.create_target_group(Name=name, TargetType="lambda", **more)["TargetGroups"][0]["TargetGroupArn"]
        if multi:
            attributes = [{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}]
            self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)
        return arn

    def permit(self, function, group):
        """Has a function permit a group, and be in it."""
        self.functions.add_permission(FunctionName=function, StatementId=group.split("/")[-1], Action="lambda:InvokeFunction", Principal=PRINCIPAL,
                                      SourceArn=group)
        self.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": FUNCTION + function}])

    def balancer(self, name):
        """A load balancer's ARN and its first node's address."""
        subnets = [subnet["SubnetId"] for subnet in self.client("ec2").describe_subnets()["Subnets"]]
        made = self.elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
        described = self.elb.describe_load_balancers(LoadBalancerArns=[made["LoadBalancerArn"]])["LoadBalancers"][0]
        return made["LoadBalancerArn"], described["AvailabilityZones"][0]["LoadBalancerAddresses"][0]["IpAddress"]

    def listener(self, balancer, group, **more):
        """A listener's ARN and port. All that comes goes to the group, or is answered with 404 if there is none."""
        port = free_port()
        action = {"Type": "forward", "TargetGroupArn": group}
        if group is None:
            action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        made = self.elb.create_listener(LoadBalancerArn=balancer, Port=port, DefaultActions=[action], **({"Protocol": "HTTP"} | more))
        return made["Listeners"][0]["ListenerArn"], port

    # What is on the machine.

    def shims(self):
        """Processes that supervise environments of this daemon."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if b"function-shim" in (path / "cmdline").read_bytes().split(b"\0")[:2]:
                    if int(re.search(r"PPid:\s+(\d+)", (path / "status").read_text()).group(1)) == self.daemon.process.pid:
                        found.append(path.name)
        return found

    def processes(self):
        """Processes of functions, or of whatever they started: their environment tells where their code is."""
        mark = f"={self.daemon.directory}/functions/".encode()
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (path / "environ").read_bytes():
                    found.append(path.name)
        return found

    def environments(self):
        return [path.name for path in (self.daemon.directory / "functions/environments").glob("*")]

    def left(self):
        """All that is left of environments: none if there is nothing."""
        left = {"shims": self.shims(), "processes": self.processes(), "directories": self.environments()}
        return left if any(left.values()) else None

    def wait_none_left(self, seconds=30):
        wait(lambda: not self.left(), lambda: f"nothing is left of functions: {self.left()}", seconds)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))


class Connection:
    """A kept connection that sends bytes as they are, and reads answers that tell their length."""

    def __init__(self, ip, port):
        self.socket = socket.create_connection((ip, port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def exchange(self, data):
        """Status line, header lines as pairs, body."""
        self.socket.sendall(data)
        status = self.file.readline().decode().rstrip()
        headers = []
        while line := self.file.readline().decode("latin-1").rstrip():
            headers.append(tuple(line.split(": ", 1)))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        return status, headers, self.file.read(length)

    def close(self):
        self.file.close()
        self.socket.close()


def send(ip, port, method="GET", target="/", headers=(), body=b""):
    """One request with the headers as they are: status, headers, body."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(f"Host: {ip}:{port}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    connection = Connection(ip, port)
    try:
        status, answered, content = connection.exchange("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    finally:
        connection.close()
    return int(status.split()[1]), answered, content


def command(*arguments, environment=None, **more):
    """Runs a program that must succeed; what it says."""
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=60, env=environment, **more)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def has(program):
    return shutil.which(program) is not None
