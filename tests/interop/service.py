"""Forebay as a service: the systemd unit is right and says little to strangers, the service manager is told what happens, a user without rights serves port 80,
and instances get scopes of their own."""

import contextlib
import ctypes
import http.client
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

from daemon import BINARY, Daemon, Sample, wait
from fleets import FLAGS, Fleet, add_image, sample_command, stage_binary

UNITS = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "systemd"
EXPOSURE = 3.0
PING = 1


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)


def unit():
    """What systemd says of the unit, and of the unit with its drop-in for instances."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in ("base", "instances"):
            place = folder / name
            place.mkdir()
            text = (UNITS / "forebay.service").read_text().replace("/usr/local/bin/forebay", BINARY)
            (place / "forebay.service").write_text(text)
            if name == "instances":
                (place / "forebay.service.d").mkdir()
                shutil.copy(UNITS / "instances.conf", place / "forebay.service.d")
            verified = run("systemd-analyze", "verify", place / "forebay.service")
            assert verified.returncode == 0 and not verified.stderr, (name, verified.stderr)
    judged = run("systemd-analyze", "security", "--offline=true", UNITS / "forebay.service")
    exposure = float(re.search(r"Overall exposure level for forebay.service: ([\d.]+)", judged.stdout).group(1))
    assert exposure <= EXPOSURE, judged.stdout
    # A misspelt word is no mistake to systemd but a warning, which verify would have shown; what must be there is checked by name.
    text = (UNITS / "forebay.service").read_text()
    for line in ("Type=notify", "NotifyAccess=all", "KillMode=mixed", "WatchdogSec=30", "StateDirectory=forebay",
                 "AmbientCapabilities=CAP_NET_BIND_SERVICE", "User=forebay", "ExecReload=/bin/kill -USR2 $MAINPID"):
        assert line in text.splitlines(), line
    print(f"the unit verifies, with its drop-in for instances too; exposure {exposure} (systemd-analyze security)")


class Manager:
    """A service manager's ear: NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.05)
        self.said = []

    def hear(self):
        with contextlib.suppress(TimeoutError):
            while True:
                self.said.append(self.socket.recv(4096).decode().splitlines())
        return self.said

    def lines(self, since=0):
        return [line for message in self.hear()[since:] for line in message]


def notified():
    """Each is said when it is true: ready, who is the main process, alive, stopping."""
    with tempfile.TemporaryDirectory(prefix="forebay-notify-") as folder:
        manager = Manager(folder)
        os.environ.update(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC=str(PING * 1_000_000))
        try:
            running = Daemon(drain_seconds=1, pool="127.115.0.0/16")
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        with running:
            first = running.process.pid
            wait(lambda: "READY=1" in manager.lines(), "it says that it is ready", 10)
            ready = next(message for message in manager.said if "READY=1" in message)
            assert f"MAINPID={first}" in ready and any(line.startswith("STATUS=APIs at ") for line in ready), ready
            began = time.monotonic()
            wait(lambda: manager.lines().count("WATCHDOG=1") >= 4, "it says that it lives", 10)
            took = time.monotonic() - began
            assert took < 4 * PING, took
            # Who hangs says nothing.
            running.process.send_signal(signal.SIGSTOP)
            manager.hear()
            heard = len(manager.said)
            time.sleep(2 * PING)
            assert manager.lines(heard) == [], manager.said[heard:]
            running.process.send_signal(signal.SIGCONT)
            # Another takes over, and is the main process from then on.
            heard = len(manager.hear())
            running.process.send_signal(signal.SIGUSR2)
            wait(lambda: "READY=1" in manager.lines(heard), "the successor says that it is ready", 10)
            successor = int(next(line for line in manager.lines(heard) if line.startswith("MAINPID=")).removeprefix("MAINPID="))
            assert successor != first
            running.process.wait(timeout=20)
            assert not any(line in ("STOPPING=1",) for line in manager.lines(heard)), manager.said[heard:]
            told = {line for line in manager.lines(heard) if line.startswith("MAINPID=")}
            assert told == {f"MAINPID={successor}"}, told
            heard = len(manager.hear())
            wait(lambda: manager.lines(heard).count("WATCHDOG=1") >= 2, "the successor says that it lives", 10)
            os.kill(successor, signal.SIGTERM)
            wait(lambda: "STOPPING=1" in manager.lines(heard), "it says that it stops", 10)
            wait(lambda: not alive(successor), "it ends", 20)
    print("the service manager hears READY=1 with MAINPID, WATCHDOG=1 twice in its time and not from a process that hangs, the MAINPID of the "
          "process that takes over, and STOPPING=1 when that ends")


def alive(pid):
    with contextlib.suppress(OSError):
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def as_the_unit_has_it():
    """In a child: memory that could be written is never executed (MemoryDenyWriteExecute), where the kernel (6.3) knows that."""
    ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)


def unprivileged():
    """A user without rights but for low ports, as the unit runs it: port 80 is served, and goes on to a successor."""
    if os.geteuid() != 0:
        print("not root: whether a user with CAP_NET_BIND_SERVICE serves port 80 was not tried")
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="forebay-service-"))
    data = folder / "data"
    data.mkdir(mode=0o700)
    shutil.chown(data, "nobody", "nogroup")
    folder.chmod(0o755)
    binary = stage_binary()
    capability = "net_bind_service"
    command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", f"--inh-caps=-all,+{capability}",
               f"--ambient-caps=-all,+{capability}", f"--bounding-set=-all,+{capability}", "--no-new-privs",
               binary, "up", "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", data, "--address-pool", "127.124.0.0/16",
               "--drain-seconds", "1"]

    class Nobody(Daemon):
        def start(self):
            self.log = open(folder / "log", "ab")
            self.process = subprocess.Popen(
                [str(word) for word in command], stdout=subprocess.PIPE, stderr=self.log, text=True, preexec_fn=as_the_unit_has_it)
            line = self.process.stdout.readline()
            match = re.match(r"forebay ready api=(\S+) admin=(\S+) ", line)
            assert match, (line, self.stderr())
            self.api, self.admin = match.groups()

    with Nobody(directory=data) as running, Sample("one") as sample:
        status = pathlib.Path(f"/proc/{running.process.pid}/status").read_text()
        assert re.search(r"CapEff:\s+0*400\n", status) and not re.search(r"Uid:\s+0\b", status), status
        elb, ec2 = running.client("elbv2", retries=4), running.client("ec2")
        subnets = ec2.describe_subnets()["Subnets"]
        made = elb.create_load_balancer(Name="low", Subnets=[one["SubnetId"] for one in subnets])["LoadBalancers"][0]
        group = elb.create_target_group(Name="low", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": sample.ip, "Port": sample.port}])
        elb.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
        zones = elb.describe_load_balancers()["LoadBalancers"][0]["AvailabilityZones"]
        address = zones[0]["LoadBalancerAddresses"][0]["IpAddress"]

        def status_at_80():
            connection = http.client.HTTPConnection(address, 80, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status

        wait(lambda: status_at_80() == 200, "port 80 is served", 20)
        running.process.send_signal(signal.SIGUSR2)
        line = running.process.stdout.readline()
        assert line.startswith("forebay ready "), line
        assert status_at_80() == 200
        running.process.wait(timeout=20)
        successor = int(re.search(r"process (\d+) serves now", running.stderr()).group(1))
        assert status_at_80() == 200
        os.kill(successor, signal.SIGTERM)
        wait(lambda: not alive(successor), "it ends", 20)
    shutil.rmtree(folder, ignore_errors=True)
    print("a user whose only capability is CAP_NET_BIND_SERVICE serves port 80, and so does the one that takes over from it")


def scopes():
    """Each instance is begun by systemd-run in a scope of its own. Here a script stands in its place, as no systemd runs: what it is asked is checked."""
    with tempfile.TemporaryDirectory(prefix="forebay-scopes-") as folder:
        folder = pathlib.Path(folder)
        asked = folder / "asked"
        script = folder / "systemd-run"
        script.write_text(f"#!/bin/sh\necho \"$@\" >>{asked}\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n")
        script.chmod(0o755)
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{folder}:{path}"
        try:
            with Daemon(pool="127.125.0.0/16", instance_network="never", instance_scope="always", drain_seconds=1, **FLAGS) as running:
                image = add_image(running, "plain", sample_command())
                fleet = Fleet(running, image, name="scoped", minimum=2, maximum=2, delay=0)
                ids = fleet.wait_serving(2)
                lines = asked.read_text().splitlines()
                for id in ids:
                    (line,) = [line for line in lines if f"--unit=forebay-{id}-" in line]
                    assert line.startswith("--scope --quiet --collect --slice=forebay-instances.slice "), line
                running.stop()
        finally:
            os.environ["PATH"] = path
    print("instances are begun by systemd-run, each in a scope of its own (in the place of systemd-run a script that checks what it is asked)")


def main():
    for part in (unit, notified, unprivileged, scopes):
        if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
            part()


if __name__ == "__main__":
    main()
