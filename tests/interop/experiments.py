"""The published experiment of Target Optimizer, live: ALB's mode refuses, the queue refuses none, and no target ever has two at a time. And
workers on a queue, in virtual time, and live with everything ten times as quick.

`experiments.py --full` runs it as long as docs/experiments.md says."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from daemon import BINARY

FULL = "--full" in sys.argv
SECONDS = "20" if FULL else "5"


def play(*flags):
    """Rounds, each with the runs of ALB's mode and of ours."""
    with tempfile.TemporaryDirectory() as directory:
        figures, plot = pathlib.Path(directory) / "figures.json", pathlib.Path(directory) / "plot.svg"
        command = [BINARY, "experiment", "target-optimizer", "--seconds", SECONDS, "--json", str(figures), "--plot", str(plot), *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        drawn = [name for name in os.listdir(directory) if name.endswith(".svg")]
        rounds = json.loads(figures.read_text())
        assert len(drawn) == len(rounds), drawn
        return rounds


def agents():
    for told in play("--load", "70,150"):
        refusing, queueing = told["runs"]
        print(f"{told['round']}: ALB's mode refuses {refusing['refused']} of {refusing['requests']}, the queue {queueing['refused']}; "
              f"waits up to {queueing['wait_longest_ms']:.0f} ms")
        assert refusing["refused"] > 0 and refusing["served"] + refusing["refused"] == refusing["requests"], refusing
        # Below capacity over the time that requests may wait.
        assert queueing["served"] == queueing["requests"], queueing
        for run in (refusing, queueing):
            assert run["at_a_time"] == [1, 1, 1], run


def limits():
    (told,) = play("--load", "150", "--without-agents", "--targets", "2", "--limit", "2", "--service", "100")
    refusing, queueing = told["runs"]
    assert refusing["refused"] > 0 and queueing["served"] == queueing["requests"], told
    assert refusing["at_a_time"] == queueing["at_a_time"] == [2, 2], told


def backlog():
    """Workers on a queue, in virtual time: published against ours."""
    with tempfile.TemporaryDirectory() as directory:
        figures = pathlib.Path(directory) / "figures.json"
        command = [BINARY, "experiment", "queue-backlog", "--scenes", "25s,50s", "--seeds", "20" if FULL else "3", "--json", str(figures)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        scenes = json.loads(figures.read_text())["scenes"]
    for scene, most in zip(scenes, (4, 8), strict=True):
        runs = {told["controller"]: told["runs"] for told in scene["controllers"]}
        assert all(run["most_instances"] == most and run["done_seconds"] > 300 for run in runs["aws-moving"]), scene["scene"]
        for name in [name for name in runs if name.startswith("forebay")]:
            late = [run for run in runs[name] if run["longest_seconds"] > 300 or run["messages"] != 50 or run["cut"]]
            assert not late, (scene["scene"], name, late)
        longest = max(run["longest_seconds"] for run in runs["forebay"])
        print(f"workers on a queue, {scene['scene']}: published {most} instances and late, ours done within {longest:.0f} s")


def backlog_live():
    """The same with real workers, 25 and 50 s side by side."""
    scale = 1 if FULL else 10
    with tempfile.TemporaryDirectory() as directory:
        figures, plot = pathlib.Path(directory) / "figures.json", pathlib.Path(directory) / "plot.svg"
        command = [BINARY, "experiment", "queue-backlog", "--live", "--scale", str(scale), "--seeds", "3", "--json", str(figures), "--plot", str(plot)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        assert sorted(name for name in os.listdir(directory) if name.endswith(".svg")) == ["plot-25s.svg", "plot-50s.svg"]
        scenes = json.loads(figures.read_text())["scenes"]
    for scene, least in zip(scenes, (5, 10), strict=True):
        live, simulated = scene["controllers"]
        (run,), timeline = live["runs"], live["runs"][0]["timeline"]
        assert live["live"] and not simulated["live"] and live["shortfall"] is None, live
        assert run["messages"] == 50 and run["cut"] == 0 and run["longest_seconds"] <= scene["latency_seconds"], run
        assert least <= run["most_instances"] <= least + 2 and run["changes"][0][0] < 1, run
        assert timeline[-1]["visible"] == 0 and max(second["in_flight"] for second in timeline) >= least, timeline
        print(f"workers on a queue, {scene['scene']}, live, {scale} times as quick: {run['most_instances']} instances, done after "
              f"{run['done_seconds']:.1f} of {scene['latency_seconds']:g} s; in virtual time {simulated['runs'][0]['done_seconds']:.1f} s")


if __name__ == "__main__":
    agents()
    limits()
    backlog()
    backlog_live()
    print("experiments: the queue refused none")
