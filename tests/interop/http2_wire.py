"""A client of HTTP/2 that says exactly what it is told to, byte by byte; frames and headers are packed by hyperframe and hpack."""

import socket
import ssl
import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 32
CODES = [
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
    "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]
# One for all connections: what it costs to make is many times a handshake.
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE
CONTEXT.set_alpn_protocols(["h2"])


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def code(value):
    return CODES[value] if value < len(CODES) else str(value)


class Wire:
    """One connection."""

    def __init__(self, front, settings=b"", preface=True):
        raw = socket.create_connection((front.ip, front.port), timeout=10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = CONTEXT.wrap_socket(raw, server_hostname="a.test")
        assert self.socket.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.authority = f"{front.ip}:{front.port}"
        self.buffer = b""
        if preface:
            self.send(PREFACE + frame(SETTINGS, payload=settings))
            self.until(lambda kind, flags, stream, payload: kind == SETTINGS and not flags & ACK)
            self.send(frame(SETTINGS, ACK))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass  # it was closed: reading tells why

    def read(self):
        """The next frame; none once the connection is closed."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                got = self.socket.recv(65536)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return None
            if not got:
                return None
            self.buffer += got
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags = self.buffer[3], self.buffer[4]
        stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
        payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
        return kind, flags, stream, payload

    def until(self, wanted):
        while True:
            got = self.read()
            assert got is not None, "the connection was closed"
            if wanted(*got):
                return got

    def block(self, fields):
        return self.encoder.encode([hpack.NeverIndexedHeaderTuple(*field) for field in fields], huffman=False)

    def fields(self, method="GET", path="/", *more):
        return [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path), *more]

    def request(self, stream=1, fields=None, flags=END_STREAM | END_HEADERS):
        self.send(frame(HEADERS, flags, stream, self.block(fields or self.fields())))

    def post(self, stream=1, *more):
        """A head whose body is to follow."""
        self.request(stream, self.fields("POST", "/", *more), END_HEADERS)

    def verdict(self, stream=1):
        """What came of it: `status N`, `stream CODE`, `connection CODE`, or `closed`. Takes in what comes meanwhile."""
        while True:
            try:
                got = self.read()
            except TimeoutError:
                return "silence"
            if got is None:
                return "closed"
            kind, flags, on, payload = got
            if kind == GOAWAY:
                return "connection " + code(struct.unpack(">I", payload[4:8])[0])
            if kind == RST and on == stream:
                return "stream " + code(struct.unpack(">I", payload[:4])[0])
            if kind == HEADERS:
                # Values may have any byte.
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.decoder.decode(payload, raw=True)}
                if on == stream and ":status" in headers:
                    return "status " + headers[":status"]

    def calm(self):
        """`status 200` if the connection still serves."""
        self.request(101)
        return self.verdict(101)
