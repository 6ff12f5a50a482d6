"""gunicorn with threads: its only own worker that keeps connections."""

import gunicorn.workers.gthread

from wsgi import note


class Worker(gunicorn.workers.gthread.ThreadWorker):
    """Writes down what it can't read as well."""

    def handle_error(self, request, client, address, error):
        note(address[1] if isinstance(address, tuple) else 0, "BAD", f"{getattr(request, 'uri', '')} {error!r}")
        super().handle_error(request, client, address, error)


worker_class = Worker
workers, threads, keepalive = 1, 16, 75
loglevel = "critical"
