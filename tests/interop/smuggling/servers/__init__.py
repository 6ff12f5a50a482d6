"""The six origins: each started on a free port, each with a log of what it saw."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

from daemon import free_port, wait

FOLDER = pathlib.Path(__file__).parent
# Target names within whatever an origin wrote down.
NAMES = re.compile(r"(outer|inner|clean)-([a-z][0-9]{3})")

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off;
  log_format seen escape=json '[$remote_port, "$request_method", "$request_uri", "$request", $status]';
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_timeout 75s; keepalive_requests 1000000; client_max_body_size 0;
  large_client_header_buffers 8 64k;
  server {{
    listen 127.0.0.1:{port};
    access_log {log} seen;
    location / {{ add_header X-Seen $request_uri always; return 200 "$request_uri"; }}
  }}
}}
"""
APACHE = """
ServerName origin.test
Listen 127.0.0.1:{port}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
ErrorLog {folder}/error.log
{modules}
KeepAlive On
KeepAliveTimeout 75
MaxKeepAliveRequests 0
LimitRequestFieldSize 65536
LimitRequestLine 65536
LimitRequestFields 400
DocumentRoot {folder}/pages
AliasMatch "^" "{folder}/pages/page"
<Directory {folder}/pages>
  Require all granted
</Directory>
Header always set X-Seen "expr=%{{REQUEST_URI}}"
LogFormat "%{{remote}}p\\t%m\\t%U%q\\t%r\\t%>s" seen
CustomLog {log} seen
"""
MODULES = ["mpm_event", "authz_core", "alias", "headers", "dir", "mime"]


class Origin:
    """One server. `start` gives its command and its environment."""

    def __init__(self, folder, name, start):
        self.name, self.ip, self.port = name, "127.0.0.1", free_port()
        self.address = f"{self.ip}:{self.port}"
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.log = self.folder / "seen"
        self.log.touch()
        command = start(self)
        environment = dict(os.environ, ORIGIN_LOG=str(self.log), ORIGIN_PORT=str(self.port), PYTHONPATH=str(FOLDER))
        self.output = open(self.folder / "output", "wb")
        self.process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=self.output, stderr=subprocess.STDOUT)
        wait(self.is_up, f"{name} listens: {command}", 20)

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended: {(self.folder / 'output').read_text()}")
        with socket.socket() as probe:
            return probe.connect_ex((self.ip, self.port)) == 0

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()

    def seen(self):
        """All it wrote down, in order: port of the connection, method, target, and the rest of the line."""
        found = []
        for line in self.log.read_text(errors="surrogateescape").rstrip("\n").split("\n"):
            port, method, target, *rest = line.split("\t") if self.name == "apache" else json.loads(line, strict=False)
            found.append((int(port), method, target, rest))
        return found


def nginx(origin):
    text = NGINX.format(folder=origin.folder, port=origin.port, log=origin.log)
    if os.geteuid() == 0:
        text = "user root;" + text
    (origin.folder / "nginx.conf").write_text(text)
    return ["nginx", "-e", str(origin.folder / "error.log"), "-p", str(origin.folder), "-c", str(origin.folder / "nginx.conf")]


def apache(origin):
    (origin.folder / "pages").mkdir()
    (origin.folder / "pages/page").write_text("page\n")
    program = pathlib.Path(shutil.which("apache2") or shutil.which("httpd"))
    folder = next(path for path in ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules"] if os.path.isdir(path))
    # As root it takes another user, who must be able to get at the page.
    modules = [f"LoadModule {name}_module {folder}/mod_{name}.so" for name in MODULES]
    modules += ["User www-data", "Group www-data"] if os.geteuid() == 0 else []
    (origin.folder / "types").write_text("")
    modules.append(f"TypesConfig {origin.folder}/types")
    for path in [*origin.folder.parents[:1], origin.folder, origin.folder / "pages"]:
        path.chmod(0o755)
    text = APACHE.format(folder=origin.folder, port=origin.port, log=origin.log, modules="\n".join(modules))
    (origin.folder / "httpd.conf").write_text(text)
    return [str(program), "-DFOREGROUND", "-d", str(origin.folder), "-f", str(origin.folder / "httpd.conf")]


STARTS = {
    "gunicorn": lambda o: [sys.executable, "-m", "gunicorn", "-c", str(FOLDER / "gunicorn_conf.py"), "-b", o.address, "wsgi:application"],
    "aiohttp": lambda o: [sys.executable, str(FOLDER / "aiohttp_main.py")],
    "waitress": lambda o: [sys.executable, str(FOLDER / "waitress_main.py")],
    "node": lambda o: ["node", str(FOLDER / "node.js")],
    "nginx": nginx,
    "apache": apache,
}


# Those that answer a target with `?early` before they have read its body.
EARLY = ("aiohttp", "node", "nginx")


def missing():
    """Programs that are not installed."""
    lacking = [program for program in ("node", "nginx") if not shutil.which(program)]
    return lacking + ([] if shutil.which("apache2") or shutil.which("httpd") else ["apache2"])
