"""Everything that the service models forbid, and everything that they have and Forebay does not."""

import collections
import itertools
import pathlib
import re
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from boto3_cases.shop import Shop
from daemon import REGION, Daemon, read_keys

ROOT = pathlib.Path(__file__).parents[3]


def documented_operations():
    """Service to the operations that the generated page says are served."""
    found, service = {}, None
    for line in (ROOT / "docs/supported-operations.md").read_text().splitlines():
        if heading := re.match(r"## .*\(`([\w-]+)`\)", line):
            service = found.setdefault(heading[1], set())
        elif line.startswith("- "):
            service.add(line[2:].strip())
    return found


def long_enough(shape, text):
    return text * -(-max(1, shape.metadata.get("min", 0)) // len(text))


def sound(shape, depth=0):
    """A value that keeps the shape's constraints, its pattern perhaps left out; deep structures with what is required only."""
    if shape.type_name == "structure":
        return {name: sound(member, depth + 1) for name, member in shape.members.items() if name in shape.required_members}
    if shape.type_name == "list":
        return [sound(shape.member, depth + 1)] * max(1, shape.metadata.get("min", 0))
    if shape.type_name == "map":
        return {sound(shape.key): sound(shape.value)}
    if shape.type_name in ("integer", "long", "float", "double"):
        return max(1, shape.metadata.get("min", 1))
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else long_enough(shape, "a")
    return {"boolean": True, "blob": b"a" * max(1, shape.metadata.get("min", 0)), "timestamp": 0}[shape.type_name]


def matches(pattern, text):
    """Whether a Java pattern takes the whole text; None if Python cannot tell."""
    python = re.sub(r"\\p{(L|N|Z|IsLatin)}", "", pattern)
    try:
        return re.fullmatch(python, text) is not None
    except re.error:
        return None


def violations(shape, required=True):
    """What breaks the shape's own constraints: what it is called, and the value."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    kind = shape.type_name
    if kind in ("integer", "long"):
        yield "no number", "abc"
        yield "a huge number", 10**30
        if high is not None:
            yield "too large", high + 1
        if low is not None:
            yield "too small", low - 1
    elif kind == "string":
        if shape.enum:
            yield "not in the enum", "no-such-word"
        if high is not None and high < 100_000:
            yield "too long", "a" * (high + 1)
        # A path without one of its parts is another operation's.
        if low and not shape.enum and not (low == 1 and shape.serialization.get("location") == "uri"):
            yield "too short", "a" * (low - 1)
        if pattern := shape.metadata.get("pattern"):
            # In a header only plain text can be signed alike at both ends.
            plain = shape.serialization.get("location") == "header"
            for text in ("!", "a b", "<x>&") if plain else ("\u2603\u00a7", "!", " ", "a b", "<x>&"):
                fits = long_enough(shape, text)[: high or None]
                if matches(pattern, fits) is False and len(fits) >= (low or 0):
                    yield "not by the pattern", fits
                    break
    elif kind == "list":
        if high is not None and high < 1000:
            yield "too many", [sound(shape.member)] * (high + 1)
        if low:
            yield "too few", []
    elif kind == "blob" and high is not None and high < 200_000:
        yield "too long", b"a" * (high + 1)


def wrong_inputs(shape, known, build=lambda value: value, path="", depth=0):
    """Every input with one violation: its path, what is wrong, the input. `known` holds values of members that name something
    that exists; `build` places a value where `shape` is."""
    for wrong, value in violations(shape):
        yield path, wrong, build(value)
    if shape.type_name == "structure" and depth < 4:
        base = {**sound(shape), **{name: value for name, value in known.items() if name in shape.members and depth == 0}}
        for name, member in shape.members.items():
            below = f"{path}.{name}" if path else name
            rest = {other: value for other, value in base.items() if other != name}
            if not rest and depth:
                # What has no member at all cannot be sent.
                others = (other for other in shape.members if other != name and shape.members[other].type_name == "string")
                rest = {other: sound(shape.members[other]) for other in itertools.islice(others, 1)}
            if name in shape.required_members and (rest or not depth):
                yield below, "missing", build(rest)
            yield from wrong_inputs(member, known, lambda value, name=name: build({**base, name: value}), below, depth + 1)
    elif shape.type_name == "list":
        yield from wrong_inputs(shape.member, known, lambda value: build([value]), f"{path}.1", depth + 1)


REFUSED_INPUT = re.compile(r"Validation(Error|Exception)|Malformed\w*|Missing\w*|InvalidParameter\w*|Invalid\w*\.Malformed|SerializationException|InvalidLoadBalancerAction|InvalidAttributeName")


def code_of(client, operation, arguments):
    """Status, code and message of the answer; any answer that is no refusal has the code OK."""
    try:
        client._make_api_call(operation, arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return 200, "OK", ""


# A blank text is to Elastic Load Balancing one that was not given, and Query cannot say that a list is empty: what the operation
# then lacks may get any refusal.
SAME_AS_MISSING = ("too short", "too few")


def lenient_client(daemon, service):
    key, secret = read_keys(daemon.directory / "credentials", "default")
    config = Config(retries={"max_attempts": 0}, read_timeout=30, parameter_validation=False)
    return boto3.client(service, endpoint_url=daemon.api, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret, config=config)


def test_model_driven(_):
    sent, problems = collections.Counter(), []
    with Daemon(pool="127.37.0.0/16") as daemon:
        shop = Shop(daemon)
        balancer, group = shop.balancer()["LoadBalancerArn"], shop.group()
        listener = shop.listener(balancer, group)
        known = {"LoadBalancerArn": balancer, "TargetGroupArn": group, "ListenerArn": listener, "RuleArn": shop.rule(listener, 1)}
        for service, served in documented_operations().items():
            client = lenient_client(daemon, service)
            model = client.meta.service_model
            assert served <= set(model.operation_names), served - set(model.operation_names)
            for operation in sorted(served):
                shape = model.operation_model(operation).input_shape
                if shape is None:
                    continue
                for path, wrong, arguments in wrong_inputs(shape, known):
                    try:
                        status, code, message = code_of(client, operation, arguments)
                    except Exception as error:  # noqa: BLE001: what botocore's own serialiser cannot send
                        if "serialize" in "".join(traceback.format_tb(error.__traceback__)):
                            continue
                        problems.append(f"{service} {operation} {path} {wrong}: {error!r}")
                        continue
                    sent[wrong] += 1
                    if not 400 <= status < 500 or (not REFUSED_INPUT.fullmatch(code) and wrong not in SAME_AS_MISSING):
                        problems.append(f"{service} {operation} {path} {wrong}: {status} {code} {message[:150]}")
        assert "panicked" not in daemon.stderr(), daemon.stderr()[-2000:]
    print(f"    {sum(sent.values())} calls with one thing wrong: {dict(sent)}")
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems)


def test_unsupported_operations(_):
    count = 0
    with Daemon(pool="127.37.0.0/16") as daemon:
        for service, served in documented_operations().items():
            client = lenient_client(daemon, service)
            wanted = "UnknownOperationException" if client.meta.service_model.resolved_protocol in ("json", "rest-json") else "InvalidAction"
            for operation in client.meta.service_model.operation_names:
                if operation in served:
                    continue
                shape = client.meta.service_model.operation_model(operation).input_shape
                status, code, message = code_of(client, operation, sound(shape) if shape else {})
                assert (status, code) == (400, wanted) and operation in message, (service, operation, status, code, message)
                count += 1
    print(f"    {count} operations are named as not served")
