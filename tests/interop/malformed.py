"""Malformed, mutated and unsigned API requests, and malformed HTTP: no 500 from the API, no panic, no leak, and every
well-formed request between them is answered."""

import asyncio
import collections
import os
import random
import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from daemon import REGION, Balancer, Daemon, Sample, read_keys

COUNT = int(os.environ.get("FOREBAY_MALFORMED", "100000"))
LANES = 32
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def signed(daemon, service, body, target=None):
    """Raw bytes of a correctly signed call."""
    access_key, secret = read_keys(daemon.directory / "credentials", "default")
    headers = {"Content-Type": "application/x-amz-json-1.1" if target else FORM}
    if target:
        headers["X-Amz-Target"] = target
    request = AWSRequest("POST", daemon.api + "/", headers=headers, data=body)
    SigV4Auth(Credentials(access_key, secret), service, REGION).add_auth(request)
    host = daemon.api.removeprefix("http://")
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return head.encode() + b"\r\n" + body


def calls(balancer):
    """Well-formed calls to start from, of every protocol: service, body, target header."""
    elb = [
        "Action=DescribeLoadBalancers&Version=2015-12-01",
        f"Action=DescribeTargetHealth&Version=2015-12-01&TargetGroupArn={balancer.group}",
        f"Action=DescribeRules&Version=2015-12-01&ListenerArn={balancer.listener}&PageSize=5",
        "Action=CreateTargetGroup&Version=2015-12-01&Name=x&Protocol=HTTP&Port=99999&VpcId=vpc-0",
        f"Action=CreateRule&Version=2015-12-01&ListenerArn={balancer.listener}&Priority=0&Conditions.member.1.Field=path-pattern"
        "&Conditions.member.1.Values.member.1=/a&Actions.member.1.Type=fixed-response",
        f"Action=ModifyTargetGroupAttributes&Version=2015-12-01&TargetGroupArn={balancer.group}&Attributes.member.1.Key=nope"
        "&Attributes.member.1.Value=1",
        f"Action=SetRulePriorities&Version=2015-12-01&RulePriorities.member.1.RuleArn={balancer.listener}&RulePriorities.member.1.Priority=1",
    ]
    ec2 = [
        "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=is-default&Filter.1.Value.1=true",
        "Action=CreateVpc&Version=2016-11-15&CidrBlock=300.0.0.0/8",
        "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-0&IpPermissions.1.IpProtocol=tcp"
        "&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=70000&IpPermissions.1.IpRanges.1.CidrIp=x",
    ]
    made = [("elasticloadbalancing", body.encode(), None) for body in elb]
    made += [("ec2", body.encode(), None) for body in ec2]
    made.append(("sts", b"Action=GetCallerIdentity&Version=2011-06-15", None))
    made.append(("acm", b'{"MaxItems": 5}', "CertificateManager.ListCertificates"))
    made.append(("acm", b'{"Certificate": "eA==", "PrivateKey": "eA=="}', "CertificateManager.ImportCertificate"))
    return made


WORDS = [b"member", b".", b"1", b"-1", b"99999999999999999999", b"%00", b"%", b"%zz", b"&", b"=", b"\x00", b"\xff\xfe", b"{", b"}",
         b"[" * 50, b"true", b"null", b"A" * 5000, b"../", b"Action=", b"Version=", "ä€".encode(), b"<x/>", b"#{host}", b"\r\n"]


def mutate_text(text, draw):
    """One to four small changes."""
    text = bytearray(text)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text) + 1)
        kind = draw.randrange(5)
        if kind == 0:
            text[at:at] = draw.choice(WORDS)
        elif kind == 1:
            del text[at:at + draw.randint(1, 20)]
        elif kind == 2 and at < len(text):
            text[at] = draw.randrange(256)
        elif kind == 3:
            text[at:at] = text[max(0, at - draw.randint(1, 40)):at]
        else:
            text[at:at + 5] = draw.choice(WORDS)
    return bytes(text)


def mutate(raw, draw):
    """Changes body or head; the length stays true, so that the request is read whole."""
    head, body = raw.split(b"\r\n\r\n", 1)
    head = re.sub(rb"Content-Length: \d+\r\n", b"", head)
    if draw.random() < 0.7:
        body = mutate_text(body, draw)
    else:
        changed = mutate_text(head, draw)
        head = head if b"\r\n\r\n" in changed else changed
    return head + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Lane:
    """A connection that is opened anew when the other side closed it."""

    def __init__(self, ip, port):
        self.ip, self.port, self.writer = ip, port, None

    async def send(self, raw):
        """Status of the answer; None when the other side closed without one."""
        for fresh in (False, True):
            if self.writer is None or self.reader.at_eof():
                self.reader, self.writer = await asyncio.open_connection(self.ip, self.port)
                fresh = True
            try:
                self.writer.write(raw)
                return await asyncio.wait_for(self.answer(), 20)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                await self.close()
                if fresh or getattr(error, "partial", b""):
                    return None
        return None

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"\r\ncontent-length: (\d+)", head)
        await self.reader.readexactly(int(length.group(1)) if length else 0)
        if "\r\nconnection: close" in head:
            await self.close()
        return int(head.split()[1])

    async def close(self):
        if self.writer is not None:
            self.writer.close()
            self.writer = None


async def api(daemon, balancer, count):
    ip, port = daemon.api.removeprefix("http://").split(":")
    inputs = calls(balancer)
    base = [signed(daemon, *call) for call in inputs]
    outcomes, draw = collections.Counter(), random.Random(1)

    async def lane(number):
        # Well-formed calls have a connection of their own: a mutated head may leave bytes behind that its sender did
        # not mean as a request, and what follows on that connection is then the sender's own muddle.
        wire, good = Lane(ip, int(port)), Lane(ip, int(port))
        for index in range(count // LANES):
            raw = draw.choice(base)
            if index % 10 == 9:
                # A well-formed one in between.
                status = await good.send(base[0])
                assert status == 200, f"a well-formed call was answered with {status}"
                raw = draw.choice(base)
            if index % 3 == 0:
                # Signed after it was mutated: gets past the signature, into the operation.
                service, body, target = draw.choice(inputs)
                raw = signed(daemon, service, mutate_text(body, draw), target)
            elif index % 5 == 0:
                raw = re.sub(rb"\r\nAuthorization: [^\r]*", b"", raw)
            if index % 3:
                raw = mutate(raw, draw)
            status = await wire.send(raw)
            assert status is None or status < 500 or status == 503, (status, raw)
            if status is None or status in (400, 431):
                await wire.close()
            outcomes[status] += 1
        await wire.close()
        await good.close()

    await asyncio.gather(*(lane(number) for number in range(LANES)))
    return outcomes


def http_cases(draw):
    """Endless malformed HTTP requests."""
    lines = [b"GET / HTTP/1.1", b"GET  / HTTP/1.1", b"GET / HTTP/1.2", b"GET / HTTP/9", b"G\x00T / HTTP/1.1", b"GET /\x7f HTTP/1.1",
             b"GET / HTTP/1.1 ", b" GET / HTTP/1.1", b"GET", b"/ HTTP/1.1", b"POST / HTTP/1.1", b"GET http://[ HTTP/1.1"]
    headers = [b"Host: a", b"Host : a", b"Host: a\r\nHost: b", b" folded: x", b"X:\x00", b": x", b"Content-Length: -1",
               b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 1e3", b"Transfer-Encoding: chunked, chunked",
               b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"Transfer-Encoding:\x0bchunked",
               b"X" * 20000 + b": y", b"X: " + b"y" * 20000, b"Expect: 100-continue", b"X-Forwarded-For: " + b"1.1.1.1," * 40]
    bodies = [b"", b"zz\r\n", b"5\r\nhello", b"0\r\n\n", b"-1\r\n\r\n", b"fffffffffffffffffff\r\n", b"\x00" * 30, b"5;\nx\r\nhello\r\n0\r\n\r\n"]
    while True:
        if draw.random() < 0.2:
            yield draw.randbytes(draw.randint(1, 300))
            continue
        chosen = draw.sample(headers, draw.randint(0, 4))
        ending = draw.choice([b"\r\n\r\n", b"\r\n\r\n", b"\n\n", b"\r\n"])
        yield draw.choice(lines) + b"\r\n" + b"\r\n".join(chosen) + ending + draw.choice(bodies)


async def http(balancer, count):
    outcomes, draw = collections.Counter(), random.Random(2)
    cases = http_cases(draw)
    good = f"GET / HTTP/1.1\r\nHost: {balancer.nodes[0]}\r\n\r\n".encode()

    async def bad(raw):
        reader, writer = await asyncio.open_connection(balancer.nodes[0], balancer.port)
        try:
            writer.write(raw)
            # No more comes: a request that is still incomplete is over.
            writer.write_eof()
            first = await asyncio.wait_for(reader.read(), 20)
            match = re.match(rb"HTTP/1.1 (\d+) ", first)
            return int(match.group(1)) if match else None
        except ConnectionError:
            return None
        finally:
            writer.close()

    async def lane(number):
        wire = Lane(balancer.nodes[number % 3], balancer.port)
        for index in range(count // LANES):
            status = await bad(next(cases))
            outcomes[status] += 1
            if index % 10 == 9:
                status = await wire.send(good)
                assert status == 200, f"a well-formed request was answered with {status}"
        await wire.close()

    await asyncio.gather(*(lane(number) for number in range(LANES)))
    return outcomes


def main():
    with Daemon(pool="127.30.0.0/16") as daemon, Sample("good") as sample:
        balancer = Balancer(daemon, name="malformed")
        balancer.register(sample)
        balancer.wait_healthy(sample)
        # The first tenth fills pools and caches; from there on memory must stay flat.
        for what, run in (("API", lambda n: api(daemon, balancer, n)), ("HTTP", lambda n: http(balancer, n))):
            asyncio.run(run(COUNT // 10))
            before = daemon.memory_kib()
            outcomes = asyncio.run(run(COUNT))
            grown = daemon.memory_kib() - before
            print(f"{what}: {sum(outcomes.values())} bad requests, by status {dict(outcomes)}; memory {before} KiB, grown by {grown}")
            assert grown < 8192, f"memory grew by {grown} KiB"
        assert "panicked" not in daemon.stderr(), daemon.stderr()
        daemon.stop()
    print("malformed: good")


if __name__ == "__main__":
    main()
