"""Functions judged from outside: their API with boto3 and the AWS CLI, load balancers' events against AWS's published ones, speed, cold
starts, hostile handlers, queues and events. Each function named test_* of functions_cases is one case with functions of its own.

Name cases as arguments to run only these. `--cold N` makes that many cold starts."""

import argparse
import concurrent.futures
import sys
import time
import traceback

from daemon import Daemon
from functions_cases import alb, api, cold, hostile, sources, speed
from functions_cases.place import Place, python

POOL = "127.26.0.0/16"
# Those that run beside each other, and those that are alone, in this order, as they measure.
BESIDE = (alb, api, sources)


def run(name, case, *arguments):
    """Whether it passed."""
    began = time.monotonic()
    try:
        told = case(*arguments)
        print(f"  {name} passed in {time.monotonic() - began:.1f} s{': ' + told if told else ''}", flush=True)
        return True
    except Exception:  # noqa: BLE001: a runner reports whatever a case raises
        print(f"  {name} FAILED\n{traceback.format_exc()}", flush=True)
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cold", type=int, default=200, metavar="N")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    beside = {name: case for module in BESIDE for name, case in vars(module).items() if name.startswith("test_")}
    alone = {"speed": (speed.speed,), "cold": (cold.cold, options.cold), "hostile": (hostile.hostile,)}
    wanted = options.cases or ["no_auth", *beside, *alone]
    if unknown := set(wanted) - set(beside) - set(alone) - {"no_auth"}:
        sys.exit(f"there is no case {', '.join(sorted(unknown))}")
    began = time.monotonic()
    with python() as flags, Daemon(pool=POOL, **flags) as daemon:
        place = Place(daemon, flags)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            ran = {name: pool.submit(run, name, beside[name], place) for name in wanted if name in beside}
            if "no_auth" in wanted:
                ran["no_auth"] = pool.submit(run, "no_auth", api.no_auth, flags)
            failed = [name for name, one in ran.items() if not one.result()]
        failed += [name for name in wanted if name in alone and not run(name, alone[name][0], place, *alone[name][1:])]
        if "panicked" in daemon.stderr():
            failed.append("panic")
        if failed:
            print(daemon.stderr()[-6000:])
        else:
            daemon.stop()
            assert not place.left(), place.left()
    print(f"functions: {len(wanted) - len(failed)} passed, {len(failed)} failed {' '.join(failed)} in {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
