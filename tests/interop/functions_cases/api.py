"""The API of functions with boto3, the AWS CLI and `forebay function`; the runtimes; and who may bring code under --no-auth."""

import base64
import concurrent.futures
import json
import os
import pathlib
import subprocess
import tempfile

from botocore.exceptions import ClientError

from daemon import BINARY, Daemon, read_keys, wait
from functions_cases.place import FUNCTION, TRUST, Place, archive, command, error, has

HELLO = """
import os, time
def handler(event, context):
    print("said to", event.get("name"))
    time.sleep(event.get("sleep", 0))
    left = context.get_remaining_time_in_millis()
    return {"hello": event.get("name"), "left": left, "id": context.aws_request_id, "arn": context.invoked_function_arn, "word": os.environ.get("WORD")}
"""
SENDS = """
import boto3, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=event["queue"], MessageBody=context.function_name)
    return {name: os.environ[name] for name in ("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_LAMBDA_FUNCTION_NAME", "_HANDLER")}
"""
NODE = """
exports.async = async (event, context) => ({ got: event.n + 1, name: context.functionName, left: context.getRemainingTimeInMillis() });
exports.callback = (event, context, callback) => setTimeout(() => callback(null, { got: event.n + 2 }), 5);
exports.fails = async () => { throw new RangeError('too far'); };
"""
MODULE = """
import { basename } from 'node:path';
const base = await Promise.resolve(10);
export const handler = async (event) => ({ got: event.n + base, file: basename(import.meta.url) });
"""
SHELL = """#!/bin/sh
base="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  head=$(mktemp)
  event=$(curl -sS -D "$head" "$base/next")
  id=$(tr -d '\\r' < "$head" | sed -n 's/^lambda-runtime-aws-request-id: //ip')
  echo "in a shell"
  curl -sS -o /dev/null --data-binary "{\\"got\\": $event}" "$base/$id/response"
done
"""


def test_life(place: Place):
    """A function from its making to its end."""
    functions = place.functions
    made = functions.create_function(FunctionName="life", Runtime="python3.13", Role=place.role, Handler="app.handler", Code={"ZipFile": archive(app_py=HELLO)},
                                     Timeout=7, MemorySize=192, Description="first", Tags={"team": "a"}, Environment={"Variables": {"WORD": "one"}})
    assert made["FunctionArn"] == FUNCTION + "life" and made["State"] == "Active" and made["Timeout"] == 7, made
    assert error(functions.create_function, FunctionName="life", Runtime="python3.13", Role=place.role, Handler="app.handler",
                 Code={"ZipFile": archive(app_py=HELLO)}) == "ResourceConflictException"
    payload, answer = place.invoke("life", {"name": "you"}, LogType="Tail")
    told, log = json.loads(payload), base64.b64decode(answer["LogResult"]).decode()
    assert told["hello"] == "you" and told["word"] == "one" and 1000 < told["left"] <= 7000 and told["arn"] == FUNCTION + "life", told
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST", answer
    lines = (f"START RequestId: {told['id']} Version: $LATEST\n", "said to you\n", f"END RequestId: {told['id']}\n", "Memory Size: 192 MB", "Init Duration: ")
    assert all(line in log for line in lines), log
    # Later, and not at all.
    answer = functions.invoke(FunctionName="life", InvocationType="Event", Payload=json.dumps({"name": "later"}))
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b"", answer
    wait(lambda: "said to later" in place.logs("life"), "the event came", 15)
    assert functions.invoke(FunctionName="life", InvocationType="DryRun")["StatusCode"] == 204
    assert error(functions.invoke, FunctionName="life", Payload="{no") == "InvalidRequestContentException"
    assert error(functions.invoke, FunctionName="none", Payload="{}") == "ResourceNotFoundException"
    # Another code, another configuration.
    before = functions.get_function(FunctionName="life")["Configuration"]["RevisionId"]
    update = functions.update_function_code(FunctionName="life", ZipFile=archive(app_py=HELLO.replace('"hello"', '"goodbye"')))
    assert update["CodeSha256"] != made["CodeSha256"] and update["RevisionId"] != before, update
    functions.update_function_configuration(FunctionName="life", Environment={"Variables": {"WORD": "two"}}, Timeout=5)
    told = place.ask("life", {"name": "you"})
    assert (told["goodbye"], told["word"]) == ("you", "two") and told["left"] <= 5000, told
    assert error(functions.update_function_configuration, FunctionName="life", RevisionId=before, Timeout=4) == "PreconditionFailedException"
    got = functions.get_function(FunctionName="life")
    assert got["Tags"] == {"team": "a"} and got["Configuration"]["Environment"]["Variables"] == {"WORD": "two"}, got
    assert got["Configuration"]["CodeSha256"] == update["CodeSha256"] and functions.get_function_configuration(FunctionName="life")["Timeout"] == 5
    pages = functions.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    assert "life" in [one["FunctionName"] for page in pages for one in page["Functions"]]
    # Tags and policy.
    functions.tag_resource(Resource=FUNCTION + "life", Tags={"b": "2"})
    functions.untag_resource(Resource=FUNCTION + "life", TagKeys=["team"])
    assert functions.list_tags(Resource=FUNCTION + "life")["Tags"] == {"b": "2"}
    statement = {"FunctionName": "life", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    functions.add_permission(**statement)
    assert error(functions.add_permission, **statement) == "ResourceConflictException"
    [told] = json.loads(functions.get_policy(FunctionName="life")["Policy"])["Statement"]
    principal = {"Service": "events.amazonaws.com"}
    assert told == {"Sid": "s", "Effect": "Allow", "Principal": principal, "Action": "lambda:InvokeFunction", "Resource": FUNCTION + "life"}, told
    functions.remove_permission(FunctionName="life", StatementId="s")
    assert error(functions.get_policy, FunctionName="life") == "ResourceNotFoundException"
    functions.delete_function(FunctionName="life")
    assert error(functions.invoke, FunctionName="life") == error(functions.get_function, FunctionName="life") == "ResourceNotFoundException"


def test_concurrency(place: Place):
    """Of a function that may run once at a time, the second invocation is refused; also one that may not run at all."""
    functions = place.functions
    place.make("one", archive(app_py=HELLO))
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=1)
    assert functions.get_function_concurrency(FunctionName="one")["ReservedConcurrentExecutions"] == 1
    place.ask("one")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(place.ask, "one", {"name": "slow", "sleep": 2})
        wait(lambda: "said to slow" in place.logs("one"), "the first runs", 10)
        try:
            functions.invoke(FunctionName="one", Payload="{}")
            raise AssertionError("the second ran")
        except ClientError as raised:
            assert raised.response["Error"]["Code"] == "TooManyRequestsException", raised.response
            assert raised.response["ResponseMetadata"]["HTTPStatusCode"] == 429, raised.response
        assert first.result()["hello"] == "slow"
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=0)
    assert error(functions.invoke, FunctionName="one") == "TooManyRequestsException"
    functions.delete_function_concurrency(FunctionName="one")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert len({told["id"] for told in pool.map(lambda _: place.ask("one", {"sleep": 0.5}), range(3))}) == 3
    place.delete("one")


def test_runtimes(place: Place):
    """Python calls this Forebay by boto3; Node; a shell that speaks the Runtime API."""
    url, _ = place.queue("called")
    place.make("sends", archive(app_py=SENDS), MemorySize=512, Timeout=20)
    told = place.ask("sends", {"queue": url})
    assert told == {"AWS_REGION": "local-1", "AWS_ENDPOINT_URL": place.daemon.api, "AWS_LAMBDA_FUNCTION_NAME": "sends", "_HANDLER": "app.handler"}, told
    [message] = place.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "sends"
    place.delete("sends")
    if has("node"):
        node = archive(index_js=NODE, module_mjs=MODULE)
        for name, handler in (("async", "index.async"), ("callback", "index.callback"), ("fails", "index.fails"), ("module", "module.handler")):
            place.make(f"node-{name}", node, "nodejs22.x", handler)
        told = place.ask("node-async", {"n": 1})
        assert told["got"] == 2 and told["name"] == "node-async" and 0 < told["left"] <= 10_000, told
        assert place.ask("node-callback", {"n": 1}) == {"got": 3}
        assert place.ask("node-module", {"n": 1}) == {"got": 11, "file": "module.mjs"}
        told = place.fails("node-fails", {"n": 1})
        assert (told["errorType"], told["errorMessage"]) == ("RangeError", "too far"), told
        place.delete("node-async", "node-callback", "node-module", "node-fails")
    place.make("shell", archive(bootstrap=SHELL), "provided.al2023", "none")
    for number in range(3):
        assert place.ask("shell", {"n": number}) == {"got": {"n": number}}
    wait(lambda: place.logs("shell").count("in a shell\n") == 3, lambda: place.logs("shell"), 10)
    place.delete("shell")


def test_roles(place: Place):
    """Whatever a role is called, functions have its keys; also those of whom many start at once, and first."""
    name = "a+b=c,d.e@f_g-" + "h" * 50
    role = place.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    code = archive(app_py="import os\ndef handler(event, context): return os.environ['AWS_ACCESS_KEY_ID']\n")
    names = [f"role-{number}" for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        # The same code, at once.
        list(pool.map(lambda name: place.make(name, code, Role=role), names))
        keys = set(pool.map(place.ask, names))
    assert len(keys) == 1, keys
    place.delete(*names)


def test_aws_cli(place: Place):
    """The AWS CLI does what boto3 does."""
    access_key, secret = read_keys(place.daemon.directory / "credentials", "default")
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "local-1", "AWS_ENDPOINT_URL": place.daemon.api,
        "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null"}

    def aws(*arguments):
        return json.loads(command("aws", "lambda", *arguments, "--output", "json", environment=environment) or "null")

    with tempfile.TemporaryDirectory() as scratch:
        # Version 1 sends a payload as it is, version 2 decodes it first.
        event = '{"name": "c"}' if "aws-cli/1." in command("aws", "--version") else base64.b64encode(b'{"name": "c"}').decode()
        zipped, out = pathlib.Path(scratch, "f.zip"), pathlib.Path(scratch, "out")
        zipped.write_bytes(archive(app_py=HELLO))
        made = aws("create-function", "--function-name", "cli", "--runtime", "python3.13", "--role", place.role, "--handler", "app.handler",
                   "--zip-file", f"fileb://{zipped}", "--environment", "Variables={WORD=cli}")
        assert made["FunctionArn"] == FUNCTION + "cli", made
        told = aws("invoke", "--function-name", "cli", "--payload", event, "--log-type", "Tail", out)
        assert told["StatusCode"] == 200 and b"said to c\n" in base64.b64decode(told["LogResult"]), told
        assert json.loads(out.read_text())["word"] == "cli"
        aws("update-function-configuration", "--function-name", "cli", "--environment", "Variables={WORD=again}")
        aws("invoke", "--function-name", "cli", out)
        assert json.loads(out.read_text())["word"] == "again"
        aws("delete-function", "--function-name", "cli")


def test_forebay_function(place: Place):
    """`forebay function` adds, changes, invokes, shows logs, lists and removes."""
    flags = ("--data-dir", place.daemon.directory, "--api", place.daemon.api)

    def function(*arguments):
        return command(BINARY, "function", *flags, *arguments)

    with tempfile.TemporaryDirectory() as scratch:
        pathlib.Path(scratch, "app.py").write_text(HELLO)
        add = ("add", "own", "--code", scratch, "--handler", "app.handler")
        assert function(*add, "--env", "WORD=a").strip() == FUNCTION + "own"
        assert json.loads(function("invoke", "own", "--event", '{"name": "cmd"}'))["word"] == "a"
        function(*add, "--env", "WORD=b")
        assert json.loads(function("invoke", "own"))["word"] == "b"
        logs = function("logs", "own").splitlines()
        assert "said to cmd" in logs and logs[-1].startswith("REPORT RequestId: "), logs
        listed = [line.split() for line in function("list").splitlines()]
        assert listed[0][:3] == ["NAME", "RUNTIME", "HANDLER"] and ["own", "python3.13", "app.handler"] in [line[:3] for line in listed], listed
        pathlib.Path(scratch, "app.py").write_text("def handler(event, context): raise KeyError('gone')\n")
        function(*add)
        failed = subprocess.run([BINARY, "function", *flags, "invoke", "own"], capture_output=True, text=True)
        assert failed.returncode == 1 and json.loads(failed.stdout)["errorType"] == "KeyError", failed
        function("remove", "own")
        assert error(place.functions.get_function, FunctionName="own") == "ResourceNotFoundException"


def test_wrong_keys(place: Place):
    access_key, _ = read_keys(place.daemon.directory / "credentials", "default")
    for keys, code in (((access_key, "wrong"), {"InvalidSignatureException", "SignatureDoesNotMatch"}),
                       (("AKIAIOSFODNN7EXAMPLE", "wrong"), {"UnrecognizedClientException", "InvalidClientTokenId"})):
        stranger = place.client("lambda", keys)
        assert error(stranger.list_functions) in code
        make = {"FunctionName": "x", "Runtime": "python3.13", "Role": place.role, "Handler": "app.handler", "Code": {"ZipFile": archive(app_py=HELLO)}}
        assert error(stranger.create_function, **make) in code


def no_auth(flags):
    """Where nobody is asked for keys, code comes only from those that have right ones."""
    with Daemon(pool="127.27.0.0/16", no_auth=True, **flags) as daemon, tempfile.TemporaryDirectory() as scratch:
        place = Place(daemon, flags)
        stranger = place.client("lambda", ("made", "up"))
        make = {"FunctionName": "x", "Runtime": "python3.13", "Role": place.role, "Handler": "app.handler", "Code": {"ZipFile": archive(app_py=HELLO)}}
        assert error(stranger.create_function, **make) == "AccessDeniedException"
        pathlib.Path(scratch, "app.py").write_text(HELLO)
        told = command(BINARY, "function", "--data-dir", daemon.directory, "--api", daemon.api, "add", "x", "--code", scratch, "--handler", "app.handler")
        assert told.strip() == FUNCTION + "x", told
        assert error(stranger.update_function_code, FunctionName="x", ZipFile=archive(app_py=SENDS)) == "AccessDeniedException"
        assert error(stranger.update_function_configuration, FunctionName="x", Handler="os.system") == "AccessDeniedException"
        assert json.loads(stranger.invoke(FunctionName="x", Payload='{"name": "all"}')["Payload"].read())["hello"] == "all"
        assert stranger.list_functions()["Functions"][0]["FunctionName"] == "x"
        place.functions.delete_function(FunctionName="x")
        place.functions.create_function(**make)
        daemon.stop()
