"""The corpus in HTTP/2, as far as it can be said there, and what only HTTP/2 can say (RFC 9113 sections 8.2, 8.3 and 10.3)."""

import dataclasses

import http2_wire as h2
from smuggling.corpus import CHUNKED, HIDDEN, HOST, INNER, LENGTH, OUTER, SIZE, Vector


@dataclasses.dataclass
class Stream(Vector):
    """A request as header fields and data."""

    fields: list = None
    data: bytes = b""

    def substitute(self, text, run):
        return text.replace(b"@@@@", self.tag(run).encode())


def head(method=b"POST", path=OUTER, authority=b"a.test", scheme=b"https"):
    return [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]


def translate(vector):
    """A vector's first request in fields; none if its head has no end or no request line."""
    top, end, data = vector.raw.lstrip(b"\r\n").partition(b"\r\n\r\n")
    line, _, rest = top.partition(b"\r\n")
    method, space, target = line.partition(b" ")
    if not end or not space or vector.eof:
        return None
    path = target.rpartition(b" ")[0] or target
    # Line ends of folds and bare ones stay within values: what they would be in HTTP/1.1 behind us.
    lines = rest.replace(b"\r\n ", b"\r\n\x00fold ").replace(b"\r\n\t", b"\r\n\x00fold\t").split(b"\r\n") if rest else []
    joined = []
    for text in lines:
        if text.startswith(b"\x00fold") and joined:
            joined[-1] += b"\r\n" + text[5:]
        else:
            joined.append(text.removeprefix(b"\x00fold"))
    fields, hosts = [], []
    for text in joined:
        name, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if name.lower() == b"host":
            hosts.append(value)
        else:
            fields.append((name.lower(), value))
    authority = hosts.pop(0) if hosts else b"a.test"
    fields = head(method, path, authority) + [(b"host", host) for host in hosts] + fields
    if sum(len(name) + len(value) for name, value in fields) > 60_000:
        return None
    # Bodies that matter are short: one frame.
    data = data[:16_000]
    return Stream(vector.family, "HTTP/2 of " + vector.name, vector.source, b"", number=vector.number, fields=fields, data=data)


def more(start):
    """What only HTTP/2 can say."""
    rest = b" HTTP/1.1\r\n" + HOST + b"\r\nGET " + INNER + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    length = (b"content-length", LENGTH)
    inject = b"y\r\nTransfer-Encoding: chunked\r\nZ: z"
    split = b"y\r\n\r\n" + HIDDEN
    table = [
        ("value with CRLF and a coding", "RFC 9113 8.2.1, 10.3", head() + [(b"x", inject)], b"0\r\n\r\n" + HIDDEN),
        ("value with CRLF and a request", "RFC 9113 8.2.1, 10.3", head() + [(b"x", split)], b""),
        ("value with LF and a request", "RFC 9113 8.2.1", head() + [(b"x", split.replace(b"\r", b""))], b""),
        ("value with CR and a request", "RFC 9113 8.2.1", head() + [(b"x", split.replace(b"\n", b""))], b""),
        ("value ends with CRLF", "RFC 9113 8.2.1", head() + [(b"x", b"y\r\n")], b""),
        ("value ends with LF", "RFC 9113 8.2.1", head() + [(b"x", b"y\n")], b""),
        ("value ends with NUL", "RFC 9113 8.2.1", head() + [(b"x", b"y\x00")], b""),
        ("value starts with a space", "RFC 9113 8.2.1", head() + [(b"x", b" y")], b""),
        ("value ends with a tab", "RFC 9113 8.2.1", head() + [(b"x", b"y\t")], b""),
        ("name with CRLF", "RFC 9113 8.2.1", head() + [(b"x: y\r\ntransfer-encoding", b"chunked")], b"0\r\n\r\n" + HIDDEN),
        ("name with LF", "RFC 9113 8.2.1", head() + [(b"x\ntransfer-encoding", b"chunked")], b"0\r\n\r\n" + HIDDEN),
        ("name with a colon", "RFC 9113 8.2.1", head() + [(b"transfer-encoding:", b"chunked")], b"0\r\n\r\n" + HIDDEN),
        ("name with a colon and value", "RFC 9113 8.2.1", head() + [(b"transfer-encoding: chunked\r\nx", b"y")], b"0\r\n\r\n" + HIDDEN),
        ("name in upper case", "RFC 9113 8.2.1", head() + [(b"Transfer-Encoding", b"chunked")], b"0\r\n\r\n" + HIDDEN),
        ("name with a space", "RFC 9113 8.2.1", head() + [(b"transfer-encoding ", b"chunked")], b"0\r\n\r\n" + HIDDEN),
        ("name empty", "RFC 9113 8.2.1; CVE-2023-25725", head() + [(b"", b"y")], b""),
        ("name of high bytes", "RFC 9113 8.2.1", head() + [(b"x\xff", b"y")], b""),
        ("method with a space and a target", "RFC 9113 8.3.1; CVE-2021-33193, CVE-2021-39241", head(b"GET " + INNER + rest + b"GET"), b""),
        ("method with CRLF", "RFC 9113 8.3.1; CVE-2021-33193", head(b"GET\r\n"), b""),
        ("method empty", "RFC 9113 8.3.1", head(b""), b""),
        ("path with a request", "RFC 9113 8.3.1", head(b"GET", OUTER + rest), b""),
        ("path with a version", "RFC 9113 8.3.1", head(b"GET", OUTER + b" HTTP/1.1"), b""),
        ("path with LF", "RFC 9113 8.3.1", head(b"GET", OUTER + b"\nX: y"), b""),
        ("path with a tab", "RFC 9113 8.3.1", head(b"GET", OUTER + b"\tHTTP/1.1"), b""),
        ("path with NUL", "RFC 9113 8.3.1", head(b"GET", OUTER + b"\x00"), b""),
        ("path empty", "RFC 9113 8.3.1", head(b"GET", b""), b""),
        ("path without a slash", "RFC 9113 8.3.1", head(b"GET", OUTER[1:]), b""),
        ("path absolute", "RFC 9113 8.3.1", head(b"GET", b"http://b.test" + OUTER), b""),
        ("path with a fragment", "RFC 9113 8.3.1; CVE-2023-45539", head(b"GET", OUTER + b"#" + INNER), b""),
        ("two paths", "RFC 9113 8.3", head() + [(b":path", INNER)], b""),
        ("two methods", "RFC 9113 8.3", head() + [(b":method", b"GET")], b""),
        ("path behind a header", "RFC 9113 8.3", head()[:3] + [(b"x", b"y"), (b":path", OUTER)], b""),
        ("unknown pseudo-header", "RFC 9113 8.3", head() + [(b":version", b"HTTP/1.1")], b""),
        ("status in a request", "RFC 9113 8.3", head() + [(b":status", b"200")], b""),
        ("scheme with a request", "RFC 9113 8.3.1; CVE-2021-39240", head(scheme=b"http://b.test" + INNER + rest + b"/"), b""),
        ("scheme with a space", "RFC 9113 8.3.1; CVE-2021-39240", head(scheme=b"https "), b""),
        ("authority with CRLF", "RFC 9113 8.3.1", head(authority=b"a.test\r\nTransfer-Encoding: chunked"), b"0\r\n\r\n" + HIDDEN),
        ("authority with a space", "RFC 9113 8.3.1", head(authority=b"a.test b.test"), b""),
        ("authority with a path", "RFC 9113 8.3.1", head(authority=b"a.test/x"), b""),
        ("authority with user information", "RFC 9113 8.3.1", head(authority=b"u@a.test"), b""),
        ("authority empty", "RFC 9113 8.3.1", head(authority=b""), b""),
        ("host unlike authority", "RFC 9113 8.3.1; CVE-2021-39242", head() + [(b"host", b"b.test")], b""),
        ("host twice", "RFC 9113 8.3.1", head() + [(b"host", b"a.test"), (b"host", b"b.test")], b""),
        ("content-length 0 and data", "RFC 9113 8.1.1; CVE-2021-21295", head() + [(b"content-length", b"0")], HIDDEN),
        ("content-length too short", "RFC 9113 8.1.1; CVE-2021-21295", head() + [(b"content-length", b"5")], b"hello" + HIDDEN),
        ("content-length too long", "RFC 9113 8.1.1", head() + [(b"content-length", b"%d" % (SIZE + 9))], HIDDEN),
        ("content-length and no data", "RFC 9113 8.1.1; CVE-2021-21409", head() + [length], b""),
        ("content-length of GET", "RFC 9113 8.1.1", head(b"GET") + [length], HIDDEN),
        ("content-length twice", "RFC 9113 8.1.1", head() + [length, (b"content-length", b"0")], HIDDEN),
        ("content-length as a list", "RFC 9113 8.1.1", head() + [(b"content-length", LENGTH + b", 0")], HIDDEN),
        ("transfer-encoding", "RFC 9113 8.2.2", head() + [(b"transfer-encoding", b"chunked")], b"0\r\n\r\n" + HIDDEN),
        ("transfer-encoding and length", "RFC 9113 8.2.2", head() + [length, (b"transfer-encoding", b"chunked")], CHUNKED[:SIZE]),
        ("connection", "RFC 9113 8.2.2", head() + [(b"connection", b"content-length"), length], HIDDEN),
        ("keep-alive", "RFC 9113 8.2.2", head() + [(b"keep-alive", b"timeout=5"), length], HIDDEN),
        ("proxy-connection", "RFC 9113 8.2.2", head() + [(b"proxy-connection", b"keep-alive"), length], HIDDEN),
        ("upgrade", "RFC 9113 8.2.2", head() + [(b"upgrade", b"h2c"), length], HIDDEN),
        ("te of more than trailers", "RFC 9113 8.2.2", head() + [(b"te", b"chunked"), length], HIDDEN),
        ("body without a length", "RFC 9113 8.1", head(), HIDDEN),
        ("body that looks chunked", "RFC 9113 8.1", head(), b"0\r\n\r\n" + HIDDEN),
        ("body of GET without a length", "RFC 9113 8.1", head(b"GET"), HIDDEN),
        ("body of HEAD without a length", "RFC 9113 8.1", head(b"HEAD"), HIDDEN),
        ("cookie with CRLF", "RFC 9113 8.2.3", head() + [(b"cookie", b"a=b\r\nx: y"), (b"cookie", b"c=d")], b""),
        ("expect and a body", "RFC 9110 10.1.1", head() + [(b"expect", b"100-continue"), length], HIDDEN),
        ("underscores", "RFC 9110 5.1", head() + [(b"transfer_encoding", b"chunked"), (b"content_length", b"0")], HIDDEN),
    ]
    return [Stream("HTTP/2", "HTTP/2, " + name, source, b"", number=start + at, fields=fields, data=data)
            for at, (name, source, fields, data) in enumerate(table)]


def expressible(vectors):
    """All that can be said in HTTP/2."""
    streams = [stream for stream in map(translate, vectors) if stream]
    return streams + more(max(vector.number for vector in vectors) + 1)


class Front:
    """What `Wire` asks of the front it connects to."""

    def __init__(self, ip, port):
        self.ip, self.port = ip, port


def send(front, vector, run):
    """One connection, one request on it; returns what is wrong. That it is answered, reset or hung up on is all one here."""
    with h2.Wire(Front(front.node, front.tls)) as wire:
        fields = [(vector.substitute(name, run), vector.substitute(value, run)) for name, value in vector.fields]
        block, data = wire.block(fields), vector.substitute(vector.data, run)
        ends = 0 if data else h2.END_STREAM
        frames, first = b"", True
        while block or first:
            part, block = block[:16_000], block[16_000:]
            flags = (ends if first else 0) | (0 if block else h2.END_HEADERS)
            frames += h2.frame(h2.HEADERS if first else h2.CONTINUATION, flags, 1, part)
            first = False
        if data:
            frames += h2.frame(h2.DATA, h2.END_STREAM, 1, data)
        wire.send(frames)
        verdict = wire.verdict()
    return ["the connection hung"] if verdict == "silence" else []
