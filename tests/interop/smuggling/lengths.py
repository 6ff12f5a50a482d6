"""Content-Length in every way that some server reads as a number and another does not."""

from smuggling.corpus import HIDDEN, HOST, LENGTH, OUTER, SIZE, post, vector

N = LENGTH  # what the hidden request measures

# Name, source, header lines; the hidden request is the body of who reads N there.
for _name, _source, _lines in [
    ("plus sign", "RFC 9110 8.6; CVE-2021-32715", b"Content-Length: +" + N),
    ("minus sign", "RFC 9110 8.6; CVE-2022-42252", b"Content-Length: -" + N),
    ("hexadecimal", "RFC 9110 8.6", b"Content-Length: 0x%x" % SIZE),
    ("hexadecimal digits", "RFC 9110 8.6", b"Content-Length: %xh" % SIZE),
    ("octal", "RFC 9110 8.6", b"Content-Length: 0o%o" % SIZE),
    ("fraction", "RFC 9110 8.6", b"Content-Length: " + N + b".0"),
    ("exponent", "RFC 9110 8.6", b"Content-Length: " + N + b"e0"),
    ("underscore in digits", "RFC 9110 8.6", b"Content-Length: " + N[:1] + b"_" + N[1:]),
    ("space in digits", "RFC 9110 8.6", b"Content-Length: " + N[:1] + b" " + N[1:]),
    ("two numbers", "RFC 9110 8.6", b"Content-Length: " + N + b" " + N),
    ("letter behind", "RFC 9110 8.6", b"Content-Length: " + N + b"a"),
    ("letter before", "RFC 9110 8.6", b"Content-Length: a" + N),
    ("semicolon", "RFC 9110 8.6", b"Content-Length: " + N + b";"),
    ("double quotes", "RFC 9110 8.6", b'Content-Length: "' + N + b'"'),
    ("single quotes", "RFC 9110 8.6", b"Content-Length: '" + N + b"'"),
    ("Arabic digits", "RFC 9110 8.6", "Content-Length: \u0664\u0664".encode()),
    ("full-width digits", "RFC 9110 8.6", "Content-Length: \uff14\uff14".encode()),
    ("superscript digit", "RFC 9110 8.6", b"Content-Length: \xb2"),
    ("list of equal ones", "RFC 9110 8.6", b"Content-Length: " + N + b", " + N),
    ("list without space", "RFC 9110 8.6", b"Content-Length: " + N + b"," + N),
    ("list, 0 first", "RFC 9112 6.3", b"Content-Length: 0, " + N),
    ("list, 0 last", "RFC 9112 6.3", b"Content-Length: " + N + b", 0"),
    ("comma behind", "RFC 9110 8.6", b"Content-Length: " + N + b","),
    ("comma before", "RFC 9110 8.6", b"Content-Length: ," + N),
    ("vertical tab before", "RFC 9110 8.6; CVE-2019-16789", b"Content-Length: \x0b" + N),
    ("vertical tab behind", "RFC 9110 8.6; CVE-2019-16789", b"Content-Length: " + N + b"\x0b"),
    ("form feed", "RFC 9110 8.6", b"Content-Length: \x0c" + N),
    ("NUL behind", "RFC 9110 5.5", b"Content-Length: " + N + b"\x00"),
    ("NUL between", "RFC 9110 5.5", b"Content-Length: 0\x00" + N),
    ("no-break space", "RFC 9110 8.6", b"Content-Length: \xa0" + N),
    ("CR behind", "RFC 9112 2.2", b"Content-Length: " + N + b"\r"),
    ("CR between", "RFC 9112 2.2", b"Content-Length: 0\r" + N),
    ("empty", "RFC 9110 8.6; CVE-2023-40225", b"Content-Length:"),
    ("only a space", "RFC 9110 8.6; CVE-2023-40225", b"Content-Length: "),
    ("empty, then good", "RFC 9112 6.3; CVE-2023-40225", b"Content-Length:\r\nContent-Length: " + N),
    ("good, then empty", "RFC 9112 6.3; CVE-2023-40225", b"Content-Length: " + N + b"\r\nContent-Length:"),
    ("2^32 more", "RFC 9110 8.6; CVE-2014-0099", b"Content-Length: %d" % (2**32 + SIZE)),
    ("2^63", "RFC 9110 8.6", b"Content-Length: %d" % 2**63),
    ("2^64 more", "RFC 9110 8.6; CVE-2014-0099", b"Content-Length: %d" % (2**64 + SIZE)),
    ("2^64 less one", "RFC 9110 8.6", b"Content-Length: %d" % (2**64 - 1)),
    ("forty digits", "RFC 9110 8.6", b"Content-Length: " + b"9" * 40),
    ("forty zeros", "RFC 9110 8.6", b"Content-Length: " + b"0" * 40 + N),
    ("minus zero", "RFC 9110 8.6", b"Content-Length: -0"),
    ("plus zero", "RFC 9110 8.6", b"Content-Length: +0"),
    ("hexadecimal zero", "RFC 9110 8.6", b"Content-Length: 0x0"),
    ("N, then 0", "RFC 9112 6.3; CVE-2019-16792", b"Content-Length: " + N + b"\r\nContent-Length: 0"),
    ("0, then N", "RFC 9112 6.3; CVE-2013-4286", b"Content-Length: 0\r\nContent-Length: " + N),
    ("three, one differs", "RFC 9112 6.3", b"Content-Length: " + N + b"\r\nContent-Length: " + N + b"\r\nContent-Length: 0"),
    ("apart, differ", "RFC 9112 6.3; CVE-2015-5740", b"Content-Length: 0\r\nX: y\r\ncontent-length: " + N),
    ("space before colon", "RFC 9112 5.1; CVE-2019-16276", b"Content-Length : " + N),
    ("tab before colon", "RFC 9112 5.1", b"Content-Length\t: " + N),
    ("NUL before colon", "RFC 9110 5.1", b"Content-Length\x00: " + N),
    ("NUL before name", "RFC 9110 5.1", b"\x00Content-Length: " + N),
    ("space in name", "RFC 9110 5.1; CVE-2015-5739", b"Content Length: " + N),
    ("two colons", "RFC 9110 8.6", b"Content-Length:: " + N),
    ("folded", "RFC 9112 5.2", b"Content-Length:\r\n " + N),
    ("folded between", "RFC 9112 5.2", b"Content-Length: 0\r\n " + N),
    ("fold of another", "RFC 9112 5.2; CVE-2020-7238", b"Content-Length: " + N + b"\r\nX: y\r\n Content-Length: 0"),
    ("0 behind a bare CR", "RFC 9112 2.2; CVE-2023-30589", b"Content-Length: " + N + b"\r\nX: y\rContent-Length: 0"),
    ("0 behind a bare LF", "RFC 9112 2.2; CVE-2022-32214", b"Content-Length: " + N + b"\r\nX: y\nContent-Length: 0"),
    ("long name that overflows", "RFC 9112 6.3; CVE-2021-40346",
     b"Content-Length0" + b"a" * 255 + b":\r\nContent-Length: " + N),
    ("underscore beside", "RFC 9110 5.1", b"Content-Length: " + N + b"\r\nContent_Length: 0"),
    ("prefix beside", "RFC 9110 5.1", b"X-Content-Length: 0\r\nContent-Length: " + N),
    ("leading zero", "RFC 9110 8.6", b"Content-Length: 0" + N),
    ("many leading zeros", "RFC 9110 8.6", b"Content-Length: " + b"0" * 12 + N),
    ("spaces around", "RFC 9112 5.1", b"Content-Length:   " + N + b"  "),
    ("tabs around", "RFC 9112 5.1", b"Content-Length:\t" + N + b"\t"),
    ("two equal lines", "RFC 9112 6.3", b"Content-Length: " + N + b"\r\nContent-Length: " + N),
    ("two equal by value", "RFC 9112 6.3", b"Content-Length: " + N + b"\r\nContent-Length: 0" + N),
]:
    # Lengths that may be right and are not reached.
    vector("CL", f"CL, {_name}", _source, post(_lines + b"\r\n", HIDDEN), eof=_name in ("2^32 more", "2^63"))

# Longer than what comes: the hidden request is the start of a body that never ends.
for _name, _source, _lines in [
    ("one byte short", "RFC 9112 8", b"Content-Length: %d\r\n" % (SIZE + 1)),
    ("a billion short", "RFC 9112 8", b"Content-Length: 1000000000\r\n"),
    ("2^31 short", "RFC 9112 8", b"Content-Length: 2147483648\r\n"),
    ("largest of 19 digits", "RFC 9112 8; RFC 9110 8.6", b"Content-Length: 9223372036854775807\r\n"),
]:
    vector("CL", f"CL, {_name}", _source, post(_lines, HIDDEN), eof=True)

# No length at all, or of another name: what follows the empty line is the next request, for everyone.
for _name, _source, _lines in [
    ("none", "RFC 9112 6.3", b""),
    ("zero", "RFC 9112 6.3; CVE-2023-40175", b"Content-Length: 0\r\n"),
    ("two zeros", "RFC 9110 8.6", b"Content-Length: 00\r\n"),
    ("prefix only", "RFC 9110 5.1", b"X-Content-Length: " + N + b"\r\n"),
    ("plural only", "RFC 9110 5.1", b"Content-Lengths: " + N + b"\r\n"),
    ("Content-Range only", "RFC 9110 14.4", b"Content-Range: bytes 0-%d/*\r\n" % (SIZE - 1)),
]:
    vector("pipelined", f"pipelined POST, length {_name}", _source, post(_lines, HIDDEN), exact=(1, 1))

# ALB's classifier calls a name so close to Content-Length ambiguous (SuspiciousHeader).
vector("pipelined", "pipelined POST, length underscore only", "RFC 9110 5.1", post(b"Content_Length: " + N + b"\r\n", HIDDEN),
       exact=(1, 1), defensive=(1, 0))

vector("CL", "CL 0 and HTTP/1.0", "RFC 9112 9.3", b"POST " + OUTER + b" HTTP/1.0\r\n" + HOST + b"Content-Length: 0\r\n\r\n" + HIDDEN)
