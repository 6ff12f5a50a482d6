"""The PROXY protocol both ways, for the suite of exposed addresses: said by trusted proxies of another machine (HAProxy or nginx among them),
never believed of strangers, and told to targets (nginx among them)."""

import concurrent.futures
import contextlib
import ctypes
import gzip
import http.client
import http.server
import ipaddress
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

from daemon import Daemon, free_port, wait
from tls import make

# Of the other machine, beside its first addresses: where trusted proxies are. Its first ones are strangers'.
TRUSTED = ("198.51.100.3", "2001:db8:5::3")
# Clients of those proxies, and where they believe to be.
CLIENTS, FRONTS = ("203.0.113.7", "2001:db8:77::7"), ("192.0.2.80", "2001:db8:88::80")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLONE_NEWNET = 0x40000000
STREAM_MODULE = os.environ.get("NGINX_STREAM_MODULE", "/usr/lib/nginx/modules/ngx_stream_module.so")


def shown(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def version_1(client, reached):
    kind = "TCP6" if ":" in client[0] else "TCP4"
    return f"PROXY {kind} {client[0]} {reached[0]} {client[1]} {reached[1]}\r\n".encode()


def version_2(client, reached):
    said = b"".join(ipaddress.ip_address(end[0]).packed for end in (client, reached))
    said += b"".join(end[1].to_bytes(2, "big") for end in (client, reached))
    # A field that nobody knows, as load balancers of clouds send.
    said += b"\xea\0\x03\x01ab"
    return SIGNATURE + bytes([0x21, 0x21 if ":" in client[0] else 0x11]) + len(said).to_bytes(2, "big") + said


def read_version_2(stream):
    """What a header says, read by its specification: the command, the client and where it connected to."""
    fixed = stream.read(16)
    if not fixed:
        return None
    assert fixed[:12] == SIGNATURE and fixed[12] >> 4 == 2, fixed
    rest = stream.read(int.from_bytes(fixed[14:16], "big"))
    if fixed[12] == 0x20:
        return "LOCAL", None, None
    size = {0x11: 4, 0x21: 16}[fixed[13]]
    ends = [str(ipaddress.ip_address(rest[at:at + size])) for at in (0, size)]
    ports = [int.from_bytes(rest[at:at + 2], "big") for at in (2 * size, 2 * size + 2)]
    return "PROXY", shown(ends[0], ports[0]), shown(ends[1], ports[1])


class Target(http.server.ThreadingHTTPServer):
    """Answers with what it was told of the client: by the connection's header, if it `asks` for one, and by the request's head."""

    daemon_threads = True

    def __init__(self, asks):
        self.probes, self.told = set(), []
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                self.header = read_version_2(self.rfile) if asks else None
                if self.header and self.header[0] == "PROXY":
                    self.server.told.append(self.header[1])

            def do_GET(self):
                if "ELB-HealthChecker" in self.headers["User-Agent"]:
                    self.server.probes.add(self.header and self.header[0])
                body = json.dumps({"told": self.header, "for": self.headers["X-Forwarded-For"]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@contextlib.contextmanager
def program(*command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def nginx(folder, ports, certificate):
    """Targets that are strangers: over HTTP/1.1, over TLS, over HTTP/2. Each answers with what it took for the client."""
    plain, secure, frames = ports
    for name, content in zip(("cert.pem", "key.pem"), certificate):
        folder.joinpath(name).write_bytes(content)
    folder.joinpath("nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;\n"
        f"uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5; server {{\n"
        f"listen 127.0.0.1:{plain} proxy_protocol; listen 127.0.0.1:{secure} ssl proxy_protocol; listen 127.0.0.1:{frames} http2 proxy_protocol;\n"
        f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;\n"
        "location / { return 200 \"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $http_x_forwarded_for\"; } } }\n")
    with program("nginx", "-c", f"{folder}/nginx.conf", "-p", str(folder)):
        yield


class Connection:
    """A client's connection, from this address of the other machine."""

    def __init__(self, stage, source, address, secure=False, header=b""):
        self.sock = stage.connect(source, address, 443 if secure else 80)
        self.own = shown(*self.sock.getsockname()[:2])
        if header:
            self.sock.sendall(header)
        if secure:
            context = ssl._create_unverified_context()
            self.sock = context.wrap_socket(self.sock, server_hostname="front.example")
        self.http = http.client.HTTPConnection("front.example")
        self.http.sock = self.sock
        self.http.auto_open = False

    def get(self, path):
        self.http.request("GET", path, headers={"User-Agent": "client"})
        answer = self.http.getresponse()
        return answer.status, answer.read().decode()

    def close(self):
        self.sock.close()


class Stage:
    """A load balancer before targets of all kinds, reached from another machine."""

    def __init__(self, daemon, namespace, here, ports, targets):
        self.daemon, self.namespace, self.here = daemon, namespace, here
        self.elb, acm = daemon.client("elbv2"), daemon.client("acm")
        subnets = daemon.client("ec2").describe_subnets()["Subnets"]
        made = self.elb.create_load_balancer(
            Name="front", Subnets=[subnet["SubnetId"] for subnet in subnets],
            Tags=[{"Key": "forebay:proxy-protocol-from", "Value": f"{TRUSTED[0]} {TRUSTED[1]}/128"}],
        )["LoadBalancers"][0]
        self.arn = made["LoadBalancerArn"]
        attributes = {"routing.http.xff_client_port.enabled": "true"}
        for log in ("access_logs", "connection_logs"):
            attributes |= {f"{log}.s3.enabled": "true", f"{log}.s3.bucket": log.replace("_", "-")}
        self.elb.modify_load_balancer_attributes(
            LoadBalancerArn=self.arn, Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()])
        groups = {}
        asked, plain = targets
        for name, port, tagged, more in [
            ("plain", plain.server_port, False, {}), ("told", asked.server_port, True, {}), ("nginx", ports[0], True, {}),
            ("secure", ports[1], True, {"Protocol": "HTTPS", "HealthCheckProtocol": "HTTPS"}), ("frames", ports[2], True, {"ProtocolVersion": "HTTP2"}),
        ]:
            tags = {"Tags": [{"Key": "forebay:proxy-protocol", "Value": "v2"}]} if tagged else {}
            group = self.elb.create_target_group(**{
                "Name": name, "Protocol": "HTTP", "Port": port, "VpcId": subnets[0]["VpcId"], "TargetType": "ip",
                "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2, **tags, **more})["TargetGroups"][0]
            groups[name] = group["TargetGroupArn"]
            self.elb.register_targets(TargetGroupArn=groups[name], Targets=[{"Id": "127.0.0.1", "Port": port}])
        certificate, key = make(["front.example"])
        imported = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
        for protocol, port, more in [("HTTP", 80, {}), ("HTTPS", 443, {"Certificates": [{"CertificateArn": imported}]})]:
            listener = self.elb.create_listener(
                LoadBalancerArn=self.arn, Protocol=protocol, Port=port,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": groups["plain"]}], **more)["Listeners"][0]["ListenerArn"]
            says = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "a client's"}}]
            # As with ALB: HTTP/2 to targets needs HTTP/2 of clients, and so TLS.
            rules = [(f"/{name}", [], [{"Type": "forward", "TargetGroupArn": arn}]) for name, arn in groups.items() if protocol == "HTTPS" or name != "frames"]
            source = {"Field": "source-ip", "SourceIpConfig": {"Values": ["203.0.113.0/24", "2001:db8:77::/48"]}}
            for priority, (path, conditions, actions) in enumerate([*rules, ("/rule", [source], says)], 1):
                self.elb.create_rule(
                    ListenerArn=listener, Priority=priority, Actions=actions,
                    Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}, *conditions])
        for name, group in groups.items():
            def states():
                described = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
                return [one["TargetHealth"] for one in described]
            wait(lambda: all(health["State"] == "healthy" for health in states()), lambda: f"{name}: {states()}", 20)

    def connect(self, source, address, port):
        """A socket of the other machine: made by a thread that has gone there."""
        def there():
            with open(f"/run/netns/{self.namespace}") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return socket.create_connection((address, port), 10, (source, 0))
        held = {}
        def run():
            try:
                held["made"] = there()
            except OSError as error:
                held["error"] = error
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if "error" in held:
            raise held["error"]
        return held["made"]

    def check(self, connection, client, reached):
        """Everybody takes this for the client."""
        status, body = connection.get("/plain")
        told = json.loads(body)
        assert status == 200 and told == {"told": None, "for": client}, (body, client)
        status, body = connection.get("/told")
        told = json.loads(body)
        assert status == 200 and told == {"told": ["PROXY", client, reached], "for": client}, (body, client, reached)
        for path in ("/nginx", "/secure"):
            status, body = connection.get(path)
            assert status == 200 and heard(body) == [client, reached, client], (path, body, client, reached)


def heard(body):
    """What nginx took for the client and where that connected to, and X-Forwarded-For."""
    words = body.split()
    return [shown(*words[:2]), shown(*words[2:4]), words[4]]


def curl(stage, source, *options):
    """From this address of the other machine: the bodies of its answers, and how it was."""
    return subprocess.Popen(
        ["ip", "netns", "exec", stage.namespace, "curl", "-sSk", "--max-time", "10", "-w", "\n%{http_code} %{http_version} %{local_port}\n",
         "--interface", source, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def in_frames(stage):
    """HTTP/2 in front and behind: each client's requests share a connection to the target, and no other's do."""
    for family, address in enumerate(stage.here):
        urls = [f"https://{shown(address, 443)}/{path}" for path in ("frames", "nginx", "frames", "secure", "frames")]
        running = [(source, curl(stage, source, "--http2", *more, *urls)) for source, more in
                   [(stage.strangers[family], []), (TRUSTED[family], ["--haproxy-protocol"])] * 3]
        for source, process in running:
            lines = process.communicate()[0].splitlines()
            for body, end in zip(lines[::2], lines[1::2], strict=True):
                status, version, port = end.split()
                assert (status, version) == ("200", "2"), lines
                assert heard(body) == [shown(source, port), shown(address, 443), shown(source, port)], (body, source, port)
            assert len(lines) == 2 * len(urls), lines


def said_by_trusted(stage):
    """Version 1 and 2, over plaintext and TLS, IPv4 and IPv6: whoever asks, it is the client."""
    for family, address in enumerate(stage.here):
        for secure in (False, True):
            for form in (version_1, version_2):
                client, reached = (CLIENTS[family], 4711), (FRONTS[family], 8443)
                connection = Connection(stage, TRUSTED[family], address, secure, form(client, reached))
                stage.check(connection, shown(*client), shown(*reached))
                assert connection.get("/rule") == (200, "a client's")
                connection.close()
            # A proxy's own connections are its own.
            for header in (b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\0\0\0"):
                connection = Connection(stage, TRUSTED[family], address, secure, header)
                stage.check(connection, connection.own, shown(address, 443 if secure else 80))
                connection.close()


def ended(sock):
    """What came until the connection was closed."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while more := sock.recv(4096):
            came += more
    sock.close()
    return came


def refused(stage):
    """A trusted proxy must say it, and strangers must not; those are themselves."""
    request = b"GET /plain HTTP/1.1\r\nHost: a\r\nUser-Agent: a\r\n\r\n"
    counted = 0
    for family, address in enumerate(stage.here):
        stranger = stage.strangers[family]
        headers = [form((CLIENTS[family], 4711), (FRONTS[family], 8443)) for form in (version_1, version_2)]
        for header in headers:
            sock = stage.connect(stranger, address, 80)
            sock.sendall(header + request)
            answer = ended(sock)
            assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1, answer
            with contextlib.suppress(OSError):
                Connection(stage, stranger, address, True, header)
                raise AssertionError("a stranger's header was read over TLS")
            counted += 1
        for header in (b"", b"PROXY TCP4 1.2.3.4\r\n", SIGNATURE + b"\x31\x11\0\0"):
            sock = stage.connect(TRUSTED[family], address, 80)
            sock.sendall(header + request)
            assert ended(sock) == b"", header
            with contextlib.suppress(OSError):
                Connection(stage, TRUSTED[family], address, True, header)
                raise AssertionError("no header, and secured")
            counted += 2
        for secure in (False, True):
            connection = Connection(stage, stranger, address, secure)
            stage.check(connection, connection.own, shown(address, 443 if secure else 80))
            status, body = connection.get("/rule")
            assert "a client's" not in body, body
            connection.close()
    told = stage.daemon.metric(r"^forebay_proxy_headers_refused_total\{.*app/front/")
    assert told == counted, (told, counted)
    # curl speaks version 1 of itself.
    for source, right in ((TRUSTED[0], True), (stage.strangers[0], False)):
        said = curl(stage, source, "--haproxy-protocol", f"http://{stage.here[0]}/plain").communicate()[0]
        body, _, end = said.strip().rpartition("\n")
        status, _, port = end.split()
        assert status == ("200" if right else "400"), said
        assert not right or json.loads(body)["for"] == shown(source, port), said
    return counted


def kept_apart(stage, clients=8, rounds=12):
    """Clients that keep their connections and ask all at once: each is told of by its own name, whoever asked before."""
    def ask(index):
        family = index % 2
        if index % 4 < 2:
            client = (CLIENTS[family], 5000 + index)
            header = (version_1, version_2)[index // 4 % 2](client, (FRONTS[family], 8443))
            connection = Connection(stage, TRUSTED[family], stage.here[family], False, header)
            own, reached = shown(*client), shown(FRONTS[family], 8443)
        else:
            connection = Connection(stage, stage.strangers[family], stage.here[family])
            own, reached = connection.own, shown(stage.here[family], 80)
        for _ in range(rounds):
            stage.check(connection, own, reached)
        connection.close()
        return own
    before = len(stage.asked.told)
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        owners = list(pool.map(ask, range(clients)))
    told = stage.asked.told[before:]
    assert set(told) == set(owners), (told, owners)
    # Workers share nothing, and each client's connection is one worker's: one connection to the target for each.
    assert len(told) == clients, told
    assert stage.asked.probes == {"LOCAL"} and stage.plain.probes == {None}, (stage.asked.probes, stage.plain.probes)


def in_front(stage, folder):
    """A stranger in front, on the other machine: HAProxy, or else nginx. Its clients come from this machine."""
    port = 8080
    listen, source = stage.strangers[0], TRUSTED[0]
    if shutil.which("haproxy"):
        config = folder / "haproxy.cfg"
        config.write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n"
            f"frontend f\n bind {listen}:{port}\n default_backend b\n"
            f"backend b\n server s {stage.here[0]}:80 source {source} send-proxy-v2 check check-send-proxy inter 200ms\n")
        name, command = "HAProxy", ["haproxy", "-db", "-f", str(config)]
    elif pathlib.Path(STREAM_MODULE).exists():
        config = folder / "stream.conf"
        config.write_text(
            f"load_module {STREAM_MODULE}; daemon off; master_process off; pid {folder}/stream.pid; error_log {folder}/stream.log; events {{}}\n"
            f"stream {{ server {{ listen {listen}:{port}; proxy_bind {source}; proxy_protocol on; proxy_pass {stage.here[0]}:80; }} }}\n")
        name, command = "nginx", ["nginx", "-c", str(config), "-p", str(folder)]
    else:
        return "nobody in front: neither HAProxy nor nginx's stream module is here"
    with program("ip", "netns", "exec", stage.namespace, *command):
        def client():
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(listen, port, timeout=10)
                connection.request("GET", "/told", headers={"User-Agent": "client"})
                own = shown(*connection.sock.getsockname())
                answer = connection.getresponse()
                body = json.loads(answer.read())
                assert body == {"told": ["PROXY", own, shown(listen, port)], "for": own}, (body, own)
                return True
        for _ in range(3):
            wait(client, f"{name} passes requests on")
    return f"{name} in front"


def logged(daemon):
    """Lines of both logs, written by now."""
    lines = {}
    for bucket in ("access-logs", "connection-logs"):
        paths = [path for path in (daemon.directory / "logs").rglob("*") if path.is_file() and bucket in str(path)]
        lines[bucket] = "".join((gzip.open if path.suffix == ".gz" else open)(path, "rt").read() for path in paths)
    return lines


def run(near, namespace, here, there, pool):
    for address, length in zip(TRUSTED, (24, 64)):
        device = subprocess.run(["ip", "-n", namespace, "-j", "link"], capture_output=True, text=True, check=True)
        far = next(link["ifname"] for link in json.loads(device.stdout) if link["ifname"] != "lo")
        more = ["nodad"] if ":" in address else []
        subprocess.run(["ip", "-n", namespace, "address", "add", f"{address}/{length}", "dev", far, *more], check=True)
    asked, plain = Target(True), Target(False)
    ports = [free_port() for _ in range(3)]
    with tempfile.TemporaryDirectory() as name, Daemon(pool=pool, expose=near) as daemon:
        folder = pathlib.Path(name)
        with nginx(folder, ports, make(["target.example"])):
            stage = Stage(daemon, namespace, here, ports, (asked, plain))
            stage.strangers, stage.asked, stage.plain = there, asked, plain
            said_by_trusted(stage)
            count = refused(stage)
            kept_apart(stage)
            in_frames(stage)
            front = in_front(stage, folder)
            assert "panic" not in daemon.stderr(), daemon.stderr()[-2000:]
            daemon.stop()
        for bucket, lines in logged(daemon).items():
            for client in CLIENTS:
                # As ALB's logs have it: no brackets around IPv6.
                assert re.search(rf"\[?{re.escape(client)}\]?[: ]4711 ", lines), (bucket, client, lines[-500:])
    print(f"exposed: PROXY headers of trusted proxies are read and told on, {count} wrong ones refused; {front}")
