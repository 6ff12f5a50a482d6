"""What whoever runs Forebay does: backups while writes come in, restored elsewhere; what a backup refuses; what `forebay check` says of good and bad
set-ups; logs whose time is over are deleted, and nothing else."""

import contextlib
import gzip
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from daemon import BINARY, REGION, Balancer, Daemon, bound, read_keys, wait

POOL = "127.126.0.0/16"
OTHER = "127.127.0.0/16"
RATE, WRITERS, ROUNDS = 260, 6, 3


def forebay(*words, **options):
    return subprocess.run([BINARY, *[str(word) for word in words]], capture_output=True, text=True, timeout=60, **options)


def good(*words):
    ran = forebay(*words)
    assert ran.returncode == 0, (words, ran.stderr)
    return ran


class Calls:
    """Signed calls of elbv2 on a connection that is kept: boto3 alone would take a processor for the rate that is wanted."""

    def __init__(self, daemon):
        self.url = daemon.api
        self.connection = http.client.HTTPConnection(daemon.api.removeprefix("http://"), timeout=30)
        self.signer = SigV4Auth(Credentials(*read_keys(daemon.directory / "credentials", "default")), "elasticloadbalancing", REGION)

    def __call__(self, action, **parameters):
        body = urllib.parse.urlencode({"Action": action, "Version": "2015-12-01", **parameters})
        request = AWSRequest("POST", self.url + "/", {"Content-Type": "application/x-www-form-urlencoded"}, body)
        self.signer.add_auth(request)
        self.connection.request("POST", "/", body, dict(request.headers))
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        made = re.search(r"<RuleArn>([^<]+)<" if action == "CreateRule" else r"<TargetGroupArn>([^<]+)<", text)
        return made and made.group(1)


class Writers:
    """Calls that change something, at a steady rate; each is noted once it is acknowledged."""

    def __init__(self, daemon, balancer, name):
        self.daemon, self.balancer, self.name = daemon, balancer, name
        self.stop, self.acknowledged, self.times, self.failures = threading.Event(), [], [], []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(WRITERS)]
        self.began = time.monotonic()
        for thread in self.threads:
            thread.start()

    def run(self, number):
        vpc = self.daemon.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        call = Calls(self.daemon)
        done, due = 0, time.monotonic()
        while not self.stop.is_set():
            due += WRITERS / RATE
            self.stop.wait(max(0, due - time.monotonic()))
            name = f"{self.name}{number}x{done}"
            try:
                if done % 20 == 0:
                    self.note("group", call("CreateTargetGroup", Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip"))
                elif done % 20 == 1:
                    self.note("rule", call("CreateRule", **{
                        "ListenerArn": self.balancer.listener, "Priority": 1000 * (number + 1) + done + 10000 * int(self.name[1:]),
                        "Conditions.member.1.Field": "path-pattern", "Conditions.member.1.Values.member.1": f"/{name}",
                        "Actions.member.1.Type": "forward", "Actions.member.1.TargetGroupArn": self.balancer.group}))
                else:
                    # Each writer has a tag of its own, whose value grows.
                    call("AddTags", **{"ResourceArns.member.1": self.balancer.arn, "Tags.member.1.Key": f"{self.name}{number}", "Tags.member.1.Value": done})
                    self.note("tag", (f"{self.name}{number}", done))
                done += 1
            except Exception as error:  # noqa: BLE001: whatever it was, the call failed
                self.failures.append(repr(error))
                return

    def note(self, kind, what):
        self.acknowledged.append((kind, what))
        self.times.append(time.monotonic())

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures[:3]
        return len(self.acknowledged) / (time.monotonic() - self.began)


def there(daemon, balancer, acknowledged):
    elb = daemon.client("elbv2")
    groups = {group["TargetGroupArn"] for page in elb.get_paginator("describe_target_groups").paginate() for group in page["TargetGroups"]}
    rules = {rule["RuleArn"] for page in elb.get_paginator("describe_rules").paginate(ListenerArn=balancer.listener) for rule in page["Rules"]}
    tags = {tag["Key"]: int(tag["Value"]) for tag in elb.describe_tags(ResourceArns=[balancer.arn])["TagDescriptions"][0]["Tags"]}
    for kind, what in acknowledged:
        if kind == "tag":
            assert tags.get(what[0], -1) >= what[1], (what, tags.get(what[0]))
        else:
            assert what in (groups if kind == "group" else rules), (kind, what)


def backups(folder):
    """Whatever was acknowledged before a backup began is in it, three times; calls go on meanwhile."""
    quotas = "rules-per-application-load-balancer=1000"
    with Daemon(directory=folder / "runs", pool=POOL, quota=quotas) as running:
        balancer = Balancer(running, name="operating")
        for number in range(ROUNDS):
            writers = Writers(running, balancer, f"r{number}")
            wait(lambda: len(writers.acknowledged) > 200 or writers.failures, "writes are acknowledged")
            acknowledged = list(writers.acknowledged)
            file, began = folder / f"{number}.backup", time.monotonic()
            told = good("backup", file, "--data-dir", running.directory).stderr
            took = time.monotonic() - began
            assert f"process {running.process.pid}" in told and "1 load balancer, 1 listener, " in told, told
            during = len(writers.acknowledged) - len(acknowledged)
            rate = writers.end()
            gap = max(later - earlier for earlier, later in zip(writers.times, writers.times[1:]))
            bound(gap, 0.1, "the longest time without an answer to a call")
            assert file.stat().st_mode & 0o777 == 0o600
            restored = folder / f"restored-{number}"
            good("restore", file, "--data-dir", restored)
            # Each has a pool of its own in its state: what is restored cannot run beside what it is of.
            running.stop()
            with Daemon(directory=restored, pool=POOL) as other:
                there(other, balancer, acknowledged)
                other.stop()
            running.start()
            print(f"backup {number + 1}: {len(acknowledged)} writes acknowledged before it, all there; {rate:.0f} writes a second, {during} while it took {took * 1000:.0f} ms, at most {gap * 1000:.0f} ms between two answers")
        at_rest(folder, running, balancer)
        checks_while_it_runs(running, balancer)
        running.stop()
    return folder / "0.backup"


def at_rest(folder, running, balancer):
    """Without a Forebay, and while one takes over from another."""
    running.stop()
    told = good("backup", folder / "rest.backup", "--data-dir", running.directory, "--without-images").stderr
    assert "no Forebay is running" in told and "no images" in told, told
    running.start()
    # Backups while one takes over: each is whole.
    before = running.process
    successor = subprocess.Popen([BINARY, "up", "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", *running.arguments, "--take-over"],
                                 stdout=subprocess.PIPE, stderr=running.log, text=True)
    made = 0
    line = []
    reader = threading.Thread(target=lambda: line.append(successor.stdout.readline()))
    reader.start()
    while reader.is_alive() or made < 3:
        good("backup", folder / "over.backup", "--data-dir", running.directory)
        made += 1
    assert line and line[0].startswith("forebay ready"), running.stderr()[-2000:]
    running.process = successor
    before.wait(60)
    told = good("backup", folder / "over.backup", "--data-dir", running.directory).stderr
    assert f"process {successor.pid}" in told, told
    listed = good("restore", "--list", folder / "over.backup").stdout
    assert re.search(r"elbv2.load-balancer +1\n", listed) and "AKIA" not in listed, listed
    print(f"backups at rest, and {made} during a take-over: whole")


def refusals(folder, file):
    """Damaged files, newer formats, directories in use or with something in them, a terminal."""
    whole, target = file.read_bytes(), folder / "refused"
    plain = gzip.decompress(whole)
    flipped = lambda data, at: data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]  # noqa: E731
    damaged = [whole[:len(whole) * part // 5] for part in range(1, 5)] + [flipped(whole, len(whole) * part // 5) for part in range(1, 5)]
    # The store is the first member; what is packed again has a checksum that fits, and only the digest tells.
    damaged += [gzip.compress(flipped(plain, 512 + 4096 * part), 1) for part in range(6)]
    refused = 0
    for number, bad in enumerate(damaged):
        (folder / "bad.backup").write_bytes(bad)
        ran = forebay("restore", folder / "bad.backup", "--data-dir", target)
        if ran.returncode == 1:
            assert "use another backup" in ran.stderr and not target.exists(), (number, ran.stderr)
            refused += 1
        else:
            # Of a run of zeros, another piece of the run may be meant: what is unpacked is the same.
            assert gzip.decompress(bad) == plain, (number, ran.stderr)
            shutil.rmtree(target)
    assert refused >= 10, refused
    newer = plain.replace(b'"format": 1,', b'"format": 7,')
    (folder / "bad.backup").write_bytes(gzip.compress(newer))
    ran = forebay("restore", folder / "bad.backup", "--data-dir", target)
    assert ran.returncode == 1 and "format 7" in ran.stderr and "use that version" in ran.stderr, ran.stderr
    with Daemon(directory=folder / "in-use", pool=POOL) as running:
        for more in ([], ["--force"]):
            ran = forebay("restore", file, "--data-dir", running.directory, *more)
            assert ran.returncode == 1 and f"process {running.process.pid} runs with" in ran.stderr, ran.stderr
        running.client("ec2").create_vpc(CidrBlock="10.7.0.0/16")
        running.stop()
    ran = forebay("restore", file, "--data-dir", folder / "in-use")
    assert ran.returncode == 1 and "state.redb already" in ran.stderr, ran.stderr
    told = good("restore", file, "--data-dir", folder / "in-use", "--force").stderr
    kept = list((folder / "in-use").glob("state.redb.before-restore-*"))
    assert len(kept) == 1 and kept[0].name in told, told
    with Daemon(directory=folder / "in-use", pool=POOL) as running:
        assert len(running.client("elbv2").describe_load_balancers()["LoadBalancers"]) == 1
        running.stop()
    ran = forebay("backup", folder / "x.backup", "--data-dir", folder / "nowhere")
    assert ran.returncode == 1 and "there is no state" in ran.stderr and not (folder / "x.backup").exists(), ran.stderr
    assert not list(folder.glob(".*.new")), "half a backup was left"
    print(f"refused: {refused} of {len(damaged)} damaged files (the others unpack to the same), a newer format, a directory in use, one with a state; --force keeps what was there")


def checked(*words, code=0):
    ran = forebay("check", "--output", "json", *words)
    assert ran.returncode == code, (words, ran.stdout, ran.stderr)
    found = json.loads(ran.stdout)
    assert found["starts"] == (not any(one["level"] == "error" for one in found["findings"]))
    return found["findings"]


def finding(findings, about, level):
    texts = [one["text"] for one in findings if one["about"] == about and one["level"] == level]
    assert texts, (about, level, findings)
    return " ".join(texts)


def checks_while_it_runs(running, balancer):
    flags = ["--data-dir", running.directory, "--api", running.api.removeprefix("http://"), "--admin", running.admin.removeprefix("http://")]
    found = checked(*flags, "--take-over")
    assert {one["level"] for one in found} == {"ok"}, found
    assert f"process {running.process.pid}" in finding(found, "store", "ok")
    assert "which hands them over" in finding(found, "listeners", "ok")
    assert "give --take-over" in finding(checked(*flags, code=1), "store", "error")
    assert running.client("elbv2").describe_load_balancers()["LoadBalancers"]
    print("check beside a running Forebay: its own ports are fine, and it could be taken over from")


def checks(folder, file):
    """Good ones end with 0, each bad one is told with what to do, and nothing changes."""
    free = ["--api", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    fresh = folder / "fresh"
    found = checked("--data-dir", fresh, "--address-pool", OTHER, *free)
    assert not fresh.exists() and {one["level"] for one in found} == {"ok"}, found
    good("restore", file, "--data-dir", folder / "checked")
    where = ["--data-dir", folder / "checked", "--admin", "127.0.0.1:0"]
    here = [*where, "--api", "127.0.0.1:0"]
    before = (folder / "checked" / "state.redb").read_bytes()
    assert "readable" in finding(checked(*here), "store", "ok")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = finding(checked("--data-dir", fresh, "--api", f"127.0.0.1:{port}", "--admin", "127.0.0.1:0", code=1), "ports", "error")
        assert f"process {os.getpid()}" in told, told
    assert "leave the flag out" in finding(checked(*here, "--address-pool", OTHER, code=1), "address pool", "error")
    assert "no-such0" in finding(checked(*here, "--expose", "no-such0", code=1), "exposed addresses", "error")
    assert "192.0.2.77" in finding(checked(*here, "--expose", "192.0.2.77"), "exposed addresses", "warning")
    assert "no such address" in finding(checked(*where, "--api", "192.0.2.77:4566", code=1), "ports", "error")
    assert "loopback" in finding(checked(*where, "--api", "0.0.0.0:0", "--no-auth", code=1), "flags", "error")
    assert "leave --take-over out" in finding(checked(*here, "--take-over", code=1), "store", "error")
    (folder / "shapes.json").write_text("[{")
    finding(checked(*here, "--shapes", folder / "shapes.json", code=1), "shapes", "error")
    assert "no address 198.51.100" in finding(checked("--data-dir", fresh, *free, "--address-pool", "198.51.100.0/24"), "address pool", "warning")
    few = subprocess.run(["sh", "-c", 'ulimit -n 512; exec "$0" "$@"', BINARY, "check", "--output", "json", *map(str, here)], capture_output=True, text=True)
    finding(json.loads(few.stdout)["findings"], "open files", "warning")
    assert (folder / "checked" / "state.redb").read_bytes() == before
    listener(folder, here)
    for name, content, about in (("state.redb", b"not one", "store"), ("credentials", b"nonsense", "credentials")):
        kept = (folder / "checked" / name).read_bytes()
        (folder / "checked" / name).write_bytes(content)
        finding(checked(*here, code=1), about, "error")
        assert (folder / "checked" / name).read_bytes() == content
        (folder / "checked" / name).write_bytes(kept)
    (folder / "mine").mkdir(mode=0o755)
    (folder / "mine" / "letters").write_text("")
    os.chmod(folder / "mine", 0o755)
    assert "letters" in finding(checked("--data-dir", folder / "mine", *free, code=1), "data directory", "error")
    lines = forebay("check", *here).stdout.splitlines()
    assert lines[-1] == "forebay up would start" and all(re.match(r"(ok|warning|error) +\w", line) for line in lines[:-1]), lines
    print("check: good ones are ok, 14 bad ones are told, nothing was changed")


def listener(folder, here):
    """A listener's port that somebody else has is told with who that is; --strict makes it count."""
    with Daemon(directory=folder / "checked", pool=POOL) as running:
        elb = running.client("elbv2")
        balancer = elb.describe_load_balancers()["LoadBalancers"][0]
        port = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"][0]["Port"]
        ip = balancer["AvailabilityZones"][0]["LoadBalancerAddresses"][0]["IpAddress"]
        running.stop()
    with socket.create_server((ip, port)):
        told = finding(checked(*here), "listeners", "warning")
        assert f"{ip}:{port}" in told and f"process {os.getpid()}" in told, told
        assert forebay("check", "--strict", *here).returncode == 1


def retention(folder):
    """Files of old days go at start, with their directories; new ones, strangers and links stay."""
    logs = folder / "logged" / "logs"
    place = "AWSLogs/000000000000/elasticloadbalancing/local-1"
    name = "000000000000_elasticloadbalancing_local-1_app.a.0123456789abcdef_20240105T1200Z_127.88.0.4_abcdefg1.log.gz"
    old = time.time() - 3 * 86400
    gone = [f"bucket/{place}/2024/01/05/{kind}{name}" for kind in ("", "conn_log_", "health_check_log_")]
    stays = [f"bucket/{place}/2024/02/05/{name.replace('20240105', '20240205')}", f"bucket/{place}/2024/02/05/notes.txt", f"bucket/{name}",
             f"other/{place}/2024/01/05/{name}.bak"]
    for path in gone + stays:
        (logs / path).parent.mkdir(parents=True, exist_ok=True)
        (logs / path).write_bytes(b"x" * 100)
        os.utime(logs / path, (old, old))
    os.utime(logs / stays[0])
    (folder / "elsewhere" / "2024" / "01" / "05").mkdir(parents=True)
    linked = folder / "elsewhere" / "2024" / "01" / "05" / name
    linked.write_bytes(b"x")
    os.utime(linked, (old, old))
    (logs / "bucket" / "linked").symlink_to(folder / "elsewhere")
    os.chmod(folder / "logged", 0o700)
    with Daemon(directory=folder / "logged", pool=POOL) as running:
        time.sleep(0.3)
        assert all((logs / path).exists() for path in gone), "without the flag nothing is deleted"
        running.stop()
    with Daemon(directory=folder / "logged", pool=POOL, log_retention="36h") as running:
        wait(lambda: not (logs / gone[0]).parent.exists(), "old files and their directory are gone")
        assert all((logs / path).exists() for path in stays) and linked.exists()
        assert not any((logs / path).exists() for path in gone)
        assert running.metric(r"^forebay_log_files_deleted_total\{") == 3
        running.stop()
    print("retention: 3 old files and their day are gone, 5 others stayed")


def main():
    began = time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="forebay-operating-"))
    try:
        file = backups(folder)
        refusals(folder, file)
        checks(folder, file)
        retention(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    print(f"operating: good, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
