"""A group of real instances in trouble: launches that fail or hang, instances and their shims killed, Forebay killed with `kill -9`, a data
directory of 16 MiB filled. Afterwards the desired capacity is reached again, and nothing is orphaned or doubled.

`trouble.py --full` takes six minutes and kills Forebay ten times; without it, half a minute and three times. Needs root, for the file system
of 16 MiB; without root that part is left out, and told."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from daemon import Daemon, wait
from fleets import FLAGS, Fleet, add_image, stage_binary

FULL = "--full" in sys.argv
SECONDS, KILLS = (360, 10) if FULL else (30, 3)
DESIRED = 5


def command():
    """One launch in five fails at once, one in ten hangs without ever serving."""
    return (
        "n=$(od -An -N1 -tu1 /dev/urandom); "
        "[ $n -lt 51 ] && { echo out of luck; exit 1; }; "
        "[ $n -lt 77 ] && exec sleep 3600; "
        f"exec {stage_binary()} sample-target --listen $FOREBAY_ADDRESS:$PORT --name $INSTANCE_ID"
    )


def shims(directory):
    """Process ids of shims, by instance."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"instance-shim" in words[:2] and words[2].startswith(str(directory).encode()) and len(words) == 4:
                parent = int((path.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
                found.setdefault(pathlib.Path(words[2].decode()).name, {})[int(path.parent.name)] = parent
    # What a shim has forked looks like the shim until it becomes the instance's program.
    return {id: [pid for pid, parent in pids.items() if parent not in pids] for id, pids in found.items()}


def namespaces(directory):
    """Instances that have a network namespace."""
    if not shutil.which("ip"):
        return set()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    ids = [path.name for path in (directory / "instances").glob("i-*")]
    return {id for id in ids if id in listed}


class Trouble:
    def __init__(self, daemon, fleet):
        self.daemon, self.fleet = daemon, fleet
        self.api = daemon.api.removeprefix("http://")
        self.did = {"instances killed": 0, "shims killed": 0, "Forebay killed": 0, "disks filled": 0}

    def kill_instance(self):
        for _, pids in random.sample(sorted(shims(self.daemon.directory).items()), 1) or []:
            children = pathlib.Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
                self.did["instances killed"] += 1

    def kill_shim(self):
        for _, pids in random.sample(sorted(shims(self.daemon.directory).items()), 1):
            os.kill(pids[0], signal.SIGKILL)
            self.did["shims killed"] += 1

    def kill_forebay(self):
        self.daemon.kill()
        time.sleep(random.random())
        self.daemon.start(self.api)
        self.did["Forebay killed"] += 1

    def fill(self):
        """What cannot be stored is refused, and goes on once there is room."""
        if not os.path.ismount(self.daemon.directory):
            return
        path = self.daemon.directory / "filler"
        with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
            while file.write(b"x" * 65536):
                pass
        time.sleep(3)
        path.unlink()
        self.did["disks filled"] += 1

    def change(self):
        with contextlib.suppress(Exception):
            self.fleet.desire(random.randint(2, 8))

    def run(self):
        began, kills = time.monotonic(), 0
        deeds = [self.kill_instance, self.kill_instance, self.kill_shim, self.change, self.change, self.fill]
        while (elapsed := time.monotonic() - began) < SECONDS:
            if kills < KILLS and elapsed > (kills + 0.5) * SECONDS / KILLS:
                kills += 1
                self.kill_forebay()
            else:
                with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
                    random.choice(deeds)()
            doubled = {id: pids for id, pids in shims(self.daemon.directory).items() if len(pids) > 1}
            assert not doubled, f"instances run twice: {doubled}"
            time.sleep(random.random() * 2)


@contextlib.contextmanager
def small_disk():
    """A directory with 16 MiB, if that may be made."""
    with tempfile.TemporaryDirectory(prefix="forebay-trouble-") as path:
        mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", path]).returncode == 0
        if not mounted:
            print("no file system of 16 MiB could be made: the disk is not filled", flush=True)
        try:
            yield path
        finally:
            if mounted:
                subprocess.run(["umount", "-l", path], check=True)


def main():
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print(f"trouble: seed {seed}", flush=True)
    with small_disk() as directory, Daemon(directory, pool="127.196.0.0/14", **FLAGS) as daemon:
        image = add_image(daemon, "moody", command())
        fleet = Fleet(
            daemon, image, name="trouble", minimum=2, maximum=8, desired=DESIRED, delay=2, interval=5,
            HealthCheckType="ELB", HealthCheckGracePeriod=5,
        )
        fleet.elb.modify_target_group(TargetGroupArn=fleet.group, UnhealthyThresholdCount=2)
        wait(lambda: len(fleet.healthy()) >= 3, lambda: f"some serve: {fleet.activities}", 120)
        isolated = bool(namespaces(daemon.directory))
        trouble = Trouble(daemon, fleet)
        trouble.run()
        wait(lambda: fleet.desire(DESIRED) is None, "the capacity can be set again", 30)
        began = time.monotonic()
        ids = fleet.wait_serving(DESIRED, 240)
        settled = time.monotonic() - began
        # What runs is what the group has: no more, no less.
        wait(lambda: set(shims(daemon.directory)) == set(ids), lambda: f"{shims(daemon.directory)} are not {ids}", 30)
        assert all(len(pids) == 1 for pids in shims(daemon.directory).values())
        assert {path.name for path in (daemon.directory / "instances").glob("i-*")} == set(ids)
        if isolated:
            assert namespaces(daemon.directory) == set(ids), (namespaces(daemon.directory), ids)
        fleet.delete()
        wait(lambda: not shims(daemon.directory), "nothing runs", 30)
        wait(lambda: not list((daemon.directory / "instances").glob("i-*")), "nothing is left", 30)
        assert "panic" not in daemon.stderr(), daemon.stderr()[-2000:]
        daemon.stop()
    did = ", ".join(f"{count} {what}" for what, count in trouble.did.items())
    print(f"trouble: {SECONDS} s, {did}; the capacity was reached again after {settled:.1f} s, and nothing was orphaned or doubled")


if __name__ == "__main__":
    sys.exit(main())
