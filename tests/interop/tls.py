"""TLS judged by OpenSSL and curl: every policy, the choice of certificates, replacement under load, resumption, targets
over TLS, garbage."""

import datetime
import http.server
import os
import pathlib
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import daemon
from daemon import Balancer, Daemon, Sample, wait

PREFIX = "ELBSecurityPolicy-"
PROTOCOLS = {"TLSv1": "-tls1", "TLSv1.1": "-tls1_1", "TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
# What any policy of AWS lists below TLS 1.3 (user guide for Application Load Balancers, "Security policies").
SUITES_12 = [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-ECDSA-AES256-SHA",
    "AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256", "AES128-SHA", "AES256-SHA",
]
SERVED_12 = SUITES_12[:4]


def make(names, kind="ecdsa", days=30, size=2048, authority=None):
    """A certificate and its key in PEM: self-signed, or signed by `authority`; of an authority if it has no names."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, size)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{kind}-{names[0] if names else 'authority'}".replace("*", "wild"))])
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer, signer = subject, key
    if authority:
        issuer = x509.load_pem_x509_certificate(authority[0]).subject
        signer = serialization.load_pem_private_key(authority[1], None)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60)).not_valid_after(now + datetime.timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    else:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    built = builder.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    return built.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def s_client(address, *options, name="a.test", send=b""):
    """What `openssl s_client` says."""
    command = ["openssl", "s_client", "-connect", address, *(["-servername", name] if name else ["-noservername"]), *options]
    done = subprocess.run(command, input=send, capture_output=True, timeout=30)
    return done.returncode, done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def negotiated(text):
    """Protocol and cipher of `New, TLSv1.3, Cipher is ...`; none if there was no agreement."""
    for line in text.splitlines():
        if ", Cipher is " in line and "(NONE)" not in line:
            return line.split(", ")[1], line.rsplit(" ", 1)[1]
    return None


class Front:
    """A load balancer with an HTTPS listener: an RSA default certificate, and an ECDSA and an RSA one for a.test."""

    def __init__(self, running, sample):
        self.daemon = running
        self.acm = running.client("acm")
        self.balancer = Balancer(running, name="tls")
        self.balancer.register(sample)
        self.elb = self.balancer.elb
        self.default = self.load(make(["default.test"], "rsa"))
        self.ecdsa = self.load(make(["a.test"]))
        self.rsa = self.load(make(["a.test", "b.test"], "rsa"))
        self.port = daemon.free_port()
        made = self.elb.create_listener(
            LoadBalancerArn=self.balancer.arn, Protocol="HTTPS", Port=self.port, Certificates=[{"CertificateArn": self.default}],
            SslPolicy=PREFIX + "TLS13-1-2-2021-06", DefaultActions=[{"Type": "forward", "TargetGroupArn": self.balancer.group}])
        self.listener = made["Listeners"][0]["ListenerArn"]
        for arn in (self.ecdsa, self.rsa):
            self.add(arn)
        self.balancer.wait_healthy(sample)
        self.address = f"{self.balancer.nodes[0]}:{self.port}"

    def load(self, pair, arn=None):
        again = {"CertificateArn": arn} if arn else {}
        return self.acm.import_certificate(Certificate=pair[0], PrivateKey=pair[1], **again)["CertificateArn"]

    def add(self, arn):
        self.elb.add_listener_certificates(ListenerArn=self.listener, Certificates=[{"CertificateArn": arn}])

    def policy(self, name):
        self.elb.modify_listener(ListenerArn=self.listener, SslPolicy=PREFIX + name)

    def curl(self, name, *options):
        ip, port = self.address.split(":")
        done = subprocess.run(
            ["curl", "-sk", "--max-time", "20", "--resolve", f"{name}:{port}:{ip}", *options, f"https://{name}:{port}/"], capture_output=True)
        return done.returncode, done.stdout.decode(errors="replace")


def protocols_of(name):
    """What a policy of this name must serve."""
    if name.startswith("TLS13-1-3"):
        return ["TLSv1.3"]
    return ["TLSv1.2", "TLSv1.3"] if name.startswith("TLS13-") else ["TLSv1.2"]


def policies(front):
    """Each policy serves what DescribeSSLPolicies says, and nothing else that AWS lists."""
    described = {policy["Name"].removeprefix(PREFIX): policy for policy in front.elb.describe_ssl_policies()["SslPolicies"]}
    assert len(described) >= 45, len(described)
    handshakes = refused = 0
    for name, policy in described.items():
        front.policy(name)
        assert policy["SslProtocols"] == protocols_of(name), (name, policy["SslProtocols"])
        ciphers = [one["Name"] for one in sorted(policy["Ciphers"], key=lambda one: one["Priority"])]
        assert ciphers and set(ciphers) <= {*SUITES_13, *SERVED_12}, (name, ciphers)
        for protocol, option in PROTOCOLS.items():
            got = negotiated(s_client(front.address, option, "-cipher", "ALL:@SECLEVEL=0")[1])
            assert (got is not None) == (protocol in policy["SslProtocols"]), (name, protocol, got)
            if got:
                # The policy's order decides, not the client's: the first that fits an ECDSA certificate.
                fits = [one for one in ciphers if (one.startswith("TLS_") if protocol == "TLSv1.3" else "ECDSA" in one)]
                assert got == (protocol, fits[0]), (name, got, fits)
            handshakes, refused = handshakes + bool(got), refused + (not got)
        for suite in SUITES_13 + SUITES_12:
            of_13 = suite.startswith("TLS_")
            option = ["-tls1_3", "-ciphersuites", suite] if of_13 else ["-tls1_2", "-cipher", suite + ":@SECLEVEL=0"]
            got = negotiated(s_client(front.address, *option)[1])
            wanted = suite in ciphers
            assert got == ((("TLSv1.3" if of_13 else "TLSv1.2"), suite) if wanted else None), (name, suite, got)
            handshakes, refused = handshakes + wanted, refused + (not wanted)
        code, body = front.curl("a.test")
        assert code == 0 and "one" in body, (name, code, body)
    assert front.daemon.metric(r"^forebay_tls_handshake_failures_total") >= refused
    front.policy("TLS13-1-2-2021-06")
    print(f"policies: {len(described)} policies, {handshakes} combinations connect, {refused} are refused, as described")


def choice(front):
    """Which certificate whom is shown."""
    wild, both = front.load(make(["*.test"])), front.load(make(["*.w.test", "x.test"], "rsa"))
    for arn in (wild, both):
        front.add(arn)
    rsa_only = ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]
    table = [
        ("a.test", [], "ecdsa-a.test"), ("A.TEST", [], "ecdsa-a.test"), ("a.test", rsa_only, "rsa-a.test"), ("b.test", [], "rsa-a.test"),
        ("x.test", [], "rsa-wild.w.test"), ("y.test", [], "ecdsa-wild.test"), ("y.test", rsa_only, "rsa-default.test"),
        ("q.w.test", [], "rsa-wild.w.test"), ("q.q.test", [], "rsa-default.test"), ("other.example", [], "rsa-default.test"),
        (None, [], "rsa-default.test"),
    ]
    for name, options, expected in table:
        for version in ("-tls1_2", "-tls1_3"):
            text = s_client(front.address, version, *options, name=name)[1]
            shown = next(line for line in text.splitlines() if line.startswith("subject="))
            assert shown.replace(" ", "").endswith("CN=" + expected), (name, options, version, shown)
    for arn in (wild, both):
        front.elb.remove_listener_certificates(ListenerArn=front.listener, Certificates=[{"CertificateArn": arn}])
    print(f"choice: {2 * len(table)} handshakes were shown the certificate they must be shown")


def context(maximum=None):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if maximum:
        made.maximum_version = maximum
    return made


def shake(front, made, name="a.test"):
    ip, port = front.address.split(":")
    with socket.create_connection((ip, int(port)), timeout=20) as plain, made.wrap_socket(plain, server_hostname=name) as secured:
        return secured.getpeercert(True)


def replacement(front, rounds=20, at_least=2000):
    """Certificates are imported anew while clients shake hands."""
    done, counts, failures, seen = threading.Event(), [0] * 4, [], set()

    def client(index):
        while not done.is_set():
            try:
                seen.add(shake(front, context([None, ssl.TLSVersion.TLSv1_2][index % 2])))
                counts[index] += 1
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=client, args=(index,)) for index in range(len(counts))]
    for thread in threads:
        thread.start()
    delays = []
    for round_ in range(rounds):
        wait(lambda: sum(counts) >= (round_ + 1) * at_least // rounds, "clients shake hands", 300)
        fresh = make(["a.test"])
        front.load(fresh, front.ecdsa)
        began = time.monotonic()
        shown = shake(front, context())
        delays.append(time.monotonic() - began)
        # In force when the call is answered.
        assert shown == x509.load_pem_x509_certificate(fresh[0]).public_bytes(serialization.Encoding.DER), round_
    done.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    assert len(seen) >= rounds, f"only {len(seen)} certificates were seen"
    print(f"replacement: {sum(counts)} handshakes during {rounds} replacements, {len(seen)} certificates seen, 0 failed; "
          f"the new one was shown in the handshake after the call, {max(delays) * 1000:.0f} ms at most")


def resumption(front):
    """Sessions are resumed, as OpenSSL sees it."""
    text = s_client(front.address, "-tls1_2", "-reconnect")[1]
    assert text.count("Reused, TLSv1.2") == 5, text[-2000:]
    text = s_client(front.address, "-tls1_2", "-reconnect", "-no_ticket")[1]
    assert text.count("Reused, TLSv1.2") == 5, "by session id: " + text[-2000:]
    with tempfile.TemporaryDirectory() as directory:
        for node in front.balancer.nodes[:2]:
            session = os.path.join(directory, "session")
            request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
            s_client(f"{node}:{front.port}", "-tls1_3", "-sess_out", session, "-ign_eof", send=request)
            again = s_client(f"{node}:{front.port}", "-tls1_3", "-sess_in", session, "-ign_eof", send=request)[1]
            assert "Reused, TLSv1.3" in again and "HTTP/1.1 200" in again, again[-2000:]
            # 0-RTT is off.
            assert "Early data was not sent" in again or "Early data was rejected" in again, again[-2000:]
    assert front.daemon.metric(r"^forebay_tls_resumed_total") >= 12
    print("resumption: tickets and session ids (TLS 1.2) and PSK (TLS 1.3) are taken")


class SecureTarget:
    """An HTTP server over TLS with a certificate that nobody should trust."""

    def __init__(self, pair):
        class Answer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = b"secret"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """Refused handshakes are what some cases are about."""

        self.server = Server(("127.0.0.1", 0), Answer)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            for file, text in zip(("cert", "key"), pair):
                pathlib.Path(directory, file).write_bytes(text)
            made.load_cert_chain(os.path.join(directory, "cert"), os.path.join(directory, "key"))
        self.server.socket = made.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.ip, self.port = self.server.server_address


AUTHORITY = make([])


def secure_group(front, name, header, *pairs):
    """A group of targets over TLS with these certificates, for requests that carry the header X-To."""
    vpc = front.daemon.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    group = front.elb.create_target_group(
        Name=name, Protocol="HTTPS", Port=443, VpcId=vpc, TargetType="ip", HealthCheckProtocol="HTTPS",
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)["TargetGroups"][0]["TargetGroupArn"]
    condition = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-to", "Values": [header]}}
    front.elb.create_rule(
        ListenerArn=front.listener, Priority=len(front.elb.describe_rules(ListenerArn=front.listener)["Rules"]),
        Conditions=[condition], Actions=[{"Type": "forward", "TargetGroupArn": group}])
    made = [SecureTarget(pair) for pair in pairs]
    front.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": one.ip, "Port": one.port} for one in made])
    wait_states(front, group, ["healthy"] * len(made))
    return group


def wait_states(front, group, wanted):
    described = lambda: front.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    wait(lambda: [one["TargetHealth"]["State"] for one in described()] == wanted, f"targets over TLS are {wanted}")


def targets(front):
    """Targets over TLS, with certificates that are self-signed, expired, or for another name; and verified ones."""
    group = secure_group(front, "secure", "any", make(["self.test"]), make(["expired.test"], "rsa", days=-1), make(["b.test"], "rsa", size=4096))
    for _ in range(12):
        code, body = front.curl("a.test", "-H", "X-To: any")
        assert (code, body) == (0, "secret"), (code, body)
    # To be verified, none of them will do: nothing is sent to them, and they are not healthy.
    verify = lambda arn, name: front.elb.add_tags(ResourceArns=[arn], Tags=[{"Key": "forebay:target-tls-verify", "Value": name}])
    verify(group, "self.test")
    status = lambda header: front.curl("a.test", "-H", f"X-To: {header}", "-o", "/dev/null", "-w", "%{http_code}")[1]
    assert status("any") == "502"
    wait_states(front, group, ["unhealthy"] * 3)
    front.elb.remove_tags(ResourceArns=[group], TagKeys=["forebay:target-tls-verify"])
    wait(lambda: front.curl("a.test", "-H", "X-To: any") == (0, "secret"), "targets over TLS answer again")
    # One that an authority of this machine vouches for (SSL_CERT_FILE, see main) is taken under its own name only.
    vouched = secure_group(front, "vouched", "vouched", make(["in.test"], authority=AUTHORITY))
    verify(vouched, "in.test")
    wait(lambda: front.curl("a.test", "-H", "X-To: vouched") == (0, "secret"), "a verified target answers")
    wait_states(front, vouched, ["healthy"])
    verify(vouched, "other.test")
    assert status("vouched") == "502"
    print("targets: any certificate is taken; where verification is asked for, one of a known authority under its name only")


def garbage(front, count=10_000):
    """Bytes that are no handshake. The process lives, its memory stays, others are served."""
    draw = random.Random(7)
    made = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context().wrap_bio(*made, server_hostname="a.test")
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = made[1].read()
    ip, port = front.address.split(":")

    def one():
        kind = draw.randrange(5)
        if kind == 0:
            return draw.randbytes(draw.randrange(1, 2000))
        if kind == 1:
            return hello[: draw.randrange(1, len(hello))]
        if kind == 2:
            broken = bytearray(hello)
            for _ in range(draw.randrange(1, 9)):
                broken[draw.randrange(len(broken))] = draw.randrange(256)
            return bytes(broken)
        if kind == 3:
            return b"\x16\x03\x01" + draw.randbytes(2) + draw.randbytes(draw.randrange(3000))
        return b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

    clear = 0
    for index in range(count):
        if index == count // 5:
            before = front.daemon.memory_kib()
        bytes_ = one()
        with socket.create_connection((ip, int(port)), timeout=20) as sock:
            try:
                sock.sendall(bytes_)
                sock.shutdown(socket.SHUT_WR)
                answer = b""
                while more := sock.recv(65536):
                    answer += more
            except ConnectionError:
                continue
            if bytes_.startswith(b"GET"):
                assert answer.startswith(b"HTTP/1.1 400 ") and b"plain HTTP request was sent to HTTPS port" in answer, answer
                clear += 1
    grown = front.daemon.memory_kib() - before
    assert grown < 4096, f"grew by {grown} KiB"
    assert front.curl("a.test")[0] == 0
    told = [line for line in front.daemon.stderr().splitlines() if "panicked" in line]
    assert not told, told[:5]
    print(f"garbage: {count} connections, {clear} of them HTTP in clear; memory grew by {grown} KiB")


def main():
    with tempfile.NamedTemporaryFile(suffix=".pem") as trusted:
        trusted.write(AUTHORITY[0])
        trusted.flush()
        os.environ["SSL_CERT_FILE"] = trusted.name
        run()


def run():
    with Daemon(pool="127.174.0.0/15") as running, Sample("one") as sample:
        front = Front(running, sample)
        parts = (policies, choice, replacement, resumption, targets, garbage)
        for part in parts:
            if len(sys.argv) == 1 or part.__name__ in sys.argv[1:]:
                part(front)


if __name__ == "__main__":
    main()
