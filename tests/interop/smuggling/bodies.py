"""Bodies of methods that seldom have one, and second requests that are requests."""

from smuggling.corpus import CHUNKED, HIDDEN, HOST, INNER, LENGTH, OUTER, post, vector

CL = b"Content-Length: " + LENGTH + b"\r\n"
TE = b"Transfer-Encoding: chunked\r\n"

for _method, _section in [
    (b"GET", "9.3.1; CVE-2019-20372"), (b"HEAD", "9.3.2"), (b"DELETE", "9.3.5"), (b"OPTIONS", "9.3.7"), (b"PUT", "9.3.4"), (b"PATCH", "9.1"),
]:
    _word = _method.decode()
    vector("bodies", f"body of {_word}, length", f"RFC 9110 {_section}", post(CL, HIDDEN, method=_method))
    vector("bodies", f"body of {_word}, chunks", f"RFC 9110 {_section}", post(TE, CHUNKED, method=_method))
    vector("bodies", f"body of {_word}, both", "RFC 9112 6.1", post(CL + TE, CHUNKED, method=_method))
    vector("bodies", f"body of {_word}, HTTP/1.0", "RFC 9112 9.3", post(CL, HIDDEN, method=_method, version=b"HTTP/1.0"))
    vector("bodies", f"body of {_word}, kept HTTP/1.0", "RFC 9112 9.3",
           post(b"Connection: keep-alive\r\n" + CL, HIDDEN, method=_method, version=b"HTTP/1.0"))

for _name, _source, _body in [
    ("two hidden ones", "RFC 9112 6.3", HIDDEN * 2),
    ("a hidden answer", "RFC 9112 6.3", b"HTTP/1.1 200 OK\r\nX-Seen: " + INNER + b"\r\nContent-Length: 0\r\n\r\n"),
    ("half a hidden one", "RFC 9112 6.3", b"GET " + INNER + b" HTTP/1.1\r\nX: "),
    ("line ends, then a hidden one", "RFC 9112 6.3", b"\r\n\r\n" + HIDDEN),
    ("a hidden one in a body of 100 kilobytes", "RFC 9112 6.3", HIDDEN * 2_000),
    ("a hidden one behind a form", "RFC 9112 6.3", b"a=b&c=" + HIDDEN),
    ("a preface of HTTP/2", "RFC 9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
]:
    vector("bodies", f"body: {_name}", _source, post(b"Content-Length: %d\r\n" % len(_body), _body))
    vector("bodies", f"body in chunks: {_name}", _source, post(TE, b"%x\r\n" % len(_body) + _body + b"\r\n0\r\n\r\n"))

for _name, _source, _raw, _exact in [
    ("two GETs", "RFC 9112 9.3.2", post(b"", method=b"GET") + HIDDEN, (1, 1)),
    ("ten GETs", "RFC 9112 9.3.2", post(b"", method=b"GET") + HIDDEN * 9, (1, 9)),
    ("HEAD and GET", "RFC 9112 9.3.2", post(b"", method=b"HEAD") + HIDDEN, (1, 1)),
    ("POST of a length, and GET", "RFC 9112 9.3.2", post(CL, HIDDEN) + HIDDEN, (1, 1)),
    ("POST of chunks, and GET", "RFC 9112 9.3.2", post(TE, CHUNKED) + HIDDEN, (1, 1)),
    ("GET, empty line, and GET", "RFC 9112 2.2", post(b"", method=b"GET") + b"\r\n" + HIDDEN, (1, 1)),
    ("kept HTTP/1.0, and GET", "RFC 9112 9.3", post(b"Connection: keep-alive\r\n", method=b"GET", version=b"HTTP/1.0") + HIDDEN, (1, 1)),
    ("HTTP/1.0, and GET", "RFC 9112 9.3", post(b"", method=b"GET", version=b"HTTP/1.0") + HIDDEN, (1, 0)),
    ("two POSTs, the last of chunks", "RFC 9112 9.3.2", post(CL, HIDDEN) + post(TE, CHUNKED, target=INNER), (1, 1)),
    ("GET, and a bad one", "RFC 9112 9.3.2", post(b"", method=b"GET") + b"GET " + INNER + b" HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", (1, 0)),
]:
    vector("pipelined", f"pipelined: {_name}", _source, _raw, exact=_exact)
# ALB's classifier calls a GET with a body ambiguous (UndefinedContentLengthSemantics).
vector("pipelined", "pipelined: GET with a body, and GET", "RFC 9112 9.3.2", post(CL, HIDDEN, method=b"GET") + HIDDEN, exact=(1, 1), defensive=(1, 0))

# Answered before the body is whole: what is missing of it must not be taken from the next request on that connection.
for _name, _lines, _body in [
    ("billion", b"Content-Length: 1000000000\r\n", HIDDEN),
    ("megabyte", b"Content-Length: 1048576\r\n", HIDDEN * 2_000),
    ("within a chunk", TE, b"fffff\r\n" + HIDDEN),
    ("between chunks", TE, CHUNKED[:-5]),
]:
    vector("early", f"answered early, {_name}", "RFC 9112 9.3, 9.5; RFC 9110 10.1.1", post(_lines, _body, target=OUTER + b"?early"), eof=True, early=True)
