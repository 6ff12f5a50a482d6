"""Opens idle connections over TLS, each after one request, says so, and holds them until its input ends."""

import resource
import socket
import ssl
import sys

address, count = sys.argv[1], int(sys.argv[2])
ip, port = address.rsplit(":", 1)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
sys.stdin.readline()
held = []
for _ in range(count):
    secured = context.wrap_socket(socket.create_connection((ip, int(port)), timeout=20), server_hostname="bench.test")
    secured.sendall(b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"can be."):
        more = secured.recv(65536)
        assert more, "closed before the answer's end"
        answer += more
    held.append(secured)
print("open", flush=True)
sys.stdin.read()
