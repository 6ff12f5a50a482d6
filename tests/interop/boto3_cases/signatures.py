"""Who may call: signatures in headers and presigned, and what is wrong with others."""

import contextlib
import datetime
import http.client
import itertools
from unittest import mock

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from daemon import REGION, read_keys

FORM = "application/x-www-form-urlencoded; charset=utf-8"
CALLS = {
    "elasticloadbalancing": (b"Action=DescribeLoadBalancers&Version=2015-12-01", {"Content-Type": FORM}),
    "ec2": (b"Action=DescribeVpcs&Version=2016-11-15", {"Content-Type": FORM}),
    "sts": (b"Action=GetCallerIdentity&Version=2011-06-15", {"Content-Type": FORM}),
    "tagging": (b"{}", {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "ResourceGroupsTaggingAPI_20170126.GetResources"}),
    "acm": (b"{}", {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "CertificateManager.ListCertificates"}),
}


@contextlib.contextmanager
def clock(shift):
    """Signatures made here bear a time that is off by `shift` seconds."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=shift)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: at.replace(tzinfo=None)):
        yield


def post(shop, service, key=None, shift=0, change=None, more=None):
    """Status and body of a call whose request is signed, then changed."""
    body, headers = CALLS[service]
    request = AWSRequest("POST", shop.daemon.api + "/", headers={**headers, **(more or {})}, data=body)
    key = key or read_keys(shop.daemon.directory / "credentials", "default")
    with clock(shift):
        SigV4Auth(Credentials(*key), service, REGION).add_auth(request)
    headers = dict(request.headers.items())
    if change:
        body = change(headers, body)
    connection = http.client.HTTPConnection(shop.daemon.api.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/", body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_signatures(shop):
    key, secret = read_keys(shop.daemon.directory / "credentials", "default")

    def unsigned(headers, body):
        for name in ("Authorization", "X-Amz-Date"):
            headers.pop(name)
        return body

    def half(headers, body):
        headers["Authorization"] = headers["Authorization"].split(", Signature=")[0]
        return body

    def other_body(_, body):
        return body + (b" " if body == b"{}" else b"&DryRun=false")

    def other_header(headers, body):
        headers["X-Amz-Date"] = headers["X-Amz-Date"][:-2] + ("1Z" if headers["X-Amz-Date"][-2] == "0" else "0Z")
        return body

    def unsigned_header(headers, body):
        headers["X-Amz-Extra"] = "1"
        return body

    unsigned_body = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    plain, json_codes = "elasticloadbalancing", "acm"
    for wrong, options, codes in [
        ("nothing", {}, None),
        ("a clock within five minutes", {"shift": -200}, None),
        ("an unknown key", {"key": ("AKIAAAAAAAAAAAAAAAAA", secret)}, ("InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException")),
        ("a wrong secret", {"key": (key, secret + "x")}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("a late clock", {"shift": 1200}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("an early clock", {"shift": -1200}, ("SignatureDoesNotMatch", "RequestExpired", "InvalidSignatureException")),
        ("no signature", {"change": unsigned}, ("MissingAuthenticationToken", "MissingAuthenticationToken", "MissingAuthenticationTokenException")),
        ("half a signature", {"change": half}, ("IncompleteSignature", "IncompleteSignature", "IncompleteSignatureException")),
        ("another body", {"change": other_body}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("another date", {"change": other_header}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("a header of AWS's that is not signed", {"change": unsigned_header},
         ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("a body that is not signed", {"more": unsigned_body},
         ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
    ]:
        for service, number in ((plain, 0), ("sts", 0), ("ec2", 1), ("tagging", 2), (json_codes, 2)):
            status, body = post(shop, service, **options)
            if codes is None:
                assert status == 200, (wrong, service, status, body)
            else:
                assert status in (400, 401, 403) and codes[number] in body, (wrong, service, codes[number], status, body)


def test_presigned(shop):
    at = shop.daemon.api.removeprefix("http://")
    balancer = shop.balancer(Name=shop.name())
    calls = [("elbv2", "describe_load_balancers", {"Names": [balancer["LoadBalancerName"]]}, balancer["DNSName"]),
             ("sts", "get_caller_identity", {}, "000000000000"), ("ec2", "describe_vpcs", {}, shop.vpc)]

    def fetch(method, url):
        connection = http.client.HTTPConnection(at, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, url.removeprefix(shop.daemon.api))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    for (service, operation, arguments, wanted), method in itertools.product(calls, ("GET", "POST")):
        client = shop.daemon.client(service)

        def url(shift=0):
            with clock(shift):
                return client.generate_presigned_url(operation, Params=arguments, ExpiresIn=60, HttpMethod=method)

        status, body = fetch(method, url())
        assert status == 200 and wanted in body, (service, method, status, body)
        late = fetch(method, url(-120))
        assert late[0] in (400, 403), (service, method, late)
        forged = fetch(method, url().replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
        assert forged[0] == 403 and "SignatureDoesNotMatch" in forged[1], (service, method, forged)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
