"""HTTP/2 judged frame by frame: what RFC 9113 (and RFC 7541) say that a server must refuse or bear; floods of resets and
CONTINUATIONs; limits of ALB."""

import struct
import sys
import threading
import time

from frames import Secure
from daemon import Daemon, Sample, wait
from http2_wire import *

# As `http2.py 100000` the floods are as large as Forebay's bounds speak of.
FLOOD = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
CASES = []
# A request that is malformed may be answered with 400 as well (RFC 9113 section 8.1.1).
MALFORMED = {"stream PROTOCOL_ERROR", "connection PROTOCOL_ERROR", "closed", "status 400"}
BROKEN = {"connection PROTOCOL_ERROR", "closed"}
SIZE = {"connection FRAME_SIZE_ERROR", "closed"}
CLOSED = {"connection STREAM_CLOSED", "stream STREAM_CLOSED", "connection PROTOCOL_ERROR", "closed"}
FLOW = {"connection FLOW_CONTROL_ERROR", "closed"}
STREAM_FLOW = FLOW | {"stream FLOW_CONTROL_ERROR"}
# COMPRESSION_ERROR by the book (section 4.3). The h2 crate ends the connection as it must, and calls it PROTOCOL_ERROR.
PACKED = {"connection COMPRESSION_ERROR", "connection PROTOCOL_ERROR", "closed"}
FINE = {"status 200"}


def case(section, expected, settings=b""):
    def add(function):
        CASES.append((section, function.__name__, expected, function, settings))
        return function
    return add


def setting(identifier, value):
    return struct.pack(">HI", identifier, value)


def u32(value):
    return struct.pack(">I", value)


# --- 3.4, 4.1, 4.2: preface and frames

@case("3.4", BROKEN)
def first_frame_is_no_settings(w):
    w.socket.close()
    w.__init__(w.front, preface=False)
    w.send(PREFACE + frame(PING, payload=b"12345678"))
    return w.verdict()


@case("3.4", BROKEN)
def no_preface(w):
    w.socket.close()
    w.__init__(w.front, preface=False)
    w.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    return w.verdict()


@case("4.1", FINE)
def unknown_frame_types_are_ignored(w):
    w.send(frame(0x16, 0xFF, 0, b"12345678"))
    return w.calm()


@case("4.1", FINE)
def undefined_flags_are_ignored(w):
    w.send(frame(PING, 0x16, 0, b"12345678"))
    return w.calm()


@case("4.1", FINE)
def the_reserved_bit_is_ignored(w):
    w.send(frame(PING, 0, 0x80000000, b"12345678"))
    return w.calm()


@case("4.2", FINE)
def a_frame_of_the_largest_size(w):
    w.post()
    w.send(frame(DATA, END_STREAM, 1, b"x" * 16384))
    return w.verdict()


@case("4.2", SIZE | {"stream FRAME_SIZE_ERROR"})
def data_larger_than_allowed(w):
    w.post()
    w.send(frame(DATA, END_STREAM, 1, b"x" * 16385))
    return w.verdict()


@case("4.2", SIZE)
def headers_larger_than_allowed(w):
    w.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, w.block(w.fields()) + b"\0" * 16385))
    return w.verdict()


@case("4.2", SIZE)
def ping_of_a_wrong_size(w):
    w.send(frame(PING, payload=b"1234"))
    return w.verdict()


@case("4.2", SIZE)
def settings_of_a_wrong_size(w):
    w.send(frame(SETTINGS, payload=b"123"))
    return w.verdict()


# --- 4.3, RFC 7541: header compression

def packed(name, section, block, expected=PACKED):
    def send(w):
        w.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(w) if callable(block) else block))
        return w.verdict()
    send.__name__ = name
    CASES.append((section, name, expected, send, b""))


packed("index_0", "7541 6.1", b"\x80")
packed("index_beyond_the_table", "7541 2.3.3", b"\xff\x80\x80\x80\x00")
packed("a_string_longer_than_its_block", "7541 5.2", b"\x00\x7f\xff\xff\x00")
packed("an_integer_without_end", "7541 5.1", b"\xff" * 40)
packed("huffman_padding_longer_than_7_bits", "7541 5.2", lambda w: w.block(w.fields()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")
packed("huffman_padding_of_zeroes", "7541 5.2", lambda w: w.block(w.fields()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")
packed("huffman_end_of_string_symbol", "7541 5.2", lambda w: w.block(w.fields()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")
packed("a_table_larger_than_allowed", "7541 6.3", lambda w: b"\x3f\xe1\xff\x03" + w.block(w.fields()))
packed("a_table_size_behind_fields", "7541 4.2", lambda w: w.block(w.fields()) + b"\x20")
packed("a_name_that_is_cut_off", "7541 5.2", b"\x00\x05ab")
packed("cut_in_the_middle_of_a_field", "4.3", lambda w: w.block(w.fields())[:-3])


@case("4.3", BROKEN)
def priority_inside_a_block(w):
    w.request(flags=END_STREAM)
    w.send(frame(PRIORITY, 0, 1, u32(0) + b"\x10"))
    return w.verdict()


@case("4.3", BROKEN)
def another_streams_headers_inside_a_block(w):
    w.request(flags=END_STREAM)
    w.request(3)
    return w.verdict()


@case("5.5", BROKEN)
def an_unknown_frame_inside_a_block(w):
    w.request(flags=END_STREAM)
    w.send(frame(0x16, 0, 1, b"1234"))
    return w.verdict()


@case("4.3", BROKEN)
def data_inside_a_block(w):
    w.request(flags=0)
    w.send(frame(DATA, END_STREAM, 1, b"x"))
    return w.verdict()


# --- 5.1: states of a stream

def idle(name, data):
    def send(w):
        w.send(data)
        return w.verdict()
    send.__name__ = f"idle_{name}"
    CASES.append(("5.1", send.__name__, BROKEN | CLOSED, send, b""))


idle("data", frame(DATA, END_STREAM, 1, b"x"))
idle("rst_stream", frame(RST, 0, 1, u32(8)))
idle("window_update", frame(WINDOW, 0, 1, u32(100)))
idle("continuation", frame(CONTINUATION, END_HEADERS, 1, b"\x82"))


def after_end(name, data, expected=CLOSED):
    def half(w):
        w.request(fields=w.fields("GET", "/?delay=300"))
        w.send(data(w))
        return w.verdict()

    def whole(w):
        w.request()
        assert w.verdict() == "status 200"
        w.until(lambda kind, flags, stream, payload: kind == DATA and flags & END_STREAM)
        w.send(data(w))
        return w.verdict() if expected is not FINE else w.calm()
    half.__name__, whole.__name__ = f"half_closed_{name}", f"closed_{name}"
    if expected is not FINE:
        CASES.append(("5.1", half.__name__, expected, half, b""))
    CASES.append(("5.1", whole.__name__, expected, whole, b""))


after_end("data", lambda w: frame(DATA, END_STREAM, 1, b"x"))
after_end("headers", lambda w: frame(HEADERS, END_STREAM | END_HEADERS, 1, w.block(w.fields())))
after_end("continuation", lambda w: frame(CONTINUATION, END_HEADERS, 1, w.block(w.fields())))
after_end("window_update", lambda w: frame(WINDOW, 0, 1, u32(100)), FINE)
after_end("rst_stream", lambda w: frame(RST, 0, 1, u32(8)), FINE)
after_end("priority", lambda w: frame(PRIORITY, 0, 1, u32(0) + b"\x10"), FINE)


@case("5.1", CLOSED)
def reset_then_data(w):
    w.post()
    w.send(frame(RST, 0, 1, u32(8)) + frame(DATA, END_STREAM, 1, b"x"))
    return w.verdict()


@case("5.1", CLOSED)
def reset_then_headers(w):
    w.post()
    w.send(frame(RST, 0, 1, u32(8)) + frame(HEADERS, END_STREAM | END_HEADERS, 1, w.block(w.fields())))
    return w.verdict()


@case("5.1.1", BROKEN)
def an_even_stream(w):
    w.request(2)
    return w.verdict(2)


@case("5.1.1", BROKEN | CLOSED)
def streams_that_fall(w):
    w.request(5)
    assert w.verdict(5) == "status 200"
    w.request(3)
    return w.verdict(3)


@case("5.1.2", {"stream REFUSED_STREAM", "stream PROTOCOL_ERROR", "connection PROTOCOL_ERROR"})
def more_streams_than_allowed(w):
    for index in range(129):
        w.request(1 + 2 * index, w.fields("GET", "/?delay=1500"))
    return w.verdict(257)


@case("5.1.2", FINE)
def as_many_streams_as_allowed(w):
    for index in range(128):
        w.request(1 + 2 * index, w.fields("GET", "/?delay=100"))
    answered = set()
    while len(answered) < 128:
        kind, flags, stream, payload = w.until(lambda kind, *_: kind in (HEADERS, RST, GOAWAY))
        assert kind == HEADERS and dict(w.decoder.decode(payload))[":status"] == "200"
        answered.add(stream)
    return "status 200"


# --- 6: frames, one by one

def broken_frame(name, section, expected, data, opened=False, calm=False, stream=1):
    def send(w):
        if opened:
            w.post()
        w.send(data(w) if callable(data) else data)
        return w.calm() if calm else w.verdict(stream)
    send.__name__ = name
    CASES.append((section, name, expected, send, b""))


broken_frame("data_on_stream_0", "6.1", BROKEN, frame(DATA, END_STREAM, 0, b"x"))
broken_frame("data_padding_longer_than_the_frame", "6.1", BROKEN, frame(DATA, END_STREAM | PADDED, 1, b"\x06abc"), opened=True)
broken_frame("padded_data", "6.1", FINE, frame(DATA, END_STREAM | PADDED, 1, b"\x03abc\0\0\0"), opened=True)
broken_frame("empty_padded_data", "6.1", BROKEN | SIZE, frame(DATA, END_STREAM | PADDED, 1, b""), opened=True)
broken_frame("headers_on_stream_0", "6.2", BROKEN, lambda w: frame(HEADERS, END_STREAM | END_HEADERS, 0, w.block(w.fields())))
broken_frame("headers_padding_longer_than_the_frame", "6.2", BROKEN,
             lambda w: frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\xff" + w.block(w.fields())[:10]))
broken_frame("padded_headers", "6.2", FINE,
             lambda w: frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x04" + w.block(w.fields()) + b"\0" * 4))
broken_frame("headers_with_priority", "6.2", FINE,
             lambda w: frame(HEADERS, END_STREAM | END_HEADERS | PRIO, 1, u32(0) + b"\x10" + w.block(w.fields())))
broken_frame("headers_too_short_for_their_priority", "6.2", BROKEN | SIZE, frame(HEADERS, END_STREAM | END_HEADERS | PRIO, 1, b"\0\0"))
broken_frame("priority_on_stream_0", "6.3", BROKEN, frame(PRIORITY, 0, 0, u32(0) + b"\x10"))
broken_frame("priority_of_a_wrong_size", "6.3", SIZE | {"stream FRAME_SIZE_ERROR"}, frame(PRIORITY, 0, 1, b"\0\0\0\0"), opened=True)
broken_frame("priority_of_an_idle_stream", "6.3", FINE, frame(PRIORITY, 0, 7, u32(0) + b"\x10"), calm=True)
broken_frame("rst_stream_on_stream_0", "6.4", BROKEN, frame(RST, 0, 0, u32(8)))
broken_frame("rst_stream_of_a_wrong_size", "6.4", SIZE, frame(RST, 0, 1, b"\0\0\0"), opened=True)
broken_frame("rst_stream_with_an_unknown_code", "7", FINE, frame(RST, 0, 1, u32(0xFF)), opened=True, calm=True)
broken_frame("settings_ack_with_a_payload", "6.5", SIZE, frame(SETTINGS, ACK, 0, b"\0"))
broken_frame("settings_on_a_stream", "6.5", BROKEN, frame(SETTINGS, 0, 1, setting(3, 100)))
broken_frame("push_neither_on_nor_off", "6.5.2", BROKEN, frame(SETTINGS, 0, 0, setting(2, 2)))
# FLOW_CONTROL_ERROR by the book; the h2 crate calls it PROTOCOL_ERROR.
broken_frame("a_window_above_the_largest", "6.5.2", FLOW | BROKEN, frame(SETTINGS, 0, 0, setting(4, 0x80000000)))
broken_frame("frames_below_the_least", "6.5.2", BROKEN, frame(SETTINGS, 0, 0, setting(5, 16383)))
broken_frame("frames_above_the_largest", "6.5.2", BROKEN, frame(SETTINGS, 0, 0, setting(5, 16777216)))
broken_frame("an_unknown_setting", "6.5.2", FINE, frame(SETTINGS, 0, 0, setting(0xFF, 1)), calm=True)
broken_frame("a_setting_given_twice", "6.5.3", FINE, frame(SETTINGS, 0, 0, setting(4, 1) + setting(4, 65535)), calm=True)
broken_frame("push_promise_from_a_client", "6.6", BROKEN, lambda w: frame(PUSH, END_HEADERS, 1, u32(2) + w.block(w.fields())), opened=True)
broken_frame("ping_on_a_stream", "6.7", BROKEN, frame(PING, 0, 1, b"12345678"))
broken_frame("goaway_on_a_stream", "6.8", BROKEN, frame(GOAWAY, 0, 1, u32(0) + u32(0)))
broken_frame("goaway_too_short", "6.8", SIZE | BROKEN, frame(GOAWAY, 0, 0, u32(0)))
broken_frame("window_update_of_0", "6.9", BROKEN, frame(WINDOW, 0, 0, u32(0)))
broken_frame("window_update_of_0_on_a_stream", "6.9", BROKEN | {"stream PROTOCOL_ERROR"}, frame(WINDOW, 0, 1, u32(0)), opened=True)
broken_frame("window_update_of_a_wrong_size", "6.9", SIZE, frame(WINDOW, 0, 0, b"\0\0\1"))
broken_frame("window_above_the_largest", "6.9.1", FLOW, frame(WINDOW, 0, 0, u32(0x7FFFFFFF)) * 2)
broken_frame("stream_window_above_the_largest", "6.9.1", STREAM_FLOW, frame(WINDOW, 0, 1, u32(0x7FFFFFFF)) * 2, opened=True)
broken_frame("continuation_on_stream_0", "6.10", BROKEN, frame(CONTINUATION, END_HEADERS, 0, b"\x82"))
broken_frame("continuation_after_a_whole_block", "6.10", BROKEN | CLOSED, frame(CONTINUATION, END_HEADERS, 1, b"\x82"), opened=True)
broken_frame("continuation_after_data", "6.10", BROKEN | CLOSED,
             frame(DATA, 0, 1, b"x") + frame(CONTINUATION, END_HEADERS, 1, b"\x82"), opened=True)


@case("6.5", FINE)
def settings_are_acknowledged(w):
    w.send(frame(SETTINGS, 0, 0, setting(3, 100)))
    w.until(lambda kind, flags, stream, payload: kind == SETTINGS and flags & ACK)
    return w.calm()


@case("6.7", FINE)
def pings_are_answered_with_their_bytes(w):
    w.send(frame(PING, payload=b"\1\2\3\4\5\6\7\x08"))
    w.until(lambda kind, flags, stream, payload: kind == PING and flags & ACK and payload == b"\1\2\3\4\5\6\7\x08")
    return w.calm()


@case("6.7", FINE)
def acknowledged_pings_are_not_answered(w):
    w.send(frame(PING, ACK, 0, b"abcdefgh") + frame(PING, 0, 0, b"12345678"))
    got = w.until(lambda kind, *_: kind == PING)
    assert got[3] == b"12345678"
    return w.calm()


@case("6.9.1", FINE, settings=setting(4, 1))
def windows_of_one_byte_are_obeyed(w):
    w.request()
    assert w.verdict() == "status 200"
    got = w.until(lambda kind, *_: kind == DATA)
    assert len(got[3]) == 1
    w.send(frame(WINDOW, 0, 1, u32(100_000)))
    w.until(lambda kind, flags, stream, payload: kind == DATA and flags & END_STREAM)
    w.send(frame(SETTINGS, 0, 0, setting(4, 65535)))
    return w.calm()


@case("6.9.2", FINE, settings=setting(4, 3))
def windows_may_fall_below_zero(w):
    w.request()
    assert w.verdict() == "status 200"
    w.send(frame(SETTINGS, 0, 0, setting(4, 2)) + frame(WINDOW, 0, 1, u32(2)))
    read = 0
    while read < 4:
        read += len(w.until(lambda kind, *_: kind == DATA)[3])
    assert read == 4, read
    w.send(frame(SETTINGS, 0, 0, setting(4, 65535)))
    return w.calm()


@case("6.9.1", {"connection FLOW_CONTROL_ERROR", "stream FLOW_CONTROL_ERROR", "closed"})
def a_client_that_ignores_the_window(w):
    w.request(fields=w.fields("POST", "/?delay=3000"), flags=END_HEADERS)
    for _ in range(80):
        w.send(frame(DATA, 0, 1, b"x" * 16384))
    return w.verdict()


@case("6.10", FINE)
def a_block_in_many_pieces(w):
    block = w.block(w.fields("GET", "/", *[(f"x-{index}", "v" * 100) for index in range(50)]))
    pieces = [block[at:at + 1500] for at in range(0, len(block), 1500)]
    w.send(frame(HEADERS, END_STREAM, 1, pieces[0]))
    for piece in pieces[1:-1]:
        w.send(frame(CONTINUATION, 0, 1, piece))
    w.send(frame(CONTINUATION, END_HEADERS, 1, pieces[-1]))
    return w.verdict()


# --- 8: what makes a request

def malformed(name, section, fields=None, expected=MALFORMED, trailers=None, body=None, raw=None):
    def send(w):
        if raw:
            block = w.block(w.fields()) + raw
            w.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
        else:
            ends = END_STREAM if trailers is None and body is None else 0
            w.request(fields=fields(w), flags=END_HEADERS | ends)
            for index, part in enumerate(body or []):
                last = trailers is None and index == len(body) - 1
                w.send(frame(DATA, END_STREAM if last else 0, 1, part))
            if trailers is not None:
                w.send(frame(HEADERS, trailers[1] | END_HEADERS, 1, w.block(trailers[0])))
        return w.verdict()
    send.__name__ = name
    CASES.append((section, name, expected, send, b""))


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def more(*fields):
    return lambda w: w.fields("GET", "/", *fields)


def without(name):
    return lambda w: [field for field in w.fields() if field[0] != name]


def twice(name):
    return lambda w: [field for field in w.fields() for _ in range(2 if field[0] == name else 1)]


malformed("an_upper_case_name", "8.2", raw=literal(b"X-Test", b"ok"))
malformed("a_space_in_a_name", "8.2.1", raw=literal(b"x test", b"ok"))
malformed("a_colon_in_a_name", "8.2.1", raw=literal(b"x:test", b"ok"))
malformed("a_control_in_a_name", "8.2.1", raw=literal(b"x\x01test", b"ok"))
malformed("an_empty_name", "8.2.1", raw=literal(b"", b"ok"))
malformed("a_line_end_in_a_name", "8.2.1", raw=literal(b"x\r\ny", b"ok"))
malformed("nul_in_a_value", "8.2.1", raw=literal(b"x-test", b"a\0b"))
malformed("cr_in_a_value", "8.2.1", raw=literal(b"x-test", b"a\rb"))
malformed("lf_in_a_value", "8.2.1", raw=literal(b"x-test", b"a\nb"))
malformed("a_request_in_a_value", "8.2.1", raw=literal(b"x-test", b"a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
malformed("a_space_before_a_value", "8.2.1", raw=literal(b"x-test", b" a"))
malformed("a_tab_behind_a_value", "8.2.1", raw=literal(b"x-test", b"a\t"))
malformed("connection", "8.2.2", more(("connection", "keep-alive")))
malformed("keep_alive", "8.2.2", more(("keep-alive", "timeout=5")))
malformed("proxy_connection", "8.2.2", more(("proxy-connection", "keep-alive")))
malformed("transfer_encoding", "8.2.2", more(("transfer-encoding", "chunked")))
malformed("upgrade", "8.2.2", more(("upgrade", "h2c")))
malformed("te_other_than_trailers", "8.2.2", more(("te", "trailers, deflate")))
malformed("te_trailers", "8.2.2", more(("te", "trailers")), expected=FINE)
malformed("cookies_in_crumbs", "8.2.3", more(("cookie", "a=1"), ("cookie", "b=2")), expected=FINE)
malformed("an_unknown_pseudo_header", "8.3", lambda w: [(":test", "ok"), *w.fields()])
malformed("a_pseudo_header_of_answers", "8.3", lambda w: [(":status", "200"), *w.fields()])
malformed("a_pseudo_header_behind_others", "8.3", lambda w: [("x-test", "ok"), *w.fields()])
# Malformed by the book; the h2 crate leaves the pseudo-header out, so that it goes nowhere.
malformed("a_pseudo_header_in_trailers", "8.3", lambda w: w.fields("POST"), trailers=([(":method", "GET")], END_STREAM), body=[b"x"],
          expected=MALFORMED | FINE)
malformed("trailers_without_an_end", "8.1", lambda w: w.fields("POST"), trailers=([("x-test", "ok")], 0), body=[b"x"])
malformed("trailers", "8.1", lambda w: w.fields("POST"), trailers=([("x-test", "ok")], END_STREAM), body=[b"x"], expected=FINE)
for pseudo in (":method", ":scheme", ":path"):
    malformed(f"no_{pseudo[1:]}", "8.3.1", without(pseudo))
    malformed(f"two_of_{pseudo[1:]}", "8.3.1", twice(pseudo))
malformed("two_of_authority", "8.3.1", twice(":authority"))
malformed("an_empty_path", "8.3.1", lambda w: w.fields("GET", ""))
malformed("a_path_without_a_slash", "8.3.1", lambda w: w.fields("GET", "x"))
malformed("a_space_in_a_path", "8.3.1", lambda w: w.fields("GET", "/a b"))
malformed("a_line_end_in_a_path", "8.3.1", lambda w: w.fields("GET", "/ HTTP/1.1\r\nx: y"))
malformed("a_fragment_in_a_path", "8.3.1", lambda w: w.fields("GET", "/a#b"), expected=MALFORMED | FINE)
malformed("a_space_in_a_method", "8.3.1", lambda w: w.fields("GET /x"))
malformed("an_empty_method", "8.3.1", lambda w: w.fields(""))
malformed("userinfo_in_the_authority", "8.3.1", lambda w: [(k, "u@" + v if k == ":authority" else v) for k, v in w.fields()])
malformed("a_host_that_contradicts_the_authority", "8.3.1", more(("host", "other.test")))
malformed("a_host_that_repeats_the_authority", "8.3.1", lambda w: w.fields("GET", "/", ("host", w.authority)), expected=FINE)
malformed("host_instead_of_authority", "8.3.1", lambda w: [*[f for f in w.fields() if f[0] != ":authority"], ("host", w.authority)], expected=FINE)
malformed("two_hosts", "8.3.1", lambda w: w.fields("GET", "/", ("host", w.authority), ("host", w.authority)))
malformed("connect_with_a_path", "8.5", lambda w: w.fields("CONNECT"), expected=MALFORMED | {"status 405"})
malformed("trace", "ALB", lambda w: w.fields("TRACE"), expected={"status 405"})
malformed("a_body_shorter_than_its_length", "8.1.1", lambda w: w.fields("POST", "/", ("content-length", "5")), body=[b"x"], expected=MALFORMED | {"status 502"})
malformed("a_body_longer_than_its_length", "8.1.1", lambda w: w.fields("POST", "/", ("content-length", "1")), body=[b"xyz"], expected=MALFORMED | {"status 502"})
malformed("a_length_and_no_body", "8.1.1", more(("content-length", "5")))
malformed("two_lengths", "8.1.1", lambda w: w.fields("POST", "/", ("content-length", "1"), ("content-length", "2")), body=[b"x"])
malformed("a_length_that_is_none", "8.1.1", lambda w: w.fields("POST", "/", ("content-length", "+1")), body=[b"x"])
malformed("a_body_in_pieces", "8.1", lambda w: w.fields("POST", "/", ("content-length", "3")), body=[b"x", b"", b"yz"], expected=FINE)
malformed("a_header_longer_than_16_KiB", "ALB", more(("x-test", "v" * 16_380)), expected=MALFORMED | SIZE | {"status 431"})
malformed("a_path_longer_than_16_KiB", "ALB", lambda w: w.fields("GET", "/" + "p" * 16_390), expected=MALFORMED | SIZE | {"status 414", "status 431"})


def run_cases(front, sample):
    failed = []
    served = lambda: sum(sample.counts()["requests"].values())
    for section, name, expected, function, settings in CASES:
        before = served()
        try:
            with Wire(front, settings) as wire:
                wire.front = front
                got = function(wire)
        except Exception as error:  # noqa: BLE001
            got = f"{type(error).__name__}: {error}"
        if got not in expected:
            failed.append(f"section {section}, {name}: {got} instead of {' or '.join(sorted(expected))}")
        # A request that was refused must not have reached the target.
        opened = section in ("8.2.1", "8.2.2", "8.3", "8.3.1", "7541 5.2")
        if expected <= MALFORMED | PACKED and opened and served() > before:
            failed.append(f"section {section}, {name}: reached the target")
    for line in failed:
        print(line)
    assert not failed, f"{len(failed)} of {len(CASES)} failed"


def steady(front, stop, slow):
    """Another client, all the while: how long its worst request took."""
    while not stop.is_set():
        begun = time.monotonic()
        with Wire(front) as wire:
            wire.request()
            got = wire.verdict()
        slow.append((time.monotonic() - begun, got))


def rapid_reset(front, streams):
    """Streams that are reset as soon as they are begun (CVE-2023-44487)."""
    sent = connections = 0
    while sent < streams:
        connections += 1
        with Wire(front) as wire:
            block = wire.block(wire.fields("GET", "/?delay=1000"))
            stream = 1
            batch = b"".join(
                frame(HEADERS, END_STREAM | END_HEADERS, s, block) + frame(RST, 0, s, u32(8)) for s in range(stream, stream + 400, 2))
            wire.send(batch)
            sent += 200
            assert wire.verdict(0) in ("connection ENHANCE_YOUR_CALM", "closed", "silence"), "a flood is ended"
    return connections


def continuation_flood(front, frames):
    """A block that never ends (CVE-2024-27316)."""
    sent = connections = 0
    while sent < frames:
        connections += 1
        with Wire(front) as wire:
            wire.request(flags=END_STREAM)
            wire.send(frame(CONTINUATION, 0, 1, b"\x00\x01a\x7f\x00" + b"v" * 127) * 1000)
            sent += 1000
            assert wire.verdict() in ("connection ENHANCE_YOUR_CALM", "connection PROTOCOL_ERROR", "connection COMPRESSION_ERROR", "closed", "status 431"), "a flood is ended"
    return connections


def other_floods(front):
    """PINGs, SETTINGS, empty DATA and priorities without number cost no memory."""
    for flood in (frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, setting(3, 100)), frame(PRIORITY, 0, 3, u32(0) + b"\x10"), frame(0x20, 0, 0, b"")):
        with Wire(front) as wire:
            wire.socket.settimeout(0.05)
            for _ in range(20):
                wire.send(flood * 1000)
                try:
                    while wire.read():
                        pass
                except TimeoutError:
                    pass


def floods(running, front):
    rapid_reset(front, 2_000)
    continuation_flood(front, 2_000)
    other_floods(front)
    before, stop, slow = running.memory_kib(), threading.Event(), []
    other = threading.Thread(target=steady, args=(front, stop, slow))
    other.start()
    resets = rapid_reset(front, FLOOD)
    continuations = continuation_flood(front, FLOOD)
    other_floods(front)
    stop.set()
    other.join()
    assert {got for _, got in slow} == {"status 200"}, {got for _, got in slow}
    grown = running.memory_kib() - before
    assert grown < 8192, f"memory grew by {grown} KiB"
    times = sorted(took for took, _ in slow)
    print(f"{FLOOD} streams reset on {resets} connections, {FLOOD} CONTINUATIONs on {continuations}: memory {grown:+} KiB; another client's "
          f"{len(slow)} requests were all answered, median {times[len(times) // 2] * 1000:.0f} ms, worst {times[-1] * 1000:.0f} ms, each on a fresh connection")


def goaway_after_10_000(front):
    """ALB's limit: the connection ends, no request does."""
    answered = asked = 0
    last = None
    with Wire(front) as wire:
        block = wire.block(wire.fields())
        while True:
            if last is None and asked - answered <= 20:
                wire.send(b"".join(frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * s, block) for s in range(asked, asked + 80)))
                asked += 80
            got = wire.read()
            if got is None:
                break
            kind, flags, on, payload = got
            if kind == PING and not flags & ACK:
                wire.send(frame(PING, ACK, 0, payload))
            elif kind == HEADERS:
                wire.decoder.decode(payload)
            elif kind == GOAWAY and struct.unpack(">I", payload[:4])[0] != 0x7FFFFFFF:
                last = (struct.unpack(">I", payload[:4])[0] + 1) // 2
            elif kind == DATA:
                answered += flags & END_STREAM
                wire.send(frame(WINDOW, 0, 0, u32(max(1, len(payload)))))
    assert last is not None and answered == last and 10_000 <= answered <= 10_256, (answered, last, asked)
    print(f"GOAWAY after {answered} requests on one connection, all of them answered")


def main():
    with Daemon(workers=2) as running, Sample("http2") as sample:
        front = Secure(running, name="http2")
        front.balancer.register(sample)
        front.balancer.wait_healthy(sample)
        front.elb.modify_target_group(TargetGroupArn=front.balancer.group, HealthCheckIntervalSeconds=300)
        run_cases(front, sample)
        print(f"{len(CASES)} cases of RFC 9113, RFC 7541 and ALB's limits hold")
        goaway_after_10_000(front)
        floods(running, front)
        with Wire(front) as wire:
            assert wire.calm() == "status 200"
        assert "panic" not in running.stderr(), running.stderr()[-2000:]
        running.stop()


if __name__ == "__main__":
    main()
