"""gRPC judged by grpcio: all four shapes, cancellation, deadlines, large metadata, trailers-only errors and health checks,
through TLS; every call is made directly and through the balancer, and there may be no difference."""

import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
from concurrent import futures

import grpc

from frames import NAME, Secure, certificate
from daemon import Daemon, Sample, free_port, wait

SERVICE = "/test.Echo/"


class Echo(grpc.GenericRpcHandler):
    """Messages are bytes as they are. What a call does is in its method's name."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.open = 0

    def service(self, call):
        name = call.method.rsplit("/", 1)[1]
        if call.method == "/AWS.ALB/healthcheck":
            # As a server without this method does: 12, ALB's default matcher.
            return None
        shape = {
            "Unary": (grpc.unary_unary_rpc_method_handler, self.unary),
            "Fail": (grpc.unary_unary_rpc_method_handler, self.fail),
            "Slow": (grpc.unary_unary_rpc_method_handler, self.slow),
            "Meta": (grpc.unary_unary_rpc_method_handler, self.meta),
            "Down": (grpc.unary_stream_rpc_method_handler, self.down),
            "Endless": (grpc.unary_stream_rpc_method_handler, self.endless),
            "Up": (grpc.stream_unary_rpc_method_handler, self.up),
            "Both": (grpc.stream_stream_rpc_method_handler, self.both),
            "FailMidway": (grpc.unary_stream_rpc_method_handler, self.fail_midway),
        }.get(name)
        return shape and shape[0](shape[1])

    def unary(self, message, context):
        context.set_trailing_metadata((("x-end", "here"), ("x-bytes-bin", b"\0\1\2")))
        return message[::-1]

    def fail(self, message, context):
        context.abort(coded(message), f"failed with {message.decode()}: ü")

    def slow(self, message, context):
        time.sleep(float(message))
        return b"late"

    def meta(self, message, context):
        met = [(k, v) for k, v in context.invocation_metadata() if k.startswith("x-test")]
        context.send_initial_metadata(tuple((f"x-got-{k[7:]}", v) for k, v in met))
        return str(sum(len(v) for _, v in met)).encode()

    def down(self, message, context):
        for index in range(int(message)):
            yield b"%d" % index * 10

    def endless(self, message, context):
        context.add_callback(self.cancelled.set)
        while context.is_active():
            yield b"tick"
            time.sleep(0.01)

    def up(self, messages, context):
        return b"%d" % sum(len(message) for message in messages)

    def both(self, messages, context):
        for message in messages:
            yield message.upper()

    def fail_midway(self, message, context):
        yield b"one"
        yield b"two"
        context.abort(grpc.StatusCode.DATA_LOSS, "midway")


def coded(message):
    return next(code for code in grpc.StatusCode if code.value[0] == int(message))


def outcome(work):
    """What a call came to, in comparable form."""
    try:
        return work()
    except grpc.RpcError as error:
        trailers = sorted((k, v) for k, v in (error.trailing_metadata() or ()) if not k.startswith("x-envoy"))
        return "error", error.code(), error.details(), trailers


def calls(channel):
    """Each call by its name."""

    def unary(name, message, metadata=None, **options):
        def work():
            answer, call = channel.unary_unary(SERVICE + name).with_call(message, metadata=metadata, timeout=20, **options)
            initial = sorted((k, v) for k, v in call.initial_metadata() if k.startswith("x-got"))
            return answer, initial, sorted((k, v) for k, v in call.trailing_metadata())
        return work

    def both():
        seen = []
        gate = threading.Semaphore(1)

        def messages():
            for index in range(200):
                # One at a time: the answer to each must come before the next is sent.
                gate.acquire()
                yield b"message %d" % index
        for answer in channel.stream_stream(SERVICE + "Both")(messages(), timeout=30):
            seen.append(answer)
            gate.release()
        return seen

    large = [(f"x-test-{index}", "v" * 900) for index in range(7)]
    table = {
        "unary": unary("Unary", b"hello"),
        "empty": unary("Unary", b""),
        "3 MB": unary("Unary", b"a" * 3_000_000),
        "metadata": unary("Meta", b"", metadata=large),
        "binary metadata": unary("Meta", b"", metadata=[("x-test-bin", bytes(range(256)))]),
        "no such method": unary("Nothing", b""),
        "server stream": lambda: list(channel.unary_stream(SERVICE + "Down")(b"5000", timeout=30)),
        "empty stream": lambda: list(channel.unary_stream(SERVICE + "Down")(b"0", timeout=30)),
        "fails midway": lambda: collect(channel.unary_stream(SERVICE + "FailMidway")(b"", timeout=30)),
        "client stream": lambda: channel.stream_unary(SERVICE + "Up")((b"x" * 1000 for _ in range(3000)), timeout=30),
        "empty client stream": lambda: channel.stream_unary(SERVICE + "Up")(iter(()), timeout=30),
        "both": both,
        "deadline": lambda: channel.unary_unary(SERVICE + "Slow")(b"5", timeout=0.3),
    }
    for code in grpc.StatusCode:
        if code is not grpc.StatusCode.OK:
            table[f"trailers only {code.name}"] = unary("Fail", b"%d" % code.value[0])
    return table


def collect(stream):
    seen = []
    try:
        for message in stream:
            seen.append(message)
    except grpc.RpcError as error:
        return seen, error.code(), error.details()
    return seen


def cancel(channel, echo):
    echo.cancelled.clear()
    stream = channel.unary_stream(SERVICE + "Endless")(b"")
    assert next(stream) == b"tick"
    stream.cancel()
    assert echo.cancelled.wait(10), "the server was not told that the client left"


def serve(echo, credentials=None, **options):
    server = grpc.server(futures.ThreadPoolExecutor(64), handlers=(echo,), options=[("grpc.max_receive_message_length", -1)])
    port = server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def secure_channel(front):
    credentials = grpc.ssl_channel_credentials(front.pem)
    return grpc.secure_channel(front.address, credentials, options=[
        ("grpc.ssl_target_name_override", NAME), ("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)])


def compare(front, port, label):
    limits = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=limits) as direct, secure_channel(front) as through:
        here, there = calls(direct), calls(through)
        for name in here:
            expected, got = outcome(here[name]), outcome(there[name])
            assert got == expected, f"{label}, {name}: {str(got)[:300]} instead of {str(expected)[:300]}"
        return len(here)


def many(front):
    """200 calls at once on one connection share few connections to the target."""
    with secure_channel(front) as channel:
        call = channel.unary_unary(SERVICE + "Slow")
        for pending in [call.future(b"0.2", timeout=30) for _ in range(200)]:
            assert pending.result() == b"late"


class Nginx:
    """nginx as an origin that speaks HTTP/2 in clear."""

    def __init__(self):
        self.port = free_port()
        self.directory = tempfile.mkdtemp(prefix="forebay-nginx-")
        root = pathlib.Path(self.directory)
        (root / "two").mkdir()
        (root / "index.html").write_text("hello\n")
        (root / "two" / "x").write_text("two\n")
        (root / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;\n"
            f"uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;\n"
            f"server {{ listen 127.0.0.1:{self.port} http2; root {root}; }} }}\n")

    def __enter__(self):
        self.process = subprocess.Popen(["nginx", "-c", f"{self.directory}/nginx.conf", "-p", self.directory], stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def mismatches(front):
    """What may not go where answers 464; no target at all answers 503, with gRPC's own status."""
    def says(expected, *options):
        got = curl(*options)
        assert got == expected, f"{options}: {got} instead of {expected}"

    def curl(*options):
        command = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code} %header{grpc-status}", "--max-time", "20", *options]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    base = f"https://{front.address}"
    grpc_type = ["-H", "content-type: application/grpc"]
    says("464", "--http1.1", f"{base}/test.Echo/Unary")
    says("464", "--http2", f"{base}/test.Echo/Unary")  # GET
    says("464 2", "--http2", *grpc_type, "-d", "x", f"{base}/plain")
    says("464", "--http1.1", f"{base}/two/x")
    says("200", "--http2", f"{base}/two/x")
    says("405", "--http2", *grpc_type, "-d", "x", f"{base}/two/x")  # nginx's own: a page takes no POST
    says("503 14", "--http2", *grpc_type, "-d", "x", f"{base}/nobody/x")


def main():
    with Daemon(pool="127.140.0.0/14", workers=2) as running, Sample("plain") as sample:
        front = Secure(running, name="grpc")
        front.balancer.register(sample)
        front.balancer.wait_healthy(sample)
        echo = Echo()
        server, port = serve(echo)
        group = front.group("GRPC", "/test.Echo/*", [("127.0.0.1", port)], Matcher={"GrpcCode": "12"})
        print("healthy by a gRPC health check (12)")
        count = compare(front, port, "gRPC group")
        with secure_channel(front) as channel:
            cancel(channel, echo)
        many(front)
        print(f"{count} kinds of call: no difference; a cancelled call was told to the server; 200 calls at once")
        front.elb.modify_target_group(TargetGroupArn=group, Matcher={"GrpcCode": "0"})
        wait(lambda: front.health(group)[0][0] == "unhealthy", "the matcher 0 is not met by 12", 40)
        assert "12" in front.health(group)[0][1], front.health(group)
        front.elb.modify_target_group(TargetGroupArn=group, Matcher={"GrpcCode": "0-99"})
        wait(lambda: front.health(group)[0][0] == "healthy", "the matcher 0-99 is met", 40)
        with Nginx() as two:
            front.group("HTTP2", "/two/*", [("127.0.0.1", two.port)])
            front.elb.create_rule(
                ListenerArn=front.listener, Priority=90, Conditions=[{"Field": "path-pattern", "Values": ["/nobody/*"]}],
                Actions=[{"Type": "forward", "TargetGroupArn": front.elb.create_target_group(
                    Name="nobody", Protocol="HTTP", ProtocolVersion="GRPC", Port=80, TargetType="ip",
                    VpcId=running.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"])["TargetGroups"][0]["TargetGroupArn"]}])
            mismatches(front)
        print("464 and gRPC's statuses where ALB has them")
        pem, key = certificate("target.test")
        credentials = grpc.ssl_server_credentials([(key, pem)])
        third = Echo()
        tls_server, tls_port = serve(third, credentials)
        front.elb.delete_rule(RuleArn=next(
            rule["RuleArn"] for rule in front.elb.describe_rules(ListenerArn=front.listener)["Rules"] if rule["Priority"] == "1"))
        front.group("GRPC", "/test.Echo/*", [("127.0.0.1", tls_port)], protocol="HTTPS", HealthCheckProtocol="HTTPS", Matcher={"GrpcCode": "12"})
        compare(front, port, "gRPC over TLS to the target")
        print("the same over TLS to the target")
        for each in (server, tls_server):
            each.stop(0)
        running.stop()


if __name__ == "__main__":
    main()
