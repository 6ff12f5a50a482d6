"""SQS as its clients know it: boto3, the AWS CLI, and the Query protocol by hand. Each function named test_* of sqs_cases is one case with
queues of its own; they run side by side. Beside them what outlives a process: kill -9, a take-over, a backup; and
a Forebay that is full.

Name cases as arguments to run only these (`kills`, `takes_over`, `restores` and `is_full` are the four with a daemon of their own)."""

import concurrent.futures
import sys
import time
import traceback

from daemon import Daemon
from sqs_cases import dead_letters, durable, fifo, messages, metrics, old_clients, queues
from sqs_cases.place import Place

MODULES = (messages, queues, fifo, dead_letters, old_clients, metrics)
# By the address pool that each has for itself.
ALONE = {"kills": (durable.kills, "127.16.64.0/18"), "takes_over": (durable.takes_over, "127.16.128.0/18"), "restores": (durable.restores, "127.16.192.0/19"),
         "is_full": (durable.is_full, "127.16.224.0/19")}
POOL = "127.16.0.0/18"


def run(name, case, argument):
    """Whether it passed."""
    began = time.monotonic()
    try:
        case(argument)
        print(f"  {name} passed in {time.monotonic() - began:.1f} s", flush=True)
        return True
    except Exception:  # noqa: BLE001: a runner reports whatever a case raises
        print(f"  {name} FAILED\n{traceback.format_exc()}", flush=True)
        return False


def main():
    cases = {name: case for module in MODULES for name, case in vars(module).items() if name.startswith("test_")}
    wanted = sys.argv[1:] or [*ALONE, *cases]
    if unknown := set(wanted) - set(cases) - set(ALONE):
        sys.exit(f"there is no case {', '.join(sorted(unknown))}")
    began = time.monotonic()
    with Daemon(pool=POOL) as daemon, concurrent.futures.ThreadPoolExecutor(8) as pool:
        place = Place(daemon)
        ran = {name: pool.submit(run, name, *ALONE[name]) if name in ALONE else pool.submit(run, name, cases[name], place) for name in wanted}
        failed = [name for name, one in ran.items() if not one.result()]
        if "panicked" in daemon.stderr():
            failed.append("panic")
            print(daemon.stderr()[-4000:])
        if not failed:
            daemon.stop()
    print(f"sqs: {len(wanted) - len(failed)} passed, {len(failed)} failed {' '.join(failed)} in {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
