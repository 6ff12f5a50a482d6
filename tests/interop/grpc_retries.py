"""What gRPC clients make of the balancer's own answers, and that a retry policy on UNAVAILABLE loses no call: through targets that are
killed and started again, and with targets that refuse streams. grpcio and grpc-js."""

import atexit
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events

from frames import NAME, Secure
from daemon import Daemon, Sample, free_port, wait

CALLS = 1_000
POLICY = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]})
HERE = pathlib.Path(__file__).parent
TARGET = HERE.parent.parent / "target"


class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        if not call.method.startswith("/test.Echo/"):
            return None
        return grpc.unary_unary_rpc_method_handler(lambda message, _: (time.sleep(0.005), message)[1])


def serve(port):
    """A server of its own process, to be killed."""
    server = grpc.server(futures.ThreadPoolExecutor(32), handlers=(Echo(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


class Server:
    def __init__(self):
        self.port = free_port()
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, "serve", str(self.port)], stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        assert self.process.stdout.readline() == "ready\n"

    def kill(self):
        self.process.kill()
        self.process.wait()


class Refusing:
    """A server that refuses every other stream, and each connection's first; it ends connections with GOAWAY now and then."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen = self.refused = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        stream.sendall(connection.data_to_send())
        bodies, count = {}, 0
        try:
            while data := stream.recv(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        count += 1
                        self.seen += 1
                        probe = dict(event.headers)[b":path"] == b"/AWS.ALB/healthcheck"
                        if count % 2 == 1 and not probe:
                            self.refused += 1
                            connection.reset_stream(event.stream_id, 7)
                        else:
                            bodies[event.stream_id] = b""
                    elif isinstance(event, h2.events.DataReceived):
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        if event.stream_id in bodies:
                            bodies[event.stream_id] += event.data
                    elif isinstance(event, h2.events.StreamEnded) and event.stream_id in bodies:
                        connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                        connection.send_data(event.stream_id, bodies.pop(event.stream_id))
                        connection.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
                stream.sendall(connection.data_to_send())
                if count >= 50:
                    # Nothing that comes now is processed.
                    connection.close_connection(last_stream_id=connection.highest_inbound_stream_id)
                    stream.sendall(connection.data_to_send())
                    return
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            stream.close()


def channel(front, policy=False):
    options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1)]
    options += [("grpc.service_config", POLICY)] if policy else [("grpc.enable_retries", 0)]
    return grpc.secure_channel(front.address, grpc.ssl_channel_credentials(front.pem), options=options)


def codes(front, methods):
    """What grpcio and grpc-js call each of these calls' ends."""
    ours = []
    with channel(front) as direct:
        for method in methods:
            try:
                direct.unary_unary(method)(b"hello", timeout=20)
                ours.append(0)
            except grpc.RpcError as error:
                ours.append(error.code().value[0])
    directory = TARGET / "grpc-js"
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.js"):
        shutil.copy(HERE / "grpc_js" / name, directory / name)
    if not (directory / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=directory, check=True)
    pem = directory / "front.pem"
    pem.write_bytes(front.pem)
    said = subprocess.run(
        ["node", "client.js", front.address, str(pem), NAME, *methods], cwd=directory, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    return ours, [call["code"] for call in json.loads(said.stdout)]


def own_answers(running, front, service):
    """Each status of ours that a gRPC client can meet: no target, no slot, a fixed response, a path that is none."""
    vpc = running.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    group = lambda name: front.elb.create_target_group(
        Name=name, Protocol="HTTP", ProtocolVersion="GRPC", Port=80, TargetType="ip", VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
    nobody, full = group("nobody"), group("full")
    gone = free_port()
    front.elb.register_targets(TargetGroupArn=full, Targets=[{"Id": "127.0.0.1", "Port": gone}])
    front.elb.add_tags(ResourceArns=[full], Tags=[{"Key": "forebay:concurrency", "Value": "1"}, {"Key": "forebay:queue-length", "Value": "0"}])
    forward = lambda arn: [{"Type": "forward", "TargetGroupArn": arn}]
    fixed = lambda status: [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status, "MessageBody": "closed"}}]
    for priority, (path, actions) in enumerate(
            [("/nobody.A/*", forward(nobody)), ("/full.A/*", forward(full)), ("/closed.A/*", fixed("503")), ("/denied.A/*", fixed("403")),
             ("/busy.A/*", fixed("429")), ("/moved.A/*", [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302", "Path": "/x"}}])], 50):
        front.elb.create_rule(ListenerArn=front.listener, Priority=priority, Conditions=[{"Field": "path-pattern", "Values": [path]}], Actions=actions)
    methods = ["/test.Echo/Unary", "/nobody.A/B", "/full.A/B", "/closed.A/B", "/denied.A/B", "/busy.A/B", "/moved.A/B"]
    expected = [0, 14, 14, 14, 7, 14, 2]
    ours, theirs = codes(front, methods)
    assert ours == expected and theirs == expected, (methods, ours, theirs)
    print(f"grpc-retries: grpcio and grpc-js agree on {len(methods)} ends: {expected}", flush=True)


def thousand(front, trouble):
    """A thousand calls with a retry policy, while there is trouble."""
    stop = threading.Event()
    troubling = threading.Thread(target=trouble, args=(stop,))
    with channel(front, policy=True) as through:
        call = through.unary_unary("/test.Echo/Unary")
        assert call(b"first", timeout=20) == b"first"
        troubling.start()
        failed = []
        with futures.ThreadPoolExecutor(16) as pool:
            def one(number):
                message = b"message %d" % number
                try:
                    assert call(message, timeout=20) == message
                except grpc.RpcError as error:
                    failed.append((error.code(), error.details()))
                time.sleep(0.1)
            list(pool.map(one, range(CALLS)))
        stop.set()
        troubling.join()
    return failed


def main():
    with Daemon(pool="127.172.0.0/15", workers=2) as running, Sample("plain") as sample:
        front = Secure(running, name="retries")
        front.balancer.register(sample)
        front.balancer.wait_healthy(sample)
        servers = [Server(), Server()]
        group = front.group("GRPC", "/test.Echo/*", [("127.0.0.1", server.port) for server in servers], Matcher={"GrpcCode": "12"})
        own_answers(running, front, servers[0])
        kills = []

        def restart(stop):
            while not stop.is_set():
                for server in servers:
                    server.kill()
                    kills.append(server.port)
                    time.sleep(0.1)
                    server.start()
                    if stop.wait(0.5):
                        break

        failed = thousand(front, restart)
        assert not failed and len(kills) >= 2, (len(failed), failed[:3], len(kills))
        print(f"grpc-retries: {CALLS} calls through {len(kills)} kills of targets: 0 failed", flush=True)
        refusing = [Refusing(), Refusing()]
        front.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": server.port} for server in refusing])
        front.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": server.port} for server in servers])
        front.elb.modify_target_group(TargetGroupArn=group, Matcher={"GrpcCode": "0-99"})
        wait(lambda: [state for state, _ in front.health(group) if state == "healthy"].__len__() >= 2, "those that refuse are healthy")
        failed = thousand(front, lambda stop: stop.wait())
        seen, refused = sum(server.seen for server in refusing), sum(server.refused for server in refusing)
        assert not failed and refused > CALLS / 4, (len(failed), failed[:3], seen, refused)
        print(f"grpc-retries: {CALLS} calls to targets that refused {refused} of {seen} streams: 0 failed", flush=True)
        for server in servers:
            server.kill()
        running.stop()
    print("grpc-retries: passed")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        main()
