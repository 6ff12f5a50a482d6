"""Header lines (RFC 9112 section 5), Host, and headers of the connection."""

from smuggling.corpus import CHUNKED, HIDDEN, HOST, INNER, LENGTH, OUTER, SIZE, post, vector

CL = b"Content-Length: " + LENGTH + b"\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
START = b"POST " + OUTER + b" HTTP/1.1\r\n"

# Header lines beside a length that is right; the hidden request is the body.
for _name, _source, _lines in [
    ("space before colon", "RFC 9112 5.1; CVE-2021-22959", b"X : y\r\n"),
    ("tab before colon", "RFC 9112 5.1", b"X\t: y\r\n"),
    ("empty name", "RFC 9112 5; CVE-2023-25725", b": y\r\n"),
    ("empty name, and a space", "RFC 9112 5; CVE-2023-25725", b" : y\r\n"),
    ("only a colon", "RFC 9112 5; CVE-2023-25725", b":\r\n"),
    ("no colon", "RFC 9112 5", b"X\r\n"),
    ("no colon, words", "RFC 9112 5", b"GET " + INNER + b" HTTP/1.1\r\n"),
    ("space in name", "RFC 9110 5.1", b"X y: z\r\n"),
    ("NUL in name", "RFC 9110 5.1", b"X\x00Y: z\r\n"),
    ("NUL in value", "RFC 9110 5.5", b"X: y\x00z\r\n"),
    ("SOH in value", "RFC 9110 5.5", b"X: y\x01z\r\n"),
    ("ESC in value", "RFC 9110 5.5", b"X: \x1b[2J\r\n"),
    ("DEL in value", "RFC 9110 5.5", b"X: y\x7fz\r\n"),
    ("DEL in name", "RFC 9110 5.1", b"X\x7f: y\r\n"),
    ("CR in value", "RFC 9112 2.2", b"X: y\rz\r\n"),
    ("CR in name", "RFC 9112 2.2", b"X\rY: z\r\n"),
    ("CR in value, and a request", "RFC 9112 2.2; CVE-2023-30589", b"X: y\r\rGET " + INNER + b" HTTP/1.1\r\rY: z\r\n"),
    ("LF in value", "RFC 9112 2.2", b"X: y\nz: a\r\n"),
    ("fold", "RFC 9112 5.2", b"X: y\r\n z\r\n"),
    ("fold by tab", "RFC 9112 5.2", b"X: y\r\n\tz\r\n"),
    ("fold twice", "RFC 9112 5.2", b"X: y\r\n z\r\n a\r\n"),
    ("fold of an empty value", "RFC 9112 5.2", b"X:\r\n y\r\n"),
    ("fold with nothing", "RFC 9112 5.2", b"X: y\r\n \r\n"),
    ("fold with a tab only", "RFC 9112 5.2", b"X: y\r\n\t\r\n"),
    ("fold hides a request", "RFC 9112 5.2", b"X: y\r\n GET " + INNER + b" HTTP/1.1\r\n"),
    ("fold behind LF", "RFC 9112 5.2", b"X: y\n z\r\n"),
    ("byte 80 in value", "RFC 9110 5.5", b"X: \x80\xff\r\n"),
    ("byte 80 in name", "RFC 9110 5.1", b"X\x80: y\r\n"),
    ("UTF-8 in name", "RFC 9110 5.1", "\u00c4: y\r\n".encode()),
    ("UTF-8 in value", "RFC 9110 5.5", "X: \u00e4\u2028\r\n".encode()),
    ("brackets in name", "RFC 9110 5.6.2", b"X(y): z\r\n"),
    ("quotes in name", "RFC 9110 5.6.2", b'"X": y\r\n'),
    ("at sign in name", "RFC 9110 5.6.2", b"X@y: z\r\n"),
    ("slash in name", "RFC 9110 5.6.2", b"X/y: z\r\n"),
    ("semicolon in name", "RFC 9110 5.6.2", b"X;y: z\r\n"),
    ("comma in name", "RFC 9110 5.6.2", b"X,y: z\r\n"),
    ("all of tchar in name", "RFC 9110 5.6.2", b"!#$%&'*+-.^_`|~: y\r\n"),
    ("digits for a name", "RFC 9110 5.6.2", b"0: y\r\n"),
    ("underscore in name", "RFC 9110 5.1", b"X_Y: z\r\n"),
    ("three hundred lines", "RFC 9112 5; RFC 6585 5", b"X: y\r\n" * 300),
    ("two hundred lines", "RFC 9112 5", b"".join(b"X-%d: y\r\n" % number for number in range(80))),
    ("value of seventeen kilobytes", "RFC 6585 5", b"X: " + b"y" * 17_000 + b"\r\n"),
    ("name of seventeen kilobytes", "RFC 6585 5", b"X" * 17_000 + b": y\r\n"),
    ("seventy kilobytes", "RFC 6585 5", b"".join(b"X-%d: " % number + b"y" * 7_000 + b"\r\n" for number in range(10))),
    ("pseudo-header", "RFC 9113 8.3", b":method: GET\r\n"),
    ("pseudo-header for a path", "RFC 9113 8.3", b":path: " + INNER + b"\r\n"),
    ("method override", "RFC 9110 5.1", b"X-HTTP-Method-Override: GET\r\n"),
    ("other URL", "RFC 9110 5.1", b"X-Original-URL: " + INNER + b"\r\nX-Rewrite-URL: " + INNER + b"\r\n"),
    ("request in a value", "RFC 9110 5.5", b"X: GET " + INNER + b" HTTP/1.1\r\n"),
    ("encoded line end in value", "RFC 9110 5.5", b"X: y%0d%0aContent-Length: 0%0d%0a%0d%0a\r\n"),
    ("UTF-8 look-alikes of CRLF", "RFC 9110 5.5", "X: y\u560d\u560aContent-Length: 0\r\n".encode()),
]:
    vector("header", f"header: {_name}", _source, post(_lines + CL, HIDDEN))

for _name, _source, _raw in [
    ("space before the first header", "RFC 9112 2.2; CVE-2020-7238", START + b" Content-Length: 0\r\n" + HOST + CL + b"\r\n" + HIDDEN),
    ("tab before the first header", "RFC 9112 2.2", START + b"\tContent-Length: 0\r\n" + HOST + CL + b"\r\n" + HIDDEN),
    ("only spaces on the first line", "RFC 9112 2.2", START + b"  \r\n" + HOST + CL + b"\r\n" + HIDDEN),
    ("head ends by CR CR", "RFC 9112 2.2; CVE-2023-30589", START + HOST + CL[:-2] + b"\r\r" + HIDDEN),
    ("head ends by CR LF CR", "RFC 9112 2.2", START + HOST + CL + b"\r" + HIDDEN),
    ("head ends by a space", "RFC 9112 2.2", START + HOST + CL + b" \r\n\r\n" + HIDDEN),
    ("head ends by NUL", "RFC 9112 2.2", START + HOST + CL + b"\x00\r\n\r\n" + HIDDEN),
    ("head ends by LF LF", "RFC 9112 2.2; CVE-2021-41136", START + HOST + CL[:-2] + b"\n\n" + HIDDEN),
    ("head ends by CRLF LF", "RFC 9112 2.2; CVE-2021-41136", START + HOST + CL + b"\n" + HIDDEN),
    ("head ends by LF CRLF", "RFC 9112 2.2; CVE-2022-35256", START + HOST + CL[:-2] + b"\n\r\n" + HIDDEN),
    ("all lines end by LF", "RFC 9112 2.2; CVE-2019-16785", (START + HOST + CL + b"\r\n").replace(b"\r\n", b"\n") + HIDDEN),
    ("all lines end by CR", "RFC 9112 2.2; CVE-2023-30589", (START + HOST + CL + b"\r\n").replace(b"\r\n", b"\r") + HIDDEN),
    ("all lines end by LF CR", "RFC 9112 2.2", (START + HOST + CL + b"\r\n").replace(b"\r\n", b"\n\r") + HIDDEN),
    ("no headers", "RFC 9112 3.2", START + b"\r\n" + HIDDEN),
]:
    vector("header", f"header: {_name}", _source, _raw)

for _name, _source, _raw in [
    ("head breaks off in the line", "RFC 9112 8", b"POST " + OUTER),
    ("head breaks off in a header", "RFC 9112 8", START + b"Host: a.te"),
    ("head breaks off before its end", "RFC 9112 8", START + HOST + CL),
    ("head breaks off behind CR", "RFC 9112 8", START + HOST + CL + b"\r"),
    ("nothing but line ends", "RFC 9112 2.2", b"\r\n" * 20),
]:
    vector("header", f"header: {_name}", _source, _raw, eof=True)

for _name, _source, _host in [
    ("none", "RFC 9112 3.2", b""),
    ("empty", "RFC 9112 3.2", b"Host:\r\n"),
    ("two alike", "RFC 9112 3.2", HOST + HOST),
    ("two unlike", "RFC 9112 3.2", HOST + b"Host: b.test\r\n"),
    ("two, apart and in other case", "RFC 9112 3.2", HOST + b"X: y\r\nhOST: b.test\r\n"),
    ("list", "RFC 9112 3.2", b"Host: a.test, b.test\r\n"),
    ("user information", "RFC 9110 4.2.4", b"Host: u:p@a.test\r\n"),
    ("path", "RFC 9112 3.2", b"Host: a.test/x\r\n"),
    ("scheme", "RFC 9112 3.2", b"Host: http://a.test\r\n"),
    ("query", "RFC 9112 3.2", b"Host: a.test?x\r\n"),
    ("fragment", "RFC 9112 3.2", b"Host: a.test#x\r\n"),
    ("space within", "RFC 9112 3.2", b"Host: a.test b.test\r\n"),
    ("tab within", "RFC 9112 3.2", b"Host: a.test\tb.test\r\n"),
    ("port of letters", "RFC 3986 3.2.3", b"Host: a.test:x\r\n"),
    ("port too large", "RFC 3986 3.2.3", b"Host: a.test:99999\r\n"),
    ("port empty", "RFC 3986 3.2.3", b"Host: a.test:\r\n"),
    ("two ports", "RFC 3986 3.2.3", b"Host: a.test:1:2\r\n"),
    ("bracket open", "RFC 3986 3.2.2", b"Host: [::1\r\n"),
    ("address in brackets", "RFC 3986 3.2.2", b"Host: [::1]:80\r\n"),
    ("backslash", "RFC 3986 3.2.2", b"Host: a.test\\b.test\r\n"),
    ("NUL", "RFC 9110 5.5", b"Host: a.test\x00b.test\r\n"),
    ("CR", "RFC 9112 2.2", b"Host: a.test\rHost: b.test\r\n"),
    ("space before colon", "RFC 9112 5.1", b"Host : a.test\r\n"),
    ("folded", "RFC 9112 5.2", b"Host:\r\n a.test\r\n"),
    ("folded to a second", "RFC 9112 5.2", b"Host: a.test\r\n b.test\r\n"),
    ("fold of another", "RFC 9112 5.2", b"X: y\r\n Host: b.test\r\nHost: a.test\r\n"),
    ("encoded line end", "RFC 3986 3.2.2", b"Host: a.test%0d%0aX:y\r\n"),
    ("UTF-8", "RFC 3986 3.2.2", "Host: \u00e4.test\r\n".encode()),
    ("of three hundred bytes", "RFC 3986 3.2.2", b"Host: " + b"a" * 300 + b"\r\n"),
    ("named elsewhere as well", "RFC 9110 7.2", HOST + b"X-Forwarded-Host: b.test\r\nForwarded: host=b.test\r\nX-Host: b.test\r\n"),
]:
    vector("host", f"host: {_name}", _source, post(CL, HIDDEN, host=_host))
vector("host", "host: absolute target of another", "RFC 9112 3.2.2; CVE-2021-39242",
       post(CL, HIDDEN, target=b"http://b.test" + OUTER))
vector("host", "host: absolute target, and two", "RFC 9112 3.2", post(CL, HIDDEN, target=b"http://a.test" + OUTER, host=HOST + HOST))
vector("host", "host: absolute target, and none", "RFC 9112 3.2", post(CL, HIDDEN, target=b"http://a.test" + OUTER, host=b""))

# What Connection names is of this connection; what says where the body ends is written anew, and never lost.
for _name, _source, _lines, _body in [
    ("Content-Length", "RFC 9110 7.6.1", b"Connection: Content-Length\r\n" + CL, HIDDEN),
    ("content-length, close", "RFC 9110 7.6.1", b"Connection: content-length, close\r\n" + CL, HIDDEN),
    ("keep-alive, Content-Length", "RFC 9110 7.6.1", b"Connection: keep-alive, Content-Length\r\n" + CL, HIDDEN),
    ("Transfer-Encoding", "RFC 9110 7.6.1", b"Connection: Transfer-Encoding\r\n" + TE, CHUNKED),
    ("Transfer-Encoding, and both", "RFC 9110 7.6.1; CVE-2022-36760", b"Connection: Transfer-Encoding\r\n" + CL + TE, CHUNKED),
    ("Content-Length, and both", "RFC 9110 7.6.1; CVE-2022-26377", b"Connection: Content-Length\r\n" + TE + b"Content-Length: 5\r\n", CHUNKED),
    ("Host", "RFC 9110 7.6.1", b"Connection: Host\r\n" + CL, HIDDEN),
    ("X-Forwarded-For", "RFC 9110 7.6.1", b"Connection: X-Forwarded-For\r\nX-Forwarded-For: 10.0.0.1\r\n" + CL, HIDDEN),
    ("X-Forwarded-Proto and Port", "RFC 9110 7.6.1", b"Connection: X-Forwarded-Proto, X-Forwarded-Port\r\n" + CL, HIDDEN),
    ("X-Amzn-Trace-Id", "RFC 9110 7.6.1", b"Connection: X-Amzn-Trace-Id\r\n" + CL, HIDDEN),
    ("Cookie and Authorization", "RFC 9110 7.6.1", b"Connection: Cookie, Authorization\r\nCookie: a=b\r\nAuthorization: x\r\n" + CL, HIDDEN),
    ("Connection", "RFC 9110 7.6.1", b"Connection: Connection\r\n" + CL, HIDDEN),
    ("empty", "RFC 9110 7.6.1", b"Connection:\r\n" + CL, HIDDEN),
    ("commas", "RFC 9110 7.6.1", b"Connection: ,,,\r\n" + CL, HIDDEN),
    ("quoted", "RFC 9110 7.6.1", b'Connection: "Content-Length"\r\n' + CL, HIDDEN),
    ("two lines", "RFC 9110 7.6.1", b"Connection: keep-alive\r\nConnection: Content-Length\r\n" + CL, HIDDEN),
    ("close and keep-alive", "RFC 9112 9.3", b"Connection: close, keep-alive\r\n" + CL, HIDDEN),
    ("upper-case CLOSE", "RFC 9112 9.6", b"Connection: CLOSE\r\n" + CL, HIDDEN),
    ("folded", "RFC 9112 5.2", b"Connection: keep-alive,\r\n Content-Length\r\n" + CL, HIDDEN),
    ("space before colon", "RFC 9112 5.1", b"Connection : Content-Length\r\n" + CL, HIDDEN),
    ("Proxy-Connection", "RFC 9112 C.2.2", b"Proxy-Connection: Content-Length\r\n" + CL, HIDDEN),
    ("Keep-Alive", "RFC 9112 C.2.2", b"Connection: Keep-Alive\r\nKeep-Alive: timeout=0, max=1\r\n" + CL, HIDDEN),
    ("TE", "RFC 9110 10.1.4", b"Connection: TE\r\nTE: trailers, chunked\r\n" + CL, HIDDEN),
    ("Trailer", "RFC 9110 6.6.2", b"Connection: Trailer\r\nTrailer: Content-Length\r\n" + TE, CHUNKED),
]:
    vector("connection", f"connection: {_name}", _source, post(_lines, _body))
vector("connection", "connection: close, and a request behind", "RFC 9112 9.6", post(b"Connection: close\r\n", HIDDEN, method=b"GET"), exact=(1, 0))

SETTINGS = b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
for _name, _source, _lines, _body in [
    ("h2c", "RFC 9113 3.1; RFC 7540 3.2", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS + CL, HIDDEN),
    ("h2c without Connection", "RFC 9113 3.1", b"Upgrade: h2c\r\n" + SETTINGS + CL, HIDDEN),
    ("h2c, Connection names settings only", "RFC 9113 3.1", b"Connection: HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS + CL, HIDDEN),
    ("h2c in chunks", "RFC 9113 3.1", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS + TE, CHUNKED),
    ("h2", "RFC 9113 3.1", b"Connection: Upgrade\r\nUpgrade: h2\r\n" + CL, HIDDEN),
    ("TLS", "RFC 2817 3", b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n" + CL, HIDDEN),
    ("WebSocket by POST", "RFC 6455 4.1", b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + KEY + CL, HIDDEN),
    ("list", "RFC 9110 7.8", b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n" + CL, HIDDEN),
    ("empty", "RFC 9110 7.8", b"Connection: Upgrade\r\nUpgrade:\r\n" + CL, HIDDEN),
]:
    vector("upgrade", f"upgrade: {_name}", _source, post(_lines, _body))
vector("upgrade", "upgrade: WebSocket by GET with a body", "RFC 6455 4.1",
       post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + KEY + CL, HIDDEN, method=b"GET"))
# An origin that does not change the protocol answers; what came behind is then the next request.
vector("upgrade", "upgrade: h2c by GET, and its preface", "RFC 9113 3.1",
       post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, method=b"GET"),
       exact=(1, 0))

for _name, _source, _lines, _body in [
    ("100-continue", "RFC 9110 10.1.1", b"Expect: 100-continue\r\n" + CL, HIDDEN),
    ("in capitals", "RFC 9110 10.1.1", b"Expect: 100-CONTINUE\r\n" + CL, HIDDEN),
    ("in chunks", "RFC 9110 10.1.1", b"Expect: 100-continue\r\n" + TE, CHUNKED),
    ("another", "RFC 9110 10.1.1", b"Expect: 200-maybe\r\n" + CL, HIDDEN),
    ("a word before", "RFC 9110 10.1.1", b"Expect: y 100-continue\r\n" + CL, HIDDEN),
    ("a list", "RFC 9110 10.1.1", b"Expect: 100-continue, 100-continue\r\n" + CL, HIDDEN),
    ("twice", "RFC 9110 10.1.1", b"Expect: 100-continue\r\nExpect: 100-continue\r\n" + CL, HIDDEN),
    ("empty", "RFC 9110 10.1.1", b"Expect:\r\n" + CL, HIDDEN),
    ("a parameter", "RFC 9110 10.1.1", b"Expect: 100-continue;a=b\r\n" + CL, HIDDEN),
    ("trailing tab", "RFC 9112 5.1", b"Expect: 100-continue\t\r\n" + CL, HIDDEN),
    ("folded", "RFC 9112 5.2", b"Expect:\r\n 100-continue\r\n" + CL, HIDDEN),
    ("named by Connection", "RFC 9110 7.6.1", b"Connection: Expect\r\nExpect: 100-continue\r\n" + CL, HIDDEN),
    ("both framings", "RFC 9112 6.1", b"Expect: 100-continue\r\n" + TE + b"Content-Length: %d\r\n" % SIZE, CHUNKED),
]:
    vector("expect", f"expect: {_name}", _source, post(_lines, _body))
vector("expect", "expect: in HTTP/1.0", "RFC 9110 10.1.1", post(b"Expect: 100-continue\r\n" + CL, HIDDEN, version=b"HTTP/1.0"))
vector("expect", "expect: GET with a body", "RFC 9110 10.1.1", post(b"Expect: 100-continue\r\n" + CL, HIDDEN, method=b"GET"))
vector("expect", "expect: no body, and a request behind", "RFC 9110 10.1.1",
       post(b"Expect: 100-continue\r\nContent-Length: 0\r\n", HIDDEN), exact=(1, 1))
