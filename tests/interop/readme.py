"""The README's first load balancer, line by line as it is printed there, in the shell of someone whose environment leads to another account:
at the end a request is answered. AWS CLI v1.

Its ports are fixed, so it runs in a network namespace of its own; where the machine makes none, they must be free.
"""

import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
HEADING = "## A first load balancer with the AWS CLI"
BINARY = os.environ.get("FOREBAY_BIN") or sys.exit("FOREBAY_BIN must name the forebay binary; run `cargo xtask interop`")
# A login shell's keys, profile and session of an account that has nothing to do with Forebay, and no region.
FOREIGN = {
    "AWS_PROFILE": "work",
    "AWS_ACCESS_KEY_ID": "AKIAFOREIGNFOREIGN00",
    "AWS_SECRET_ACCESS_KEY": "foreign/foreign/foreign/foreign/foreign0",
    "AWS_SESSION_TOKEN": "foreign",
}


def printed():
    """The lines of the section's shell block."""
    text = (ROOT / "README.md").read_text()
    assert text.count(f"\n{HEADING}\n") == 1, f"README.md has no one section '{HEADING}'"
    section = re.split(r"\n##+ ", text.split(f"\n{HEADING}\n")[1])[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"the section has {len(blocks)} blocks of shell, not one"
    lines = blocks[0]
    # In zsh, as people use it, a comment at a line's end is more arguments.
    assert "#" not in re.sub(r"'[^']*'", "", lines), "a comment in the README's lines"
    for line in ('cargo build --release\n', './target/release/forebay up &\n', 'eval "$(./target/release/forebay env)"\n'):
        assert line in lines, f"README.md does not print {line!r}"
    return lines


def own_network():
    """Goes on in a network namespace of its own, if it can; else says which of the README's ports are taken."""
    asked = os.environ.get("FOREBAY_README_NETWORK")
    if asked:
        raise_loopback()
        if asked == "probe":
            sys.exit(0)
        return
    # Some systems make the namespace and let nobody configure it, so the probe does all that will be done.
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, __file__]
    probe = {**os.environ, "FOREBAY_README_NETWORK": "probe"}
    if shutil.which("unshare") and subprocess.run(command, env=probe, capture_output=True).returncode == 0:
        os.execvpe(command[0], command, {**os.environ, "FOREBAY_README_NETWORK": "own"})
    print("readme: no network namespace can be made here; going on with the machine's own ports", flush=True)
    taken = [port for port in (4566, 4567, 8080, 9001, 9002) if not is_free(port)]
    if taken:
        sys.exit(f"readme: port {', '.join(map(str, taken))} of 127.0.0.1 is taken, and the README's lines need it: free it, or run as a user "
                 "who may make network namespaces (`unshare --user --map-root-user --net true` must succeed)")


def raise_loopback():
    """A new namespace's loopback is down at first: SIOCGIFFLAGS, SIOCSIFFLAGS and IFF_UP of netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sH14s", fcntl.ioctl(control, 0x8913, struct.pack("16sH14s", b"lo", 0, b"")))[1]
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14s", b"lo", flags | 1, b""))


def is_free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def newcomer(directory):
    """A home and a checkout with a program that has been built; the environment of a shell there."""
    home, checkout = directory / "home", directory / "checkout"
    for place in (home / ".aws", checkout / "target/release", directory / "bin"):
        place.mkdir(parents=True)
    (home / ".aws/credentials").write_text(
        "".join(f"[{name}]\naws_access_key_id = AKIAFOREIGNFOREIGN01\naws_secret_access_key = foreign\n" for name in ("default", "work")))
    (home / ".aws/config").write_text("[profile work]\noutput = table\n")
    shutil.copy2(BINARY, checkout / "target/release/forebay")
    # The program that is judged has been built from this source already: the line that builds it only has to be that line.
    cargo = directory / "bin/cargo"
    cargo.write_text('#!/bin/sh\n[ "$*" = "build --release" ]\n')
    cargo.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FOREBAY_", "PYTHON"))}
    path = f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return checkout, {**kept, "HOME": str(home), "PATH": path, **FOREIGN}


def follow(shell, lines, directory):
    """Runs the lines in this shell; the CLI's version, what they printed, and how many seconds they took."""
    began = time.monotonic()
    checkout, environment = newcomer(directory)
    version = subprocess.run(["aws", "--version"], env=environment, capture_output=True, text=True).stdout
    assert version.startswith("aws-cli/1."), f"not AWS CLI v1: {version!r}"
    # A line that fails ends it, and is the last that was echoed.
    with open(directory / "out", "w+") as out, open(directory / "err", "w+") as err:
        process = subprocess.Popen(
            [shell, "-ev", "-c", lines], cwd=checkout, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True, text=True)
        try:
            code = process.wait(timeout=180)
        finally:
            # The programs that the lines left in the background, all of them of the session begun here.
            os.killpg(process.pid, signal.SIGKILL)
        said, complained = ((directory / name).read_text() for name in ("out", "err"))
    assert code == 0, f"{shell}: the README's lines ended with {code}\n{said}\n{complained}"
    return version.split()[0], said, time.monotonic() - began


def main():
    own_network()
    lines = printed()
    # sh is whatever the machine has under that name; others where they are.
    for shell in ("bash", "sh", "zsh"):
        if shutil.which(shell) is None:
            continue
        with tempfile.TemporaryDirectory(prefix="forebay-readme-") as directory:
            version, said, took = follow(shell, lines, pathlib.Path(directory))
        answer = said.splitlines()[-1]
        assert answer in ("a", "b"), f"{shell}: no target's answer at the end of {said!r}"
        print(f"readme: {len(list(filter(None, lines.splitlines())))} printed lines in {shell} with {version}: answered by target {answer} after {took:.0f} s", flush=True)
    print("readme: good")


if __name__ == "__main__":
    main()
