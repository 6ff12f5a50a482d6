"""The published experiments with instances, live and in virtual time: an alarm on refused requests scales a group until none is
refused, and servers that are taken away in order fail no request, while those that are killed do.

`elastic.py --full` runs them as long as docs/experiments.md says."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from daemon import BINARY, wait

FULL = "--full" in sys.argv


def play(directory, name, *flags):
    """Figures of an experiment, which must have drawn its plot, too."""
    figures, plot = directory / f"{name}.json", directory / f"{name}.svg"
    command = [BINARY, "--log", "error", "experiment", *flags, "--json", str(figures), "--plot", str(plot)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env={**os.environ, "TMPDIR": str(directory)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "</svg>" in plot.read_text(), name
    return json.loads(figures.read_text())


def check_alarm(told, instances=6):
    assert told["refused"] > 0 and told["failed"] == 0, told
    assert told["served"] + told["refused"] == told["offered"], told
    # Refused first, then the alarm, then more instances; whoever was refused last came before those served, or in the moment of that.
    assert told["first_refusal"] < told["alarm"] <= told["scaled"] <= told["serving"], told
    assert told["last_refusal"] < told["serving"] + 2 and told["none_refused_from"] is not None, told
    assert told["seconds"][0]["instances"] == 3 and told["seconds"][-1]["instances"] == instances, told["seconds"]
    return (f"{told['refused']} of {told['offered']} refused, alarm {told['alarm'] - told['first_refusal']:.1f} s after the first, "
            f"new instances serve {told['serving'] - told['alarm']:.1f} s after that, none refused from second {told['none_refused_from']}")


def check_scale_in(told):
    before, after = told["turns"]
    assert [before["turn"], after["turn"]] == ["before", "after"], told
    assert before["all"]["502"] + before["all"]["504"] > 0, before
    assert after["failing_steps"] == 0 and len(after["steps"]) == 19, after
    for turn in (before, after):
        # Who was not told of a failure has an answer.
        assert turn["all"]["2xx"] > 0 and turn["all"]["others"] == 0, turn
    # Nothing fails while servers come.
    assert not any(step["502"] + step["504"] for step in before["steps"][:8]), before
    lost = before["all"]["502"] + before["all"]["504"]
    return (f"killed: {lost} of {lost + before['all']['2xx']} failed, in {before['failing_steps']} of 19 steps; "
            f"by the group: 0 of {after['all']['2xx']}, in 0 of 19 steps")


def simulated(directory):
    for period in ("10", "60"):
        told = play(directory, f"alarm-simulated-{period}", "reject-alarm", "--simulated", "--period", period)
        print(f"reject-alarm, simulated, periods of {period} s: {check_alarm(told)}")
    told = play(directory, "scale-in-simulated", "scale-in", "--simulated")
    print(f"scale-in, simulated: {check_scale_in(told)}")
    again = play(directory, "scale-in-simulated", "scale-in", "--simulated")
    assert told == again, "the same seed has other figures"


def interrupted(directory):
    """Ctrl-C in the middle ends the instances before the experiment ends."""
    command = [BINARY, "--log", "error", "experiment", "scale-in", "--step-seconds", "60", "--address-pool", "127.226.0.0/16"]
    playing = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(directory)})
    seen = wait(lambda: shims(directory), "an instance runs", 30)
    playing.send_signal(signal.SIGINT)
    said = playing.communicate(timeout=60)[1]
    assert playing.returncode == 1 and "interrupted" in said, said
    check_nothing_left(directory, seen)


def shims(directory):
    """Instances in this directory that have a process."""
    found = set()
    for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"instance-shim" in words[:2] and any(word.startswith(bytes(directory)) for word in words):
            found.add(pathlib.Path(os.fsdecode(words[2])).name)
    return found


def check_nothing_left(directory, seen):
    """Neither processes nor directories, nor network namespaces of instances that were seen."""
    assert not shims(directory), shims(directory)
    assert not list(directory.glob("forebay-experiment-*")), list(directory.iterdir())
    spaces = pathlib.Path("/run/netns")
    left = [path.name for path in spaces.glob("*") if any(id in path.name for id in seen)] if spaces.exists() else []
    assert not left, left


def main():
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor() as both:
        directory = pathlib.Path(name)
        period, seconds = (("--period", "60"), ()) if FULL else (("--period", "10", "--warm-up", "10"), ("--step-seconds", "1"))
        alarm = both.submit(play, directory, "alarm", "reject-alarm", "--address-pool", "127.226.0.0/16", *period,
                            *(() if FULL else ("--seconds", "25")))
        scale_in = both.submit(play, directory, "scale-in", "scale-in", "--address-pool", "127.227.0.0/16", *seconds)
        simulated(directory)
        seen = set()
        while not (alarm.done() and scale_in.done()):
            seen |= shims(directory)
            time.sleep(0.2)
        print(f"reject-alarm: {check_alarm(alarm.result())}")
        print(f"scale-in: {check_scale_in(scale_in.result())}")
        check_nothing_left(directory, seen)
        interrupted(directory)
        check_nothing_left(directory, seen)
    assert len(seen) >= 6 + 8 + 8, seen
    print(f"elastic: passed in {time.monotonic() - began:.0f} s; nothing is left of {len(seen)} instances")


if __name__ == "__main__":
    sys.exit(main())
