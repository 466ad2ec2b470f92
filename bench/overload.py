"""A server under more uploads than it can take: nothing lost or doubled, pages quick, memory flat."""

import argparse
import http.cookiejar
import re
import secrets
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator

import numpy as np

from bench import clients, exam, worker
from bench.measurement import Measurement

ACCOUNTS = 4
REQUIRED_PAGE_S, REQUIRED_SHARE, REQUIRED_MB, REQUIRED_GROWTH_MB = 1.0, 0.85, 700.0, 1.0
_ALONE_S = 40.0  # for the throughput without overload
_STEP_S = 0.5
_SETTLED = 0.3  # share of the run after which memory is judged


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Let many clients upload a four-view exam for some minutes, while a reader opens pages."""
    boundary = secrets.token_hex(16)
    body = worker.multipart(exam.film_exam(), boundary)
    with worker.serving(options.models) as served:
        tokens = [served.add_account(f"modality{number}") for number in range(ACCOUNTS)]
        at_once = served.uploads_at_once
        start = time.monotonic()
        alone = clients.upload_for(served, tokens, body, boundary, at_once, _ALONE_S)
        alone_rate = len(alone.acknowledged) / (time.monotonic() - start)
        pages: list[float] = []
        memory: list[tuple[float, float]] = []
        ended = threading.Event()
        watchers = [
            threading.Thread(target=_read_pages, args=(served, pages, ended)),
            threading.Thread(target=_note_memory, args=(served, memory, ended)),
        ]
        for thread in watchers:
            thread.start()
        start = time.monotonic()
        found = clients.upload_for(served, tokens, body, boundary, options.clients, options.seconds)
        rate = len(found.acknowledged) / (time.monotonic() - start)
        ended.set()
        for thread in watchers:
            thread.join()
        served.settle()
        stored = served.exams()
        peak = served.peak_mb()
    acknowledged = [*alone.acknowledged, *found.acknowledged]
    print(f"answers: {dict(sorted(found.statuses.items()))}", flush=True)
    yield Measurement(
        f"exams a minute with {options.clients} clients",
        60 * rate,
        60 * alone_rate,
        rate / alone_rate,
        least=REQUIRED_SHARE,
    )
    lost, doubled = set(acknowledged) - stored, len(stored) - len(set(acknowledged))
    yield Measurement("acknowledged exams that are lost", len(lost), None, len(lost), most=0)
    yield Measurement("exams that nobody was told of", doubled, None, doubled, most=0)
    yield Measurement(
        "other answers than 201, and 429 or 503 with Retry-After", found.wrong, None, found.wrong, most=0
    )
    refusal = float(np.percentile(found.refused_s, 50)) if found.refused_s else 0.0
    yield Measurement("median time of a refusal, with its body, s", refusal, None, refusal)
    slow = float(np.percentile(pages, 99))
    yield Measurement(f"99th percentile of {len(pages)} pages, s", slow, None, slow, most=REQUIRED_PAGE_S)
    times, sums = np.array(memory).T
    late = times > times[-1] * _SETTLED
    growth = float(np.polyfit(times[late] / 60, sums[late], 1)[0])
    yield Measurement(
        "growth of the memory of all processes, MB a minute", growth, None, growth, most=REQUIRED_GROWTH_MB
    )
    yield Measurement("largest peak memory of a process, MB", peak, None, peak, most=REQUIRED_MB)


def _read_pages(served: worker.Served, pages: list[float], ended: threading.Event) -> None:
    """Open worklist and health check in turn, as a signed-in reader; note the seconds."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    root = f"http://127.0.0.1:{served.port}"
    form = opener.open(f"{root}/login", timeout=60).read().decode()
    csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    sent = {"name": served.name, "password": served.password, "csrf_token": csrf[1] if csrf else ""}
    opener.open(f"{root}/login", urllib.parse.urlencode(sent).encode(), timeout=60).read()
    while not ended.wait(_STEP_S):
        for path in ("/", "/healthz"):
            start = time.monotonic()
            with opener.open(f"{root}{path}", timeout=60) as answer:
                answer.read()
                assert answer.url.endswith(path), answer.url  # not the sign-in page
            pages.append(time.monotonic() - start)


def _note_memory(served: worker.Served, memory: list[tuple[float, float]], ended: threading.Event) -> None:
    """Note the seconds since the start, and the proportional memory of all processes in MB."""
    start = time.monotonic()
    while not ended.wait(_STEP_S):
        memory.append((time.monotonic() - start, served.memory_mb()))
