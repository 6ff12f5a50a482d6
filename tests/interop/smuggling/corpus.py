"""Requests that servers may read differently. Each has a name, a source (a section of an RFC, or a CVE of a server that once
read it wrongly), and its bytes.

A vector's target is `/outer-@@@@`, and the request hidden in it asks for `/inner-@@@@`; `@@@@` becomes the vector's own number
when it is sent, with the same length, so that lengths within the vector hold.

What must come of a vector: the origin sees `/outer-` once or never, and `/inner-` never. Where RFC 9112 leaves no doubt that the
second request is one (pipelining), `exact` says how often each must arrive."""

import dataclasses

OUTER, INNER = b"/outer-@@@@", b"/inner-@@@@"
HOST = b"Host: a.test\r\n"
# The request that must not get through, and its length in decimal and hexadecimal.
HIDDEN = b"GET " + INNER + b" HTTP/1.1\r\n" + HOST + b"\r\n"
SIZE = len(HIDDEN)
LENGTH, CHUNK = b"%d" % SIZE, b"%x" % SIZE
# As a chunked body whose only chunk is the hidden request.
CHUNKED = CHUNK + b"\r\n" + HIDDEN + b"\r\n0\r\n\r\n"


@dataclasses.dataclass
class Vector:
    family: str
    name: str
    source: str
    raw: bytes
    # (outer, inner) that must arrive; none: at most one, and none.
    exact: tuple = None
    # The request is incomplete on purpose, so that nothing is answered before its client ends.
    eof: bool = False
    # The same in defensive mode, where a request of doubtful class ends its connection.
    defensive: tuple = None
    # The origins of `servers.EARLY` answer before the body is there; only then its client ends.
    early: bool = False
    number: int = 0

    def expected(self, run):
        """What must arrive in this run: `d` is the one in defensive mode, `h` the one in HTTP/2, where nothing is pipelined."""
        if run == "h" or self.exact is None:
            return None
        return self.defensive or self.exact if run == "d" else self.exact

    def render(self, run):
        """The bytes to send in this run, a letter."""
        return self.raw.replace(b"@@@@", self.tag(run).encode())

    def tag(self, run):
        return f"{run}{self.number:03}"


VECTORS = []


def vector(family, name, source, raw, **more):
    VECTORS.append(Vector(family, name, source, raw, **more))


def post(lines, body=b"", method=b"POST", target=OUTER, version=b"HTTP/1.1", host=HOST):
    """A request; `lines` are its header lines but Host, each with its end."""
    return method + b" " + target + b" " + version + b"\r\n" + host + lines + b"\r\n" + body


def load():
    """All vectors, numbered."""
    from smuggling import bodies, chunks, headers, lengths, lines, transfer  # noqa: F401 (each adds its own)

    for number, entry in enumerate(VECTORS, 1):
        entry.number = number
    names = [entry.name for entry in VECTORS]
    assert len(set(names)) == len(names), sorted(name for name in set(names) if names.count(name) > 1)
    return VECTORS
