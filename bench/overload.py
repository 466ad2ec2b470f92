"""A server under more uploads than it can take: nothing lost or doubled, pages quick, memory flat."""

import argparse
import http.cookiejar
import re
import secrets
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench import clients, exam, services, worker
from bench.measurement import Measurement
from bench.services import Installation

Site = worker.Served | Installation
Noted = TypeVar("Noted")
ACCOUNTS = 4
REQUIRED_PAGE_S, REQUIRED_SHARE, REQUIRED_MB, REQUIRED_GROWTH_MB = 1.0, 0.85, 700.0, 1.0
_FIRST_S = 1.0  # for an exam of each client, which starts all processes
_ALONE_S = 60.0  # before and after, for the throughput without overload
_STEP_S = 0.5
# Seconds of overload, before those of the options, within which as many exams wait for their pictures as may: 32 MB of
# them in each process. Memory is judged after them.
_FILLED_S = 240.0
_TOLD_MB = 0.2  # growth a minute of a single process that is printed


@dataclass(frozen=True)
class Load:
    """Uploads of some clients.

    start : by the monotonic clock
    seconds : until the last answer
    settled_s : further seconds, until all pictures are made
    """

    uploads: clients.Uploads
    start: float
    seconds: float
    settled_s: float

    def noted(self, notes: Sequence[tuple[float, Noted]]) -> list[tuple[float, Noted]]:
        """Return what was noted until the last answer, each with the seconds since the start."""
        found = [(moment - self.start, what) for moment, what in notes]
        return [(seconds, what) for seconds, what in found if 0 <= seconds <= self.seconds]


def per_minute(loads: Sequence[Load], *, pictures: bool = False) -> float:
    """Return the exams answered a minute; or, with pictures, those whose pictures are made as well."""
    seconds = sum(one.seconds + pictures * one.settled_s for one in loads)
    return 60 * sum(len(one.uploads.acknowledged) for one in loads) / seconds


def growth(notes: Sequence[tuple[float, dict[str, float]]], name: str | None = None) -> float:
    """Return the growth of a process, or of all together, in MB a minute, once as many exams wait as may.

    Parameters
    ----------
    notes : seconds, and the MB of each process by its name
    """
    times = np.array([seconds for seconds, _ in notes])
    values = [sum(one.values()) if name is None else one.get(name, np.nan) for _, one in notes]
    judged = (times > _FILLED_S) & ~np.isnan(values)
    return float(np.polyfit(times[judged] / 60, np.array(values)[judged], 1)[0]) if judged.sum() > 2 else 0.0


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Let many clients upload a four-view exam for some minutes, while a reader opens pages."""
    with worker.serving(options.models) as served:
        yield from _measured(served, options)


def measure_services(options: argparse.Namespace) -> Iterator[Measurement]:
    """The same with two web servers and two compute processes, on PostgreSQL, Redis and a bucket."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        services.running(options.models, Path(folder)) as site,
    ):
        yield from _measured(site, options)


def _measured(site: Site, options: argparse.Namespace) -> Iterator[Measurement]:
    boundary = secrets.token_hex(16)
    body = worker.multipart(exam.film_exam(), boundary)
    tokens = [site.first.add_account(f"modality{number}") for number in range(ACCOUNTS)]
    at_once = site.uploads_at_once
    load = partial(_load, site, tokens, body, boundary)
    with _watching(site) as (pages, memory):
        first = load(at_once, _FIRST_S)
        before = load(at_once, _ALONE_S)
        full = load(options.clients, _FILLED_S + options.seconds)
        after = load(at_once, _ALONE_S)  # as the speed of a shared machine changes
    alone, stored, peak = [before, after], site.first.exams(), site.peak_mb()
    acknowledged = [upload for one in (first, full, *alone) for upload in one.uploads.acknowledged]
    print(
        f"answers: {dict(sorted(full.uploads.statuses.items()))}; all pictures {full.settled_s:.0f} s later"
    )
    print(f"exams a minute alone, before and after: {', '.join(f'{per_minute([one]):.1f}' for one in alone)}")
    for what, pictures, least in (
        (f"exams a minute with {options.clients} clients; alone, with {at_once}", False, REQUIRED_SHARE),
        ("the same until their pictures are made, too", True, None),
    ):
        ours, theirs = per_minute([full], pictures=pictures), per_minute(alone, pictures=pictures)
        yield Measurement(what, ours, theirs, ours / theirs, least=least)
    yield from _answers(full.uploads, acknowledged, stored)
    opened = [seconds for _, seconds in full.noted(pages)]
    slow = float(np.percentile(opened, 99))
    yield Measurement(f"99th percentile of {len(opened)} pages, s", slow, None, slow, most=REQUIRED_PAGE_S)
    notes = full.noted(memory)
    for name in sorted(set[str]().union(*(one for _, one in notes))):
        if abs(growth(notes, name)) > _TOLD_MB:
            print(f"growth of process {name}: {growth(notes, name):.2f} MB a minute")
    grown = growth(notes)
    yield Measurement(
        "growth of the memory of all processes, MB a minute", grown, None, grown, most=REQUIRED_GROWTH_MB
    )
    yield Measurement("largest peak memory of a process, MB", peak, None, peak, most=REQUIRED_MB)


def _load(site: Site, tokens: Sequence[str], body: bytes, boundary: str, number: int, seconds: float) -> Load:
    """Upload with a number of clients at a time, then wait for the pictures."""
    start = time.monotonic()
    uploads = clients.upload_for(site.ports, tokens, body, boundary, number, seconds)
    answered = time.monotonic()
    site.settle()
    return Load(uploads, start, answered - start, time.monotonic() - answered)


@contextmanager
def _watching(site: Site) -> Iterator[tuple[list[tuple[float, float]], list[tuple[float, dict[str, float]]]]]:
    """Open pages and note the memory during the block; yield the lists of seconds and MB, each with its moment."""
    pages: list[tuple[float, float]] = []
    memory: list[tuple[float, dict[str, float]]] = []
    ended = threading.Event()

    def note_memory() -> None:
        while not ended.wait(_STEP_S):
            memory.append((time.monotonic(), site.memory_mb()))

    watchers = [
        threading.Thread(target=_read_pages, args=(site.first, pages, ended)),
        threading.Thread(target=note_memory),
    ]
    for thread in watchers:
        thread.start()
    try:
        yield pages, memory
    finally:
        ended.set()
        for thread in watchers:
            thread.join()


def _answers(found: clients.Uploads, acknowledged: list[str], stored: set[str]) -> Iterator[Measurement]:
    lost, doubled = set(acknowledged) - stored, len(stored) - len(set(acknowledged))
    yield Measurement("acknowledged exams that are lost", len(lost), None, len(lost), most=0)
    yield Measurement("exams that nobody was told of", doubled, None, doubled, most=0)
    yield Measurement(
        "other answers than 201, and 429 or 503 with Retry-After", found.wrong, None, found.wrong, most=0
    )
    refusal = float(np.percentile(found.refused_s, 50)) if found.refused_s else 0.0
    yield Measurement("median time of a refusal, with its body, s", refusal, None, refusal)


def _read_pages(served: worker.Served, pages: list[tuple[float, float]], ended: threading.Event) -> None:
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
            pages.append((start, time.monotonic() - start))
