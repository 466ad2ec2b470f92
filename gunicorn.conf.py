"""Configuration of gunicorn: `gunicorn --config gunicorn.conf.py wsgi:app`.

HOST, PORT and WEB_* set the address, processes and threads; all other settings are named BIRADS_*. All of them may be
set in a file .env, as for the flask command.
"""

import os
from pathlib import Path
from urllib.parse import quote

from dotenv import load_dotenv
from gunicorn.glogging import Logger

from birads_app import logs
from birads_app.compute import allocator
from birads_app.serving.connection_limits import ConnectionLimits
from birads_app.serving.web_worker import WebWorker

load_dotenv(".env")

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"

# A worker computes nothing, so that one serves a department; each has its own processes for the model and for files.
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
# Threads for pages; they wait for disk and derived images, and cost little.
threads = int(os.environ.get("WEB_THREADS") or 8)
worker_connections = 500  # of each worker; a process may have 1,024 files open on many systems


class LimitedWorker(WebWorker):
    """Worker with this deployment's limits."""

    limits = ConnectionLimits(
        upload_threads=int(os.environ.get("WEB_UPLOAD_THREADS") or 24),
        half_open_per_address=int(os.environ.get("WEB_HALF_OPEN_PER_ADDRESS") or 64),
    )


worker_class = LimitedWorker

# Inference engines start threads, which do not survive a fork: each worker loads the application after it.
preload_app = False

# A hundred large images in one upload take a while on two cores.
timeout = 300
graceful_timeout = 60
# Longer than proxies keep connections (nginx 60 s, Traefik 90 s), which could otherwise send a request on one that is
# just being closed. An idle connection takes no thread.
keepalive = 95

# The workers' heartbeat must not wait for a disk.
if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK):
    worker_tmp_dir = "/dev/shm"

# The running server is controlled by signals only.
control_socket_disable = True

# Proxies from which gunicorn accepts the scheme; for the application, see BIRADS_PROXY_HOPS.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")


class AccessLogger(Logger):
    """Logger of percent-encoded paths: a decoded line break would let clients forge lines of the log.

    With BIRADS_LOG_FORMAT=json, both logs are JSON, as the application's.
    """

    def setup(self, cfg):
        super().setup(cfg)
        if log_format == "json":
            for handler in (*self.error_log.handlers, *self.access_log.handlers):
                handler.setFormatter(logs.formatter("json"))

    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["U"] = quote(atoms["U"] or "", encoding="latin-1")
        return atoms

    def warning(self, msg, *args, **kwargs):
        """Leave out the words of an invalid request: they may be a patient's name."""
        if msg.startswith("Invalid request from ip="):
            msg = ": ".join(msg.split(": ")[:2])
        super().warning(msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        """Leave out the query of a request that failed."""
        args = [arg.partition("?")[0] if isinstance(arg, str) else arg for arg in args]
        super().exception(msg, *args, **kwargs)

    def access(self, resp, req, environ, request_time):
        if log_format != "json":
            super().access(resp, req, environ, request_time)
        elif self.cfg.accesslog:
            atoms = self.atoms(resp, req, environ, request_time)
            self.access_log.info({name: atoms.get(atom, "-") for name, atom in ACCESS_MEMBERS.items()})


log_format = (os.environ.get("BIRADS_LOG_FORMAT") or "plain").strip()
# Method, path, status, size, time and request id. No query string, no referrer, no account: paths hold random ids
# alone.
accesslog = "-"
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms [%({x-request-id}o)s]'
ACCESS_MEMBERS = {
    "client": "h",
    "method": "m",
    "path": "U",
    "status": "s",
    "bytes": "B",
    "milliseconds": "M",
    "request": "{x-request-id}o",
}
errorlog = "-"
logger_class = AccessLogger


def post_fork(server, worker):
    """Let the worker return memory that it does not need."""
    allocator.configure_serving()


def worker_exit(server, worker):
    """End without the pictures of all exams that were uploaded last; they are made when they are asked for."""
    if getattr(worker, "wsgi", None) is not None:  # the application was loaded
        worker.wsgi.extensions["birads_derivation"].stop()


def when_ready(server):
    """Log the address to open; gunicorn's own line shows a wildcard as 0.0.0.0."""
    host, _, port = bind.rpartition(":")
    server.log.info("Ready: open http://%s:%s", "localhost" if host in ("0.0.0.0", "[::]") else host, port)
