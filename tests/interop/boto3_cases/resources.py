"""Tags, capacity, subnets, security groups, certificates, regions."""

import datetime

from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from boto3_cases.shop import fixed, refused
from daemon import REGION, free_port, get, wait


def test_tags(shop):
    balancer, group = shop.balancer(Tags=[{"Key": "made", "Value": "here"}])["LoadBalancerArn"], shop.group()
    listener = shop.listener(balancer)
    arns = [balancer, group, listener, shop.rule(listener, 1)]
    odd = {"Key": "ä é: /=+-@._", "Value": "☃-less, but ü".replace("☃", "").replace(",", "")}
    shop.elb.add_tags(ResourceArns=arns, Tags=[{"Key": "a", "Value": "1"}, {"Key": "empty", "Value": ""}, odd])
    shop.elb.add_tags(ResourceArns=arns, Tags=[{"Key": "a", "Value": "2"}])
    shop.elb.remove_tags(ResourceArns=arns, TagKeys=["empty", "never there"])
    described = shop.elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert [description["ResourceArn"] for description in described] == arns
    for description in described:
        tags = {tag["Key"]: tag["Value"] for tag in description["Tags"]}
        made = {"made": "here"} if description["ResourceArn"] == balancer else {}
        assert tags == {"a": "2", odd["Key"]: odd["Value"], **made}, tags
    add = shop.elb.add_tags
    refused("DuplicateTagKeys", "", add, ResourceArns=[group], Tags=[{"Key": "x", "Value": "1"}, {"Key": "x", "Value": "2"}])
    refused("TooManyTags", "", add, ResourceArns=[group], Tags=[{"Key": f"k{n}", "Value": ""} for n in range(51)])
    refused("ValidationError", "key", add, ResourceArns=[group], Tags=[{"Key": "a" * 129, "Value": ""}])
    refused("ValidationError", "value", add, ResourceArns=[group], Tags=[{"Key": "a", "Value": "a" * 257}])
    refused("ValidationError", "pattern", add, ResourceArns=[group], Tags=[{"Key": "a", "Value": "<&>"}])
    refused("ValidationError", "aws:", add, ResourceArns=[group], Tags=[{"Key": "aws:a", "Value": ""}])
    refused("ValidationError", "", shop.elb.describe_tags, ResourceArns=[group] * 21)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)
    refused("LoadBalancerNotFound", "", shop.elb.describe_tags, ResourceArns=[balancer])


def test_capacity_reservation(shop):
    arn = shop.balancer()["LoadBalancerArn"]
    describe, modify = shop.elb.describe_capacity_reservation, shop.elb.modify_capacity_reservation
    before = describe(LoadBalancerArn=arn)
    assert before["DecreaseRequestsRemaining"] == 2 and "MinimumLoadBalancerCapacity" not in before, before
    modify(LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": 300})
    held = describe(LoadBalancerArn=arn)
    assert held["MinimumLoadBalancerCapacity"] == {"CapacityUnits": 300}, held
    assert {zone["State"]["Code"] for zone in held["CapacityReservationState"]} == {"provisioned"}, held
    assert sum(zone["EffectiveCapacityUnits"] for zone in held["CapacityReservationState"]) == 300, held
    for units in (200, 150):
        modify(LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": units})
    refused("CapacityDecreaseRequestLimitExceeded", "", modify, LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": 100})
    refused("CapacityUnitsLimitExceeded", "", modify, LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": 15001})
    refused("ValidationError", "", modify, LoadBalancerArn=arn)
    modify(LoadBalancerArn=arn, ResetCapacityReservation=True)
    assert "MinimumLoadBalancerCapacity" not in describe(LoadBalancerArn=arn)
    shop.elb.delete_load_balancer(LoadBalancerArn=arn)


def test_subnets_and_security_groups(shop):
    """Nodes come and go with subnets; those that stay keep their addresses."""
    def nodes(zones):
        return {zone["SubnetId"]: zone["LoadBalancerAddresses"][0]["IpAddress"] for zone in zones}

    made = shop.balancer(Subnets=shop.subnet_ids[:2])
    arn, port = made["LoadBalancerArn"], free_port()
    shop.listener(arn, port=port)
    first = nodes(made["AvailabilityZones"])
    wider = nodes(shop.elb.set_subnets(LoadBalancerArn=arn, Subnets=shop.subnet_ids)["AvailabilityZones"])
    assert set(wider) == set(shop.subnet_ids) and first.items() <= wider.items(), (first, wider)
    assert [get(node, port)[2] for node in wider.values()] == [b"fixed"] * 3
    narrow = nodes(shop.elb.set_subnets(LoadBalancerArn=arn, Subnets=shop.subnet_ids[1:])["AvailabilityZones"])
    assert narrow.items() <= wider.items() and len(narrow) == 2, (narrow, wider)
    assert [get(node, port)[2] for node in narrow.values()] == [b"fixed"] * 2

    def refuses():
        try:
            get(first[shop.subnet_ids[0]], port)
        except ConnectionRefusedError:
            return True
        return False

    wait(refuses, "the node that was taken away refuses")
    group = shop.ec2.create_security_group(GroupName=shop.name(), Description="a group", VpcId=shop.vpc)["GroupId"]
    assert shop.elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[group])["SecurityGroupIds"] == [group]
    assert shop.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["SecurityGroups"] == [group]
    refused("DependencyViolation", group, shop.ec2.delete_security_group, GroupId=group)
    shop.elb.delete_load_balancer(LoadBalancerArn=arn)
    shop.ec2.delete_security_group(GroupId=group)


def certificate(name):
    """A self-signed certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(today - datetime.timedelta(days=1))
    made = made.not_valid_after(today + datetime.timedelta(days=30)).add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


def test_certificates(shop):
    acm, iam = shop.daemon.client("acm"), shop.daemon.client("iam")
    pairs = [certificate(f"{name}.example.com") for name in ("one", "two", "three")]
    arns = [acm.import_certificate(Certificate=pem, PrivateKey=key)["CertificateArn"] for pem, key in pairs[:2]]
    uploaded = iam.upload_server_certificate(
        ServerCertificateName="third", CertificateBody=pairs[2][0].decode(), PrivateKey=pairs[2][1].decode())
    third = uploaded["ServerCertificateMetadata"]["Arn"]
    assert acm.describe_certificate(CertificateArn=arns[0])["Certificate"]["DomainName"] == "one.example.com"
    assert acm.get_certificate(CertificateArn=arns[0])["Certificate"].strip() == pairs[0][0].decode().strip()
    balancer = shop.balancer()["LoadBalancerArn"]
    listener = shop.listener(balancer, Protocol="HTTPS", Certificates=[{"CertificateArn": arns[0]}])
    described = shop.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]
    assert described["SslPolicy"] == "ELBSecurityPolicy-2016-08" and described["Certificates"] == [{"CertificateArn": arns[0]}], described
    refused("SSLPolicyNotFound", "nothing", shop.elb.modify_listener, ListenerArn=listener, SslPolicy="nothing")
    for arn in (arns[1], third, third):
        shop.elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arn}])
    told = shop.elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert {(one["CertificateArn"], one["IsDefault"]) for one in told} == {(arns[0], True), (arns[1], False), (third, False)}, told
    remove = shop.elb.remove_listener_certificates
    refused("OperationNotPermitted", "", remove, ListenerArn=listener, Certificates=[{"CertificateArn": arns[0]}])
    remove(ListenerArn=listener, Certificates=[{"CertificateArn": arns[1]}])
    for call in (lambda: acm.delete_certificate(CertificateArn=arns[0]), lambda: iam.delete_server_certificate(ServerCertificateName="third")):
        try:
            call()
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("ResourceInUseException", "DeleteConflict"), error
        else:
            raise AssertionError("a certificate in use was deleted")
    acm.delete_certificate(CertificateArn=arns[1])
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)
    acm.delete_certificate(CertificateArn=arns[0])
    iam.delete_server_certificate(ServerCertificateName="third")
    assert not acm.list_certificates()["CertificateSummaryList"] and not iam.list_server_certificates()["ServerCertificateMetadataList"]


def test_regions_are_apart(shop):
    there = shop.daemon.client("elbv2", region="eu-west-1")
    name = shop.name()
    here = shop.balancer(Name=name)["LoadBalancerArn"]
    subnets = [subnet["SubnetId"] for subnet in shop.daemon.client("ec2", region="eu-west-1").describe_subnets()["Subnets"]]
    other = there.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    assert ":eu-west-1:" in other and f":{REGION}:" in here, (here, other)
    assert [found["LoadBalancerArn"] for found in there.describe_load_balancers()["LoadBalancers"]] == [other]
    refused("LoadBalancerNotFound", "", shop.elb.describe_load_balancers, LoadBalancerArns=[other])
    there.delete_load_balancer(LoadBalancerArn=other)
    assert shop.elb.describe_load_balancers(Names=[name])["LoadBalancers"]
    shop.elb.delete_load_balancer(LoadBalancerArn=here)
