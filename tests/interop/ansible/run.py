"""Ansible's amazon.aws and community.aws make a load balancer and what it needs, find it as it should be on a second run, and take it
away again; traffic obeys its rules in between.

Ansible has a virtual environment of its own under target/, made from requirements.txt beside this file when that changes.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

from daemon import BINARY, Daemon, Sample, free_port, wait
from tls import make

HERE = pathlib.Path(__file__).parent
REGION = "us-east-1"
SUBNETS = [{"cidr": f"10.30.{n}.0/24", "zone": f"{REGION}{zone}"} for n, zone in ((1, "a"), (2, "b"))]


def environment_of_ansible():
    """The virtual environment with Ansible in it; its second value, how long it took to make."""
    target = pathlib.Path(os.environ.get("FOREBAY_INTEROP_DIR") or HERE.parents[2] / "target/interop").parent
    place, lock = target / "ansible-venv", (HERE / "requirements.txt").read_text()
    stamp = place / "requirements.txt"
    if stamp.exists() and stamp.read_text() == lock:
        return place, 0
    began = time.monotonic()
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    # The lock is whole, so nothing is to be resolved; and of the tens of thousands of files a run needs a few hundred.
    subprocess.run(
        [place / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps",
         "--require-hashes", "--requirement", HERE / "requirements.txt"], check=True)
    stamp.write_text(lock)
    return place, time.monotonic() - began


class Playbooks:
    """Runs playbooks against a daemon."""

    def __init__(self, place, daemon, directory, variables):
        self.place, self.variables = place, directory / "variables.json"
        self.variables.write_text(json.dumps(variables))
        (directory / "ansible.cfg").touch()
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("AWS_", "ANSIBLE_", "EC2_", "PYTHON")) and name != "VIRTUAL_ENV"}
        self.environment = {
            **kept,
            "LC_ALL": "C.UTF-8",
            "HOME": str(directory),
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_PIPELINING": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        # The rest is what README.md says: the lines that `forebay env` prints.
        env = [BINARY, "env", "--data-dir", daemon.directory, "--api", daemon.api.removeprefix("http://"), "--region", REGION]
        self.lines = subprocess.run(env, check=True, capture_output=True, text=True).stdout

    def run(self, name):
        """Names of the tasks that changed something, of all that ran."""
        began = time.monotonic()
        command = [self.place / "bin/ansible-playbook", HERE / name, "--inventory", "localhost,", "--connection", "local", "--extra-vars", f"@{self.variables}",
                   "--extra-vars", f"ansible_python_interpreter={self.place / 'bin/python'}"]
        shell = ["sh", "-c", 'eval "$0"; exec "$@"', self.lines, *command]
        done = subprocess.run(shell, env=self.environment, capture_output=True, text=True)
        assert done.stdout.lstrip().startswith("{"), f"{name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        told = json.loads(done.stdout)
        tasks = [(task["task"]["name"], task["hosts"]["localhost"]) for play in told["plays"] for task in play["tasks"]]
        failed = {name: result for name, result in tasks if result.get("failed")}
        assert done.returncode == 0 and not failed, f"{name} ended with {done.returncode}\n{json.dumps(failed, indent=1)}\n{done.stderr}"
        changed = {name: result for name, result in tasks if result.get("changed")}
        recap = told["stats"]["localhost"]
        assert recap["changed"] == len(changed), (recap, list(changed))
        print(f"ansible: {name}: ok={recap['ok']} changed={recap['changed']} skipped={recap['skipped']} failed={recap['failures']} "
              f"in {time.monotonic() - began:.0f} s", flush=True)
        return changed, [name for name, _ in tasks]


def ask(node, port, target="/", method="GET", headers=None, secure=False):
    """One request: status, headers by lower-case name, body."""
    if secure:
        # The certificate is the suite's own; what it says is judged by the TLS suite.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(node, port, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(node, port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


def obeyed(nodes, ports, samples):
    """Requests that show each listener and rule at work; how many there were."""
    clear, secure = ports
    count = 0
    for node in nodes:
        def target(expected, *arguments, **named):
            status, headers, body = ask(node, *arguments, **named)
            assert (status, headers.get("x-target")) == (200, expected), (arguments, named, status, headers, body)

        target(samples[0].name, clear)
        target(samples[1].name, clear, "/second/a")
        target(samples[1].name, clear, "/a.png")
        target(samples[2].name, clear, headers={"X-Version": "beta-2"})
        target(samples[2].name, secure, "/open/a", secure=True)
        host = {"Host": "a.shop.example.com"}
        status, _, body = ask(node, clear, "/", "POST", headers=host)
        assert (status, body) == (418, "a teapot"), (status, body)
        target(samples[0].name, clear, headers=host)
        status, headers, body = ask(node, secure, secure=True)
        assert (status, headers["content-type"], body) == (404, "application/json", "{}"), (status, headers, body)
        status, headers, _ = ask(node, secure, "/a?moved=yes", secure=True)
        assert (status, headers["location"]) == (301, "https://new.example.com:443/new/a?moved=yes"), (status, headers)
        # Who has not logged in reaches no target.
        status, headers, body = ask(node, secure, "/private/a", secure=True)
        assert status != 200 and "x-target" not in headers, (status, headers, body)
        count += 10
    return count


def assert_nothing_left(daemon):
    elb, ec2, acm = (daemon.client(service, region=REGION) for service in ("elbv2", "ec2", "acm"))
    assert not elb.describe_load_balancers()["LoadBalancers"]
    assert not elb.describe_target_groups()["TargetGroups"]
    assert not acm.list_certificates()["CertificateSummaryList"]
    assert not ec2.describe_tags(Filters=[{"Name": "tag:Suite", "Values": ["ansible"]}])["Tags"]
    assert [vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]] == [True]


def suite(daemon, samples, directory, place):
    ports = (free_port(), free_port())
    authority = make([])
    certificate, key = make(["interop.example.com"], authority=authority)
    files = {"certificate": certificate, "key": key, "chain": authority[0]}
    for name, content in files.items():
        (directory / f"{name}.pem").write_bytes(content)
    groups = [
        {"name": name, "algorithm": algorithm, "sticky": sticky, "targets": [{"Id": sample.ip, "Port": sample.port}]}
        for sample, name, algorithm, sticky in zip(
            samples, ("first", "second", "third"), ("round_robin", "least_outstanding_requests", "round_robin"), (False, True, False))
    ]
    playbooks = Playbooks(place, daemon, directory, {
        **{name: str(directory / f"{name}.pem") for name in files},
        "http_port": ports[0], "https_port": ports[1], "subnets": SUBNETS, "target_groups": groups,
    })
    elb = daemon.client("elbv2", region=REGION)

    changed, tasks = playbooks.run("made.yml")
    assert list(changed) == tasks, f"the first run left alone {set(tasks) - set(changed)}"
    changed, _ = playbooks.run("made.yml")
    assert not changed, f"the second run changed {json.dumps(changed, indent=1)}"

    def healthy():
        states = [target["TargetHealth"]["State"] for group in elb.describe_target_groups()["TargetGroups"]
                  for target in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]]
        return states == ["healthy"] * len(samples)

    wait(healthy, "all targets are healthy")
    zones = elb.describe_load_balancers(Names=["interop"])["LoadBalancers"][0]["AvailabilityZones"]
    nodes = [address["IpAddress"] for zone in zones for address in zone["LoadBalancerAddresses"]]
    print(f"ansible: {obeyed(nodes, ports, samples)} requests obeyed the listeners and rules", flush=True)

    changed, _ = playbooks.run("gone.yml")
    # The rules go with the balancer.
    assert set(changed) == set(tasks) - {"Rules"}, f"taken away: {list(changed)}"
    assert_nothing_left(daemon)
    changed, _ = playbooks.run("gone.yml")
    assert not changed, f"taking away twice changed {json.dumps(changed, indent=1)}"


def main():
    place, took = environment_of_ansible()
    print(f"ansible: installed in {took:.0f} s" if took else "ansible: is installed", flush=True)
    with contextlib.ExitStack() as stack:
        samples = [stack.enter_context(Sample(name, f"127.0.20.{n}:0")) for n, name in enumerate(("one", "two", "three"), 1)]
        daemon = stack.enter_context(Daemon(pool="127.176.0.0/14"))
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forebay-ansible-")))
        suite(daemon, samples, directory, place)
        daemon.stop()
    print("ansible: good")


if __name__ == "__main__":
    main()
