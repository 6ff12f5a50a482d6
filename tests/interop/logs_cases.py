"""Requests and what ALB's access log must say of each: the cases of logs.py. Bytes are sent as they stand here."""

import dataclasses


@dataclasses.dataclass
class Case:
    """One connection's request, and its log line where it differs from that of a request forwarded by the default rule."""

    name: str
    request: bytes
    status: int = 200
    # Whether a target is named; its status in the log.
    target: str = "good"
    target_status: str | None = None
    # The request was understood; it reached the rules.
    understood: bool = True
    routed: bool = True
    priority: str = "0"
    actions: str = "forward"
    group: str = "main"
    redirect: str = "-"
    classified: tuple = ("-", "-")
    transformed: tuple = ("-", "-", "-")
    # Part of the request that the log counts; all of it if none.
    received: int | None = None
    # How the client behaves: `plain`, `leave` (closes while it waits), `half` (closes its sending side), `cut` (the answer
    # breaks off).
    manner: str = "plain"
    seconds: float | None = None
    body_at_once: bool = True


def get(path, *lines, method="GET", version="HTTP/1.1", host="logs.example", body=b"", close=True):
    """A request's bytes."""
    head = [f"{method} {path} {version}".encode("latin-1")]
    if host is not None:
        head.append(f"Host: {host}".encode())
    head += [line if isinstance(line, bytes) else line.encode("latin-1") for line in lines]
    if close:
        head.append(b"Connection: close")
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def forwarded():
    """Methods, statuses and bodies that go through."""
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "PUT", "POST", "PROPFIND", "X-CUSTOM"]:
        yield Case(f"method {method}", get("/plain", method=method))
    for status in [200, 201, 202, 203, 204, 205, 206, 299, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409,
                   410, 413, 418, 429, 431, 451, 460, 499, 500, 501, 502, 503, 504, 505, 561, 599]:
        yield Case(f"target's {status}", get(f"/status/{status}"), status=status, target_status=str(status))
    for size in [0, 1, 2000, 8192, 8193, 70_000, 1_000_000]:
        yield Case(f"answer of {size}", get(f"/bytes/{size}"))
        yield Case(f"chunked answer of {size}", get(f"/chunked/{size}"))
        yield Case(f"answer of {size} until the target closes", get(f"/until-close/{size}"))
    for size in [0, 1, 3000, 15_000, 16_384, 100_000]:
        body = b"b" * size
        yield Case(f"upload of {size}", get("/plain", f"Content-Length: {size}", method="POST", body=body))
        chunks = (f"{size:x}\r\n".encode() + body + b"\r\n" if size else b"") + b"0\r\n\r\n"
        yield Case(f"chunked upload of {size}", get("/plain", "Transfer-Encoding: chunked", method="PUT", body=chunks))
    yield Case("upload in pieces", get("/plain", "Content-Length: 3000", method="POST", body=b"b" * 3000), body_at_once=False)
    yield Case("chunks in pieces", get("/plain", "Transfer-Encoding: chunked", method="POST", body=b"3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"), body_at_once=False)
    yield Case("HEAD of a large file", get("/bytes/5000", method="HEAD"))
    yield Case("a slow target", get("/slow/300"), seconds=0.3)
    yield Case("a slower target", get("/slow/700"), seconds=0.7)
    yield Case("HTTP/1.0", get("/plain", version="HTTP/1.0"))
    yield Case("HTTP/1.0, chunked answer", get("/chunked/100", version="HTTP/1.0"))
    yield Case("HTTP/1.0 without Host", get("/plain", version="HTTP/1.0", host=None))


def texts():
    """Lines and agents that need care."""
    for agent in ["curl/8.5.0", 'a "quoted" agent', "back\\slash", "tab\there", "caf\xe9", "x" * 200, "x" * 8192, "x" * 9000, "-", "a-b c (d; e)", "'", "\x80\xff"]:
        yield Case(f"agent {len(agent)} {agent[:20]!r}", get("/plain", f"User-Agent: {agent}"))
    yield Case("empty agent", get("/plain", "User-Agent: "))
    yield Case("two agents", get("/plain", "User-Agent: first", "user-agent: second"))
    for path in ["/", "/plain?", "/plain?a=b&c=d", "/a%20b", "/a%22b", "/~x;y=z", "/%E2%82%AC", "/plain/../x", "//double", "/a\"b", "/a\\b", "/a'b", "/" + "p" * 5000, "/plain?q=" + "q" * 10_000, "/[]{}|^"]:
        yield Case(f"target {len(path)} {path[:20]!r}", get(path))
    for host in ["a", "A.Example", "logs.example:80", "logs.example:9999", "127.0.0.1", "[::1]", "[::1]:81", "x_y.example", "a" * 200]:
        yield Case(f"host {host[:20]!r}", get("/plain", host=host))
    yield Case("absolute target", get("http://other.example/plain?x=y"))
    yield Case("absolute target with a port", get("http://other.example:123/plain"))
    yield Case("absolute target without a path", get("http://other.example"))
    yield Case("absolute https target", get("https://other.example/plain"))
    yield Case("OPTIONS *", get("*", method="OPTIONS"))
    for trace in ["Root=1-67891233-abcdef012345678912345678", "Self=1-67891234-12456789abcdef012345678;Root=1-67891233-abcdef012345678912345678;CalledFrom=app", "CalledFrom=app", "", 'Root=1-6-7;x="y"']:
        yield Case(f"trace id {trace[:30]!r}", get("/plain", f"X-Amzn-Trace-Id: {trace}"))
    yield Case("30 forwarded addresses", get("/plain", "X-Forwarded-For: " + ", ".join(["10.0.0.1"] * 30)))


def ruled():
    """Rules: redirects, fixed answers, transforms, priorities."""
    own = dict(target="none", group="none")
    yield Case("redirect to https", get("/redirect/a?b=c"), 301, priority="10", actions="redirect", redirect="https://logs.example:443/redirect/a?b=c", **own)
    yield Case("redirect of a HEAD", get("/redirect/a", method="HEAD"), 301, priority="10", actions="redirect", redirect="https://logs.example:443/redirect/a", **own)
    yield Case("redirect of an upload", get("/redirect/a", "Content-Length: 4", method="POST", body=b"body"), 301, priority="10", actions="redirect", redirect="https://logs.example:443/redirect/a", **own)
    yield Case("redirect elsewhere", get("/elsewhere"), 302, priority="11", actions="redirect", redirect="http://other.example:8080/new/elsewhere?from=logs.example", **own)
    yield Case("redirect with odd bytes", get("/redirect/\\..?a=\"b\""), 301, priority="10", actions="redirect", redirect='https://logs.example:443/redirect/\\..?a="b"', **own)
    yield Case("redirect too long", get("/long?" + "q" * 2000), 507, priority="12", actions="redirect", **own)
    for status in [200, 404, 503]:
        yield Case(f"fixed {status}", get(f"/fixed/{status}"), status, priority=str(20 + [200, 404, 503].index(status)), actions="fixed-response", **own)
        yield Case(f"fixed {status} to HEAD", get(f"/fixed/{status}", method="HEAD"), status, priority=str(20 + [200, 404, 503].index(status)), actions="fixed-response", **own)
        yield Case(f"fixed {status} to HTTP/1.0", get(f"/fixed/{status}", version="HTTP/1.0"), status, priority=str(20 + [200, 404, 503].index(status)), actions="fixed-response", **own)
    yield Case("fixed to an upload", get("/fixed/200", "Content-Length: 100", method="POST", body=b"b" * 100), 200, priority="20", actions="fixed-response", **own)
    yield Case("no target", get("/empty/x"), 503, target="none", group="empty", priority="30")
    yield Case("no target, upload", get("/empty/x", "Content-Length: 10", method="POST", body=b"0123456789"), 503, target="none", group="empty", priority="30")
    yield Case("all refuse", get("/refused/x"), 502, target="refusing", target_status="-", group="refused", priority="31")
    yield Case("all refuse, upload", get("/refused/x", "Content-Length: 3", method="POST", body=b"abc"), 502, target="refusing", target_status="-", group="refused", priority="31")
    yield Case("one refuses", get("/some/plain"), target="good", group="some", priority="32")
    yield Case("weights of 0", get("/weightless"), 503, target="none", group="none", priority="33")
    yield Case("url rewritten", get("/rewrite/a?b"), priority="40", actions="rewrite,forward", transformed=("-", "/plain/a?b", "TransformSuccess"))
    yield Case("url not rewritten", get("/rewrite-no"), priority="40")
    yield Case("host rewritten", get("/hosted", host="old.example"), priority="41", actions="rewrite,forward", transformed=("new.example", "-", "TransformSuccess"))
    yield Case("host rewritten to itself", get("/hosted", host="new.example"), priority="41")
    failed = dict(priority="42", actions="rewrite", target="none", group="none")
    yield Case("rewritten to no host", get("/badhost", host="old.example"), 500, transformed=("-", "-", "TransformInvalidHost"), **failed)
    failed["priority"] = "43"
    yield Case("rewritten to no path", get("/badpath/x"), 500, transformed=("-", "-", "TransformInvalidPath"), **failed)
    for priority in [44, 45, 46]:
        yield Case(f"rule {priority}", get(f"/rule/{priority}"), priority=str(priority))


def failing():
    """Everything that goes wrong at the target, or on the way there."""
    bad = dict(target_status="-")
    for path in ["close", "reset", "garbage", "bighead", "both", "twolengths", "nostatus", "switch"]:
        yield Case(f"target: {path}", get(f"/bad/{path}"), 502, **bad)
    for path in ["close", "reset"]:
        yield Case(f"target, upload: {path}", get(f"/bad/{path}", "Content-Length: 5", method="POST", body=b"hello"), 502, **bad)
    yield Case("silent target", get("/bad/silent"), 504, **bad)
    yield Case("silent target, upload", get("/bad/silent", "Content-Length: 5", method="POST", body=b"hello"), 504, **bad)
    yield Case("target accepts nothing", get("/blackhole"), 504, target="blackhole", group="blackhole", priority="50", **bad)
    yield Case("answer cut short", get("/cut/100"), 200, manner="cut")
    yield Case("chunked answer cut short", get("/cutchunks/100"), 200, manner="cut")
    yield Case("client leaves", get("/bad/silent", close=False), 460, manner="leave", **bad)
    yield Case("client leaves after its upload", get("/bad/silent", "Content-Length: 2", method="POST", body=b"ab", close=False), 460, manner="leave", **bad)
    yield Case("client's body breaks off", get("/plain", "Content-Length: 10", method="POST", body=b"01234"), 400, manner="half", **bad)
    yield Case("client's chunks break off", get("/plain", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhel"), 400, manner="half", **bad)
    yield Case("client's chunks are none", get("/plain", "Transfer-Encoding: chunked", method="POST", body=b"xyz\r\n"), 400, target="none", target_status=None)


def refused():
    """Requests that never reach the rules."""
    seen = dict(routed=False, priority="-", actions="-", target="none", group="none")
    for method in ["TRACE", "CONNECT"]:
        yield Case(method, get("/", method=method), 405, **seen)
    yield Case("31 forwarded addresses", get("/", "X-Forwarded-For: " + ", ".join(["10.0.0.1"] * 31)), 463, **seen)
    yield Case("31 forwarded addresses in two lines", get("/", "X-Forwarded-For: " + ",".join(["a"] * 30), "X-Forwarded-For: b"), 463, **seen)
    for coding in ["gzip", "gzip, chunked", "deflate"]:
        yield Case(f"coding {coding}", get("/", f"Transfer-Encoding: {coding}", method="POST"), 501, **seen)
    yield Case("coding unknown", get("/", "Transfer-Encoding: x", method="POST"), 501, classified=("Severe", "BadTransferEncoding"), **seen)
    yield Case("no Host", get("/x", host=None), 400, **seen)
    yield Case("two Hosts", get("/x", "Host: other.example"), 400, **seen)
    yield Case("Host with a slash", get("/x", host="a/b"), 400, **seen)
    yield Case("Host with a user", get("/x", host="u@a"), 400, **seen)
    yield Case("fragment", get("/x#y"), 400, **seen)
    yield Case("relative target", get("x"), 400, **seen)
    yield Case("ftp target", get("ftp://a/x"), 400, **seen)
    severe = {"abc": "BadContentLength", "-1": "BadContentLength", "1, 1": "BadContentLength", "+1": "BadContentLength", "0x1": "BadContentLength", "99999999999999999999": "BadContentLength"}
    for value, reason in severe.items():
        yield Case(f"length {value}", get("/", f"Content-Length: {value}", method="POST"), 400, classified=("Severe", reason), **seen)
    yield Case("two lengths", get("/", "Content-Length: 1", "Content-Length: 2", method="POST"), 400, classified=("Severe", "MultipleContentLength"), **seen)
    yield Case("chunked twice", get("/", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", method="POST"), 400, classified=("Severe", "MultipleTransferEncodingChunked"), **seen)
    yield Case("chunked in HTTP/1.0", get("/", "Transfer-Encoding: chunked", method="POST", version="HTTP/1.0"), 400, classified=("Ambiguous", "UndefinedTransferEncodingSemantics"), **seen)
    both = ["Content-Length: 5", "Transfer-Encoding: chunked"]
    yield Case("both framings", get("/plain", *both, method="POST", body=b"0\r\n\r\n"), classified=("Ambiguous", "BothTeClPresent"))
    yield Case("the same length twice", get("/plain", "Content-Length: 2", "Content-Length: 2", method="POST", body=b"ab"), classified=("Ambiguous", "DuplicateContentLength"))
    yield Case("GET with a body", get("/plain", "Content-Length: 2", body=b"ab"), classified=("Ambiguous", "UndefinedContentLengthSemantics"))
    yield Case("GET with chunks", get("/plain", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), classified=("Ambiguous", "UndefinedTransferEncodingSemantics"))
    yield Case("GET of length 0", get("/plain", "Content-Length: 0"), classified=("Acceptable", "GetHeadZeroContentLength"))
    yield Case("length's likeness", get("/plain", "Content_Length: 5"), classified=("Ambiguous", "SuspiciousHeader"))
    yield Case("coding's likeness", get("/plain", "Transfer_Encoding: chunked"), classified=("Ambiguous", "SuspiciousHeader"))
    yield Case("bare line feeds", get("/plain").replace(b"\r\n", b"\n"), classified=("Acceptable", "NonCrLfLineTermination"))


def garbled():
    """Bytes that are no request: the line says nothing of them but how they were judged."""
    none = dict(understood=False, routed=False, priority="-", actions="-", target="none", group="none", received=0)
    judged = {
        b"\0\1\2\3\r\n\r\n": ("Severe", "BadMethod"),
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n": ("Ambiguous", "MissingHeaderColon"),
        b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n": ("Acceptable", "NonCompliantHeader"),
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n": ("Ambiguous", "SuspiciousHeader"),
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n": ("Severe", "BadHeader"),
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n": ("Severe", "BadHeader"),
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x01c\r\n\r\n": ("Acceptable", "NonCompliantHeader"),
        b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n": ("Ambiguous", "EmptyHeader"),
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n": ("Ambiguous", "MultilineHeader"),
        b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n": ("Severe", "BadMethod"),
        b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n": ("Ambiguous", "AmbiguousUri"),
        b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n": ("-", "-"),
        b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n": ("Severe", "BadUri"),
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n": ("Acceptable", "SpaceInUri"),
        b"GET / http/1.1\r\nHost: a\r\n\r\n": ("-", "-"),
    }
    for request, classified in judged.items():
        yield Case(f"garbled {request[:60]!r}", request, 400, classified=classified, **none)
    for version, classified in {"HTTP/2.0": ("-", "-"), "HTTP/3.0": ("-", "-"), "HTTP/0.9": ("Acceptable", "NonCompliantVersion")}.items():
        yield Case(f"version {version}", get("/", version=version), 505, classified=classified, **none)
    yield Case("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, **none)
    yield Case("long line", get("/" + "a" * 17_000), 414, **none)
    yield Case("longer line", get("/?" + "a" * 40_000), 414, **none)
    yield Case("long header", get("/", "A: " + "a" * 17_000), 400, **none)
    yield Case("long head", get("/", *[f"A{n}: " + "a" * 15_000 for n in range(5)]), 400, **none)
    yield Case("many headers", get("/", *["A: b"] * 300), 400, **none)
    yield Case("half a head", b"GET / HTTP/1.1\r\nHos", 400, manner="half", **none)
    yield Case("half a head and silence", b"GET / HTTP/1.1\r\nHos", 408, **none)
    yield Case("silence", b"", 408, **none)


def cases():
    """All of them."""
    for source in [forwarded, texts, ruled, failing, refused, garbled]:
        yield from source()
