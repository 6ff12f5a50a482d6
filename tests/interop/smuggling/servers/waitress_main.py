"""waitress."""

import os

import waitress
import waitress.task
from wsgi import application, note

execute = waitress.task.ErrorTask.execute


def bad(self):
    note(self.channel.addr[1], "BAD", f"{getattr(self.request, 'path', '')} {self.request.error.body}")
    execute(self)


waitress.task.ErrorTask.execute = bad
waitress.serve(application, host="127.0.0.1", port=int(os.environ["ORIGIN_PORT"]), threads=8, channel_timeout=75)
