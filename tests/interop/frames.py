"""A daemon with an HTTPS listener, for suites that speak HTTP/2, gRPC or WebSockets through it."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import daemon
from daemon import Balancer, wait

NAME = "a.test"


def certificate(name=NAME):
    """A self-signed certificate and its key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return built.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Secure:
    """A load balancer with an HTTPS listener that forwards to the balancer's own group (HTTP/1.1), and more groups."""

    def __init__(self, running, **options):
        self.daemon = running
        self.balancer = Balancer(running, **options)
        self.elb = self.balancer.elb
        self.pem, key = certificate()
        arn = running.client("acm").import_certificate(Certificate=self.pem, PrivateKey=key)["CertificateArn"]
        self.port = daemon.free_port()
        made = self.elb.create_listener(
            LoadBalancerArn=self.balancer.arn, Protocol="HTTPS", Port=self.port, Certificates=[{"CertificateArn": arn}],
            SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.balancer.group}])
        self.listener = made["Listeners"][0]["ListenerArn"]
        self.ip = self.balancer.nodes[0]
        self.address = f"{self.ip}:{self.port}"
        self.priority = 1

    def group(self, version, path_pattern, targets, protocol="HTTP", **health):
        """A group of this protocol version, behind a path, with these (ip, port) targets in service."""
        vpc = self.daemon.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        name = f"{version.lower()}-{self.priority}"
        arn = self.elb.create_target_group(
            Name=name, Protocol=protocol, ProtocolVersion=version, Port=80, VpcId=vpc, TargetType="ip",
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2, **health,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elb.create_rule(
            ListenerArn=self.listener, Priority=self.priority, Conditions=[{"Field": "path-pattern", "Values": [path_pattern]}],
            Actions=[{"Type": "forward", "TargetGroupArn": arn}])
        self.priority += 1
        self.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": ip, "Port": port} for ip, port in targets])
        wait(lambda: all(state == "healthy" for state, _ in self.health(arn)), f"targets of {name} are healthy")
        return arn

    def health(self, arn):
        described = self.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [(d["TargetHealth"]["State"], d["TargetHealth"].get("Description")) for d in described]
