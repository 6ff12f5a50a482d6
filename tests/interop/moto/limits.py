"""A limit of time for each test: those that wait for what never comes fail within seconds, not minutes."""

import signal

import pytest

SECONDS = 20


def late(*_):
    raise TimeoutError(f"the test took longer than {SECONDS} s")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
