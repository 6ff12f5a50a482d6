#!/usr/bin/env python3
"""Runs moto's own suites of elbv2, CloudWatch, Auto Scaling and SQS, from its source archive, against a running Forebay.

    FOREBAY_BIN=path/to/forebay python tests/interop/moto/run.py [pytest arguments]

Runs inside the virtual environment of tests/interop/requirements.txt. Ends with 0 only if of each suite at least as many tests
pass as stand below, every failure stands in expected-failures.toml with its reason, and nothing that stands there passes, but
for what passes or fails by the time at which it runs.
Arguments are pytest's; the first may be a suite's name, which is run alone then.
"""

import hashlib
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import xml.etree.ElementTree as xml

VERSION = "5.2.5"
SHA256 = "391857257d5dac144334013c2c10e599def5f0562f553e979160140bd7bd9cf6"
# By suite: the share of its tests that must pass.
SUITES = {"test_elbv2": 0.90, "test_cloudwatch": 0.85, "test_autoscaling": 0.80, "test_sqs": 0.85}
START_SECONDS = 60
PORT = 5000
SUITE_SECONDS = 1200
# The account and the keys that moto's decorators put into the environment of every test.
ACCOUNT = "123456789012"
KEY, SECRET = "FOOBARKEY", "FOOBARSECRET"

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parents[2] / "target" / "interop"


def archive() -> pathlib.Path:
    """moto's source archive from the package index, or from an earlier run; its hash is locked."""
    name = f"moto-{VERSION}.tar.gz"
    folder = TARGET / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        command += ["--dest", str(folder), f"moto=={VERSION}"]
        # pip builds the archive's metadata after the download; only the archive is wanted, so only that is looked at.
        result = subprocess.run(command, capture_output=True, text=True)
        if not path.exists():
            sys.exit(f"moto {VERSION} cannot be downloaded:\n{result.stderr}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"{path} has the hash {digest}, not {SHA256}: delete it, or find out who changed it")
    return path


def suite() -> pathlib.Path:
    """A fresh copy of the archive's tests."""
    folder = TARGET / "moto"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(archive()) as source:
        members = [m for m in source.getmembers() if "/tests/" in m.name and m.isfile()]
        source.extractall(folder, members=members, filter="data")
    return folder / f"moto-{VERSION}"


def start(binary: str, data: pathlib.Path) -> tuple[subprocess.Popen, str]:
    """Starts Forebay and waits for its ready line."""
    data.mkdir(mode=0o700)
    keys = data / "credentials"
    keys.touch(mode=0o600)
    keys.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    command = [binary, "up", "--enable-reset", "--account-id", ACCOUNT, "--data-dir", str(data)]
    # Where moto's own server is: tests of queues have its address in the URLs that they expect.
    command += ["--api", f"127.0.0.1:{PORT}", "--admin", "127.0.0.1:0", "--address-pool", "127.144.0.0/12"]
    # --enable-reset also turns on moto's dialect: docs/decisions/0005-two-dialects.md.
    command += ["--quota", "application-load-balancers=100"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        if select.select([server.stdout], [], [], 0.2)[0]:
            line = server.stdout.readline()
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if line.startswith("forebay ready") and "api" in words:
                return server, f"http://localhost:{PORT}"
    server.kill()
    sys.exit(f"{binary} did not get ready: is port {PORT} of 127.0.0.1 free?")


def run(folder: pathlib.Path, endpoint: str, suite: str, arguments: list[str]) -> dict[str, str]:
    """Each test's id and `passed`, `failed` or `skipped`."""
    report = TARGET / "moto-report.xml"
    report.unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment |= {
        "TEST_SERVER_MODE": "true",
        "TEST_SERVER_MODE_ENDPOINT": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Where pytest finds limits.py.
        "PYTHONPATH": str(HERE),
        # A failure is a failure at once.
        "AWS_MAX_ATTEMPTS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x" if "-x" in arguments else "--tb=line", "-p", "no:cacheprovider", "-p", "limits"]
    command += [f"--junitxml={report}", "-o", "junit_family=xunit1", "-o", "addopts=", f"tests/{suite}"]
    command += [argument for argument in arguments if argument != "-x"]
    with open(TARGET / "moto-output.txt", "w") as output:
        subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, timeout=SUITE_SECONDS)
    if not report.exists():
        sys.exit(f"the suite did not run: see {TARGET / 'moto-output.txt'}")
    results = {}
    for case in xml.parse(report).iter("testcase"):
        name = f"{pathlib.Path(case.get('file', '')).stem}::{case.get('name')}"
        # A file that is called otherwise than its suite may have a namesake in another.
        name = name if name.startswith(suite) else f"{suite}/{name}"
        kinds = {child.tag for child in case}
        results[name] = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
    return results


def judge(suite: str, results: dict[str, str], partial: bool) -> bool:
    """Prints the numbers, and whether they are as reviewed."""
    with open(HERE / "expected-failures.toml", "rb") as file:
        reviewed = tomllib.load(file)
    expected, by_time = (
        {name: reason for name, reason in reviewed[part].items() if name.startswith(suite)}
        for part in ("failures", "by-time")
    )
    failed = {name for name, result in results.items() if result == "failed"}
    passed = {name for name, result in results.items() if result == "passed"}
    unexpected = sorted(failed - expected.keys() - by_time.keys())
    revived = sorted(passed & expected.keys())
    gone = [] if partial else sorted((expected.keys() | by_time.keys()) - results.keys())
    share = len(passed) / max(1, len(results))
    for title, names in [
        ("failed, and stands in no list", unexpected),
        ("passed, but is expected to fail: take it off the list", revived),
        ("is expected to fail, but is no test", gone),
    ]:
        for name in names:
            print(f"{title}: {name}")
    print(f"moto {VERSION} tests/{suite}: {len(passed)} of {len(results)} passed ({share:.1%}), {len(failed)} failed")
    required = SUITES[suite]
    if share < required and not partial:
        print(f"fewer than {required:.0%} passed")
    return not (unexpected or revived or gone) and (partial or share >= required)


def main() -> int:
    binary, arguments = os.environ.get("FOREBAY_BIN"), sys.argv[1:]
    if not binary:
        sys.exit(__doc__)
    named = arguments.pop(0) if arguments and arguments[0] in SUITES else None
    folder = suite()
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        server, endpoint = start(binary, pathlib.Path(scratch) / "data")
        try:
            for name in [named] if named else SUITES:
                results[name] = run(folder, endpoint, name, arguments)
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    judged = [judge(name, found, partial=bool(arguments)) for name, found in results.items()]
    return 0 if all(judged) else 1


if __name__ == "__main__":
    sys.exit(main())
