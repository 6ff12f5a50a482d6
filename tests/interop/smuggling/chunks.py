"""Chunked bodies that break the coding, or come close to it (RFC 9112 section 7.1)."""

from smuggling.corpus import CHUNK as C
from smuggling.corpus import CHUNKED, HIDDEN, INNER, OUTER, HOST, SIZE, post, vector

TE = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


def chunked(name, source, body, **more):
    vector("chunks", f"chunks, {name}", source, post(TE, body), **more)


# The hidden request is the data of who reads this size, and the next request of who reads 0 or gives up quietly.
for _name, _source, _size in [
    ("upper case", "RFC 9112 7.1", C.upper()),
    ("one zero before", "RFC 9112 7.1", b"0" + C),
    ("eight zeros before", "RFC 9112 7.1", b"0" * 8 + C),
    ("sixteen zeros before", "RFC 9112 7.1", b"0" * 16 + C),
    ("thousand zeros before", "RFC 9112 7.1", b"0" * 1000 + C),
    ("0x", "RFC 9112 7.1; CVE-2022-24761", b"0x" + C),
    ("0X", "RFC 9112 7.1", b"0X" + C),
    ("plus sign", "RFC 9112 7.1; CVE-2022-24761", b"+" + C),
    ("minus sign", "RFC 9112 7.1", b"-" + C),
    ("underscore", "RFC 9112 7.1", C[:1] + b"_" + C[1:]),
    ("space between", "RFC 9112 7.1", C[:1] + b" " + C[1:]),
    ("space before", "RFC 9112 7.1", b" " + C),
    ("tab before", "RFC 9112 7.1", b"\t" + C),
    ("space behind", "RFC 9112 7.1.1", C + b" "),
    ("tab behind", "RFC 9112 7.1.1", C + b"\t"),
    ("vertical tab behind", "RFC 9112 7.1", C + b"\x0b"),
    ("NUL behind", "RFC 9112 7.1", C + b"\x00"),
    ("NUL before", "RFC 9112 7.1", b"\x00" + C),
    ("h behind", "RFC 9112 7.1", C + b"h"),
    ("g", "RFC 9112 7.1", b"g"),
    ("comma", "RFC 9112 7.1", C + b"," + C),
    ("fraction", "RFC 9112 7.1", C + b".0"),
    ("quotes", "RFC 9112 7.1", b'"' + C + b'"'),
    ("full-width digits", "RFC 9112 7.1", "\uff12\uff43".encode()),
    ("none", "RFC 9112 7.1", b""),
    ("only an extension", "RFC 9112 7.1.1", b";a=b"),
    ("2^32 more", "RFC 9112 7.1; CVE-2017-7657", b"1%08x" % SIZE),
    ("2^64 more", "RFC 9112 7.1; CVE-2021-32714", b"1%016x" % SIZE),
    ("2^64 less one", "RFC 9112 7.1; CVE-2013-2028", b"f" * 16),
    ("2^63", "RFC 9112 7.1; CVE-2013-2028", b"8000000000000000"),
    ("2^128 more", "RFC 9112 7.1; CVE-2021-32714", b"1%032x" % SIZE),
    ("extension", "RFC 9112 7.1.1", C + b";a"),
    ("extension with value", "RFC 9112 7.1.1", C + b";a=b"),
    ("extension in quotes", "RFC 9112 7.1.1", C + b';a="b;c"'),
    ("extension, quote open", "RFC 9112 7.1.1", C + b';a="b'),
    ("spaces around extension", "RFC 9112 7.1.1", C + b" ; a = b"),
    ("extension of a kilobyte", "RFC 9112 7.1.1; CVE-2023-39326", C + b";" + b"a" * 1024),
    ("extension of seventy kilobytes", "RFC 9112 7.1.1; CVE-2023-39326", C + b";" + b"a" * 71_680),
    ("extension with NUL", "RFC 9112 7.1.1", C + b";\x00"),
    ("extension with LF", "RFC 9112 7.1.1; CVE-2025-22871", C + b";a\nb"),
    ("extension with CR", "RFC 9112 7.1.1; CVE-2024-21647", C + b";a\rb"),
    ("extension with a request", "RFC 9112 7.1.1; CVE-2021-22960", C + b";GET " + INNER + b" HTTP/1.1"),
    ("CR behind", "RFC 9112 7.1", C + b"\r"),
]:
    _incomplete = _name in ("2^32 more",)
    chunked(f"size: {_name}", _source, _size + b"\r\n" + HIDDEN + b"\r\n" + END, eof=_incomplete)

# Line ends and data that do not fit.
for _name, _source, _body in [
    ("LF behind size", "RFC 9112 2.2; CVE-2025-22871", C + b"\n" + HIDDEN + b"\r\n" + END),
    ("CR behind size", "RFC 9112 2.2", C + b"\r" + HIDDEN + b"\r\n" + END),
    ("LF behind data", "RFC 9112 7.1", C + b"\r\n" + HIDDEN + b"\n" + END),
    ("CR behind data", "RFC 9112 7.1", C + b"\r\n" + HIDDEN + b"\r" + END),
    ("nothing behind data", "RFC 9112 7.1", C + b"\r\n" + HIDDEN + END),
    ("two bytes for the line end", "RFC 9112 7.1", C + b"\r\n" + HIDDEN + b"XX" + END),
    ("LF and CR behind data", "RFC 9112 7.1", C + b"\r\n" + HIDDEN + b"\n\r" + END),
    ("space behind data", "RFC 9112 7.1", C + b"\r\n" + HIDDEN + b" \r\n" + END),
    ("data too long", "RFC 9112 7.1", b"5\r\nhello" + HIDDEN + b"\r\n" + END),
    ("data too short", "RFC 9112 7.1", b"a\r\nhello\r\n" + END + HIDDEN),
    ("LF before size", "RFC 9112 7.1", b"\n" + C + b"\r\n" + HIDDEN + b"\r\n" + END),
    ("empty line before size", "RFC 9112 7.1", b"\r\n" + C + b"\r\n" + HIDDEN + b"\r\n" + END),
    ("no chunks", "RFC 9112 7.1", HIDDEN),
    ("length in decimal", "RFC 9112 7.1", b"%d\r\n" % SIZE + HIDDEN + b"\r\n" + END),
    ("extension hides the line end", "RFC 9112 7.1.1; CVE-2025-22871", b"2;\nxx\r\n%x\r\n" % (SIZE + 5) + END + HIDDEN + b"\r\n" + END),
    ("size line ends by LF, data by CRLF", "RFC 9112 7.1; CVE-2019-16785", b"5\nhello\r\n0\n\n" + HIDDEN),
    ("all line ends LF", "RFC 9112 7.1; CVE-2019-16785", b"5\nhello\n0\n\n" + HIDDEN),
    ("all line ends CR", "RFC 9112 7.1; CVE-2023-30589", b"5\rhello\r0\r\r" + HIDDEN),
]:
    _eof = _name in ("length in decimal",)
    chunked(f"ends: {_name}", _source, _body, eof=_eof)

# A last chunk that is none, and the hidden request behind it.
for _name, _source, _end in [
    ("LF LF", "RFC 9112 7.1", b"0\n\n"),
    ("LF CRLF", "RFC 9112 7.1", b"0\n\r\n"),
    ("CRLF LF", "RFC 9112 7.1", b"0\r\n\n"),
    ("CR CR", "RFC 9112 7.1", b"0\r\r"),
    ("CR CRLF", "RFC 9112 7.1", b"0\r\r\n\r\n"),
    ("0x0", "RFC 9112 7.1; CVE-2022-24761", b"0x0\r\n\r\n"),
    ("minus zero", "RFC 9112 7.1", b"-0\r\n\r\n"),
    ("plus zero", "RFC 9112 7.1; CVE-2022-24761", b"+0\r\n\r\n"),
    ("sixteen zeros", "RFC 9112 7.1", b"0" * 16 + b"\r\n\r\n"),
    ("letter o", "RFC 9112 7.1", b"o\r\n\r\n"),
    ("no size", "RFC 9112 7.1", b"\r\n\r\n"),
    ("2^64", "RFC 9112 7.1; CVE-2021-32714", b"10000000000000000\r\n\r\n"),
    ("NUL", "RFC 9112 7.1", b"0\x00\r\n\r\n"),
    ("vertical tab", "RFC 9112 7.1", b"0\x0b\r\n\r\n"),
    ("extension with LF", "RFC 9112 7.1.1; CVE-2025-22871", b"0;a\n\r\n"),
    ("trailer line ends by LF", "RFC 9112 7.1.2", b"0\r\nX: y\n\r\n"),
    ("trailer line ends by CR", "RFC 9112 7.1.2", b"0\r\nX: y\r\r\n"),
    ("trailer with CR", "RFC 9112 7.1.2", b"0\r\nX: y\rz\r\n\r\n"),
    ("trailer, LF LF", "RFC 9112 7.1.2", b"0\r\nX: y\n\n"),
]:
    # Zeros may lead a size, so sixteen of them are a last chunk, and what follows is a request of its own.
    chunked(f"last: {_name}", _source, b"5\r\nhello\r\n" + _end + HIDDEN, exact=(1, 1) if _name == "sixteen zeros" else None)

# The hidden request is a trailer, or the trailers say where a body ends: they end with the body, and go no further.
for _name, _source, _trailers in [
    ("Content-Length", "RFC 9110 6.5.1", b"Content-Length: %d\r\n" % SIZE),
    ("Transfer-Encoding", "RFC 9110 6.5.1", b"Transfer-Encoding: chunked\r\n"),
    ("Host", "RFC 9110 6.5.1", b"Host: b.test\r\n"),
    ("Connection", "RFC 9110 6.5.1", b"Connection: keep-alive\r\n"),
    ("X-Forwarded-For", "RFC 9110 6.5.1", b"X-Forwarded-For: 127.0.0.1\r\n"),
    ("Authorization", "RFC 9110 6.5.1", b"Authorization: Basic YTph\r\n"),
    ("a request line", "RFC 9112 7.1.2; CVE-2025-53643", b"GET " + INNER + b" HTTP/1.1\r\nHost: a.test\r\n"),
    ("no colon", "RFC 9112 7.1.2", b"trailer\r\n"),
    ("leading space", "RFC 9112 7.1.2", b" X: y\r\n"),
    ("NUL", "RFC 9112 7.1.2", b"X: \x00\r\n"),
    ("eight kilobytes", "RFC 9112 7.1.2; CVE-2023-46589", b"X: " + b"y" * 8192 + b"\r\n"),
    ("eighty kilobytes", "RFC 9112 7.1.2; CVE-2023-46589", b"X: " + b"y" * 81_920 + b"\r\n"),
    ("a thousand lines", "RFC 9112 7.1.2", b"X: y\r\n" * 1000),
]:
    chunked(f"trailer: {_name}", _source, b"5\r\nhello\r\n0\r\n" + _trailers + b"\r\n")

# Broken off: the client ends within.
for _name, _source, _body in [
    ("within size", "RFC 9112 8", C),
    ("behind CR", "RFC 9112 8", C + b"\r"),
    ("within data", "RFC 9112 8", b"fff\r\n" + HIDDEN),
    ("before the last chunk", "RFC 9112 8", C + b"\r\n" + HIDDEN + b"\r\n"),
    ("before the last line", "RFC 9112 8", C + b"\r\n" + HIDDEN + b"\r\n0\r\n"),
    ("within trailers", "RFC 9112 8; CVE-2025-53643", b"5\r\nhello\r\n0\r\n" + HIDDEN[:-2]),
    ("at once", "RFC 9112 8", b""),
]:
    chunked(f"broken off {_name}", _source, _body, eof=True)

# Whole bodies in odd but right form, and a second request that is one.
for _name, _source, _body in [
    ("two zeros", "RFC 9112 7.1", b"00\r\n\r\n"),
    ("extension", "RFC 9112 7.1.1", b"0;a=b\r\n\r\n"),
    ("trailer", "RFC 9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    ("ten chunks", "RFC 9112 7.1", b"1\r\na\r\n" * 10 + END),
    ("hidden one in a chunk", "RFC 9112 7.1", CHUNKED),
]:
    _exact = (1, 1)
    vector("pipelined", f"pipelined behind chunks, {_name}", _source, b"POST " + OUTER + b" HTTP/1.1\r\n" + HOST + TE + b"\r\n" + _body + HIDDEN, exact=_exact)
