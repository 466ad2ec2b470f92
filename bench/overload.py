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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import clients, exam, services, worker
from bench.measurement import Measurement
from bench.services import Installation

Site = worker.Served | Installation
ACCOUNTS = 4
REQUIRED_PAGE_S, REQUIRED_SHARE, REQUIRED_MB, REQUIRED_GROWTH_MB = 1.0, 0.85, 700.0, 1.0
_FIRST_S = 1.0  # for an exam of each client, which starts all processes
_ALONE_S = 40.0  # for the throughput without overload
_STEP_S = 0.5
_SETTLED = 0.3  # share of the run after which memory is judged
_TOLD_MB = 0.2  # growth a minute of a single process that is printed


@dataclass(frozen=True)
class Load:
    """Uploads of some clients.

    seconds : until the last answer
    settled_s : further seconds, until all pictures are made
    """

    uploads: clients.Uploads
    seconds: float
    settled_s: float

    @property
    def per_minute(self) -> float:
        """Exams answered a minute."""
        return 60 * len(self.uploads.acknowledged) / self.seconds

    @property
    def finished_per_minute(self) -> float:
        """Exams a minute, until their pictures are made as well."""
        return 60 * len(self.uploads.acknowledged) / (self.seconds + self.settled_s)


@dataclass(frozen=True)
class Memory:
    """Memory of a server during a load: seconds since its start, and the MB of each process, by its name."""

    seconds: list[float]
    processes: list[dict[str, float]]

    def growth(self, name: str | None = None) -> float:
        """Return the growth of a process, or of all together, in MB a minute, after the first part of the load."""
        times = np.array(self.seconds)
        values = [sum(one.values()) if name is None else one.get(name, np.nan) for one in self.processes]
        judged = (times > times[-1] * _SETTLED) & ~np.isnan(values)
        slope = np.polyfit(times[judged] / 60, np.array(values)[judged], 1)[0] if judged.sum() > 2 else 0.0
        return float(slope)


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
    pages: list[float] = []
    memory, ended = Memory([], []), threading.Event()
    tokens = [site.first.add_account(f"modality{number}") for number in range(ACCOUNTS)]
    at_once = site.uploads_at_once
    first = _load(site, tokens, body, boundary, at_once, _FIRST_S)
    alone = _load(site, tokens, body, boundary, at_once, _ALONE_S)
    watchers = [
        threading.Thread(target=_read_pages, args=(site.first, pages, ended)),
        threading.Thread(target=_note_memory, args=(site, memory, ended)),
    ]
    for thread in watchers:
        thread.start()
    load = _load(site, tokens, body, boundary, options.clients, options.seconds, ended)
    for thread in watchers:
        thread.join()
    stored = site.first.exams()
    peak = site.peak_mb()
    acknowledged = [upload for one in (first, alone, load) for upload in one.uploads.acknowledged]
    print(
        f"answers: {dict(sorted(load.uploads.statuses.items()))}; all pictures {load.settled_s:.0f} s later"
    )
    yield Measurement(
        f"exams a minute with {options.clients} clients; alone, with {at_once}",
        load.per_minute,
        alone.per_minute,
        load.per_minute / alone.per_minute,
        least=REQUIRED_SHARE,
    )
    yield Measurement(
        "the same until their pictures are made, too",
        load.finished_per_minute,
        alone.finished_per_minute,
        load.finished_per_minute / alone.finished_per_minute,
    )
    yield from _answers(load.uploads, acknowledged, stored)
    slow = float(np.percentile(pages, 99))
    yield Measurement(f"99th percentile of {len(pages)} pages, s", slow, None, slow, most=REQUIRED_PAGE_S)
    for name in sorted(set[str]().union(*memory.processes)):
        if abs(memory.growth(name)) > _TOLD_MB:
            print(f"growth of process {name}: {memory.growth(name):.2f} MB a minute")
    growth = memory.growth()
    yield Measurement(
        "growth of the memory of all processes, MB a minute", growth, None, growth, most=REQUIRED_GROWTH_MB
    )
    yield Measurement("largest peak memory of a process, MB", peak, None, peak, most=REQUIRED_MB)


def _load(
    site: Site,
    tokens: Sequence[str],
    body: bytes,
    boundary: str,
    number: int,
    seconds: float,
    ended: threading.Event | None = None,
) -> Load:
    """Upload with a number of clients at a time, then wait for the pictures; ``ended`` is set in between."""
    start = time.monotonic()
    uploads = clients.upload_for(site.ports, tokens, body, boundary, number, seconds)
    answered = time.monotonic()
    if ended is not None:
        ended.set()
    site.settle()
    return Load(uploads, answered - start, time.monotonic() - answered)


def _answers(found: clients.Uploads, acknowledged: list[str], stored: set[str]) -> Iterator[Measurement]:
    lost, doubled = set(acknowledged) - stored, len(stored) - len(set(acknowledged))
    yield Measurement("acknowledged exams that are lost", len(lost), None, len(lost), most=0)
    yield Measurement("exams that nobody was told of", doubled, None, doubled, most=0)
    yield Measurement(
        "other answers than 201, and 429 or 503 with Retry-After", found.wrong, None, found.wrong, most=0
    )
    refusal = float(np.percentile(found.refused_s, 50)) if found.refused_s else 0.0
    yield Measurement("median time of a refusal, with its body, s", refusal, None, refusal)


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


def _note_memory(site: Site, memory: Memory, ended: threading.Event) -> None:
    """Note the memory until the load ends."""
    start = time.monotonic()
    while not ended.wait(_STEP_S):
        memory.seconds.append(time.monotonic() - start)
        memory.processes.append(site.memory_mb())
