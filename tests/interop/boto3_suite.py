"""boto3 against the program: what a careful user of AWS relies on. Each function named test_* of boto3_cases is one case.

Name cases as arguments to run only these. `--record FILE` writes every answer, ids and dates left out: files of two builds that
answer alike are equal."""

import sys
import time
import traceback

from boto3_cases import attributes, cloudwatch, controller, errors, life, models, persistence, resources, signatures
from boto3_cases.answers import Answers
from boto3_cases.shop import Shop
from daemon import Daemon

MODULES = (life, errors, attributes, resources, cloudwatch, signatures, controller, models, persistence)


def main():
    cases = {name: case for module in MODULES for name, case in vars(module).items() if name.startswith("test_")}
    arguments = sys.argv[1:]
    record = arguments[1] if arguments[:1] == ["--record"] else None
    answers = Answers()
    if record:
        arguments = arguments[2:]
        client_of = Daemon.client

        def client(*given, **options):
            made = client_of(*given, **options)
            answers.listen(made)
            return made

        Daemon.client = client
    chosen = {name: cases[name] for name in arguments} or cases
    failed = []
    with Daemon(pool="127.32.0.0/14") as daemon:
        shop = Shop(daemon)
        for name, case in chosen.items():
            began = time.monotonic()
            answers.case = name
            try:
                case(shop)
                print(f"  {name} passed in {time.monotonic() - began:.1f} s", flush=True)
            except Exception:  # noqa: BLE001: a runner reports whatever a case raises
                failed.append(name)
                print(f"  {name} FAILED\n{traceback.format_exc()}", flush=True)
        if "panicked" in daemon.stderr():
            failed.append("panic")
            print(daemon.stderr()[-4000:])
        if not failed:
            daemon.stop()
    if record:
        answers.write(record)
    print(f"boto3: {len(chosen) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
