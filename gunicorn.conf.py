"""How gunicorn serves: `gunicorn --config gunicorn.conf.py wsgi:app`.

Where to listen and how many workers comes from HOST, PORT, WEB_CONCURRENCY and WEB_THREADS; what else a
deployment may choose is a BIRADS_* setting. All of them may stand in a file .env, as for the flask command.
"""

import ctypes
import os
from pathlib import Path
from urllib.parse import quote

from dotenv import load_dotenv
from gunicorn.glogging import Logger

load_dotenv(".env")

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"

# One prediction keeps every core busy, so a second process serves to answer pages meanwhile, not to predict
# more; each holds its own copy of the model (about 300 MB).
workers = int(os.environ.get("WEB_CONCURRENCY") or min(2, os.cpu_count() or 1))
# Threads wait for uploads, disk and the engine's lock; they cost little.
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS") or 4)

# Inference engines start threads, which do not survive a fork: each worker loads the application after it.
preload_app = False

# A hundred large images in one upload take a while on two cores.
timeout = 300
graceful_timeout = 60
keepalive = 5

# A worker is replaced now and then, not all at once, so that no leak in a decoder can grow for weeks.
max_requests = 5000
max_requests_jitter = 500

# The workers' heartbeat must not wait for a disk.
if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK):
    worker_tmp_dir = "/dev/shm"

# Nobody steers the running server from outside; signals do.
control_socket_disable = True

# Whom gunicorn believes about the scheme; what the application believes says BIRADS_PROXY_HOPS.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")


class EscapingLogger(Logger):
    """Writes paths as they travel: a decoded line end would let visitors write lines of their own into the log."""

    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["U"] = quote(atoms["U"] or "", encoding="latin-1")
        return atoms


# Method, path, status, size and time. No query string, no referrer, no account: paths hold random ids alone.
accesslog = "-"
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'
errorlog = "-"
logger_class = EscapingLogger


def post_fork(server, worker):
    """Let freed memory of large images go back to the system at once, instead of keeping it for each thread.

    Lowers the peak of a worker by a fifth; where the C library is not glibc nothing changes.
    """
    arena_max, mmap_threshold, trim_threshold = -8, -3, -1
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(arena_max, 2)
        mallopt(mmap_threshold, 2**20)
        mallopt(trim_threshold, 2**20)


def when_ready(server):
    """Tell where to look, in words; gunicorn's own line names every address of a wildcard as 0.0.0.0."""
    host, _, port = bind.rpartition(":")
    server.log.info("Ready: open http://%s:%s", "localhost" if host in ("0.0.0.0", "[::]") else host, port)
