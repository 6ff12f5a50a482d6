"""A limit of time for each test: those that wait for what never comes fail within seconds, not minutes."""

import faulthandler
import signal

import pytest

SECONDS = 20
# The error may be caught by what it interrupts.
AGAIN = 5
# With its set-up, and if it heeds no signal: the whole suite ends, and tells where it was.
END = 120


def late(*_):
    raise TimeoutError(f"the test took longer than {SECONDS} s")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, AGAIN)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    faulthandler.dump_traceback_later(END, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
