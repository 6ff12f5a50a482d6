"""The application of gunicorn and waitress: writes down each request it sees, and says which one it was."""

import json
import os

LOG = open(os.environ["ORIGIN_LOG"], "a", buffering=1)


def note(port, method, target):
    LOG.write(json.dumps([int(port or 0), method, target]) + "\n")


def application(environ, start_response):
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    try:
        environ["wsgi.input"].read()
    finally:
        note(environ.get("REMOTE_PORT"), environ["REQUEST_METHOD"], target)
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else target.encode("latin-1")
    start_response("200 OK", [("X-Seen", target), ("Content-Length", str(len(body)))])
    return [body]
