"""Processor seconds, bytes and rows that one exam of four films costs a server."""

import os
import secrets
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import monotonic

from bench import clients, exam, worker
from birads_app.records.database import FILE_NAME

_TICK = os.sysconf("SC_CLK_TCK")
EXAMS, MANY, MANY_S = 7, 8, 60.0


@dataclass(frozen=True)
class Work:
    """Processor seconds for one exam, by the processes that take them.

    web : receives, stores and answers
    files : read files and write pictures
    model : predicts, and makes heat maps
    """

    web: float
    files: float
    model: float

    @property
    def total(self) -> float:
        """Processor seconds of all processes."""
        return self.web + self.files + self.model


@dataclass(frozen=True)
class ExamCost:
    """Cost of an exam whose four films have 13.6 megapixels each.

    sent_mb : size of the upload in MB (10^6 bytes)
    answer : until the answer
    pictures : for its pictures and heat maps, with what the reading has left in memory
    stored_mb : MB in the folder of images by the first word of a file's name, once all pictures are made
    rows : rows by table
    rows_kb : size of these rows and their index entries in SQLite, in kB
    """

    sent_mb: float
    answer: Work
    pictures: Work
    stored_mb: dict[str, float]
    rows: dict[str, int]
    rows_kb: float


@dataclass(frozen=True)
class Service:
    """A server's answers to some clients, each of which sends an exam after the other.

    clients : number of clients; each has at most one exam at the server
    cores : number of cores, less what other programs (the clients among them) took
    answer_s : mean seconds until the answer
    per_minute : exams answered a minute
    """

    clients: int
    cores: float
    answer_s: float
    per_minute: float


class _Clock:
    """Seconds, processor seconds by process, and those of the whole machine since the last reading."""

    def __init__(self, served: worker.Served) -> None:
        self._served = served
        self._last = self._read()

    def lap(self) -> tuple[float, Work, float]:
        """Return seconds, work, and cores left by other programs; begin again."""
        (before, machine, used), self._last = self._last, self._read()
        now, machine_now, used_now = self._last
        work = Work(*(max(used_now[kind] - used[kind], 0.0) for kind in ("web", "files", "model")))
        others = machine_now - machine - work.total
        return now - before, work, (os.cpu_count() or 1) - others / (now - before)

    def _read(self) -> tuple[float, float, dict[str, float]]:
        return monotonic(), _machine_cpu_s(), _cpu_by_process(self._served)


def measure(models: Path) -> tuple[ExamCost, list[Service]]:
    """Upload exams one after another, then with many clients at a time."""
    boundary = secrets.token_hex(16)
    body = worker.multipart(exam.film_exam(), boundary)
    with worker.serving(models) as served:
        for _ in range(2):  # starts all processes
            served.post(body, boundary)
            served.settle()
        before, size, clock, laps = _rows(served.instance), _payload(served.instance), _Clock(served), []
        for _ in range(EXAMS):
            clock.lap()
            served.post(body, boundary)
            answer = clock.lap()
            served.settle()
            laps.append((*answer, clock.lap()[1]))
        after = _rows(served.instance)
        seconds, answers, cores, pictures = zip(*laps, strict=True)
        cost = ExamCost(
            sent_mb=len(body) / 1e6,
            answer=_middle(answers),
            pictures=_middle(pictures),
            stored_mb=_stored_mb(served.instance, EXAMS + 2),
            rows={
                name: round((after[name] - before[name]) / EXAMS)
                for name in after
                if after[name] > before[name]
            },
            rows_kb=(_payload(served.instance) - size) / EXAMS / 1e3,
        )
        alone = Service(1, mean(cores), mean(seconds), 60 / mean(seconds))
        return cost, [alone, _many(served, body, boundary)]


def _middle(found: Sequence[Work]) -> Work:
    return Work(
        *(median(parts) for parts in zip(*((one.web, one.files, one.model) for one in found), strict=True))
    )


def _many(served: worker.Served, body: bytes, boundary: str) -> Service:
    """Upload with as many clients as the server lets wait, for some seconds."""
    tokens = [served.add_account(f"modality{number}") for number in range(4)]
    clock, until, taken = _Clock(served), monotonic() + MANY_S, []

    def client(token: str) -> None:
        while (start := monotonic()) < until:
            answer = clients.send(served.port, token, body, boundary)
            assert answer.status == 201, answer
            taken.append(monotonic() - start)

    with ThreadPoolExecutor(MANY) as threads:
        for done in [threads.submit(client, tokens[number % len(tokens)]) for number in range(MANY)]:
            done.result()
    seconds, _, cores = clock.lap()
    served.settle()
    return Service(MANY, cores, mean(taken), 60 * len(taken) / seconds)


def _cpu_by_process(served: worker.Served) -> dict[str, float]:
    """Return the processor seconds of the server's processes and of those among them that have ended."""
    found: defaultdict[str, float] = defaultdict(float)
    for process in (served.process, *worker.descendants(served.process)):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kind = "web" if process == served.process else worker.work(process)
        found[kind] += sum(map(int, fields[11:15])) / _TICK  # proc(5): utime, stime, cutime, cstime
    return found


def _machine_cpu_s() -> float:
    """Return the processor seconds of all programs of the machine."""
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICK


def _rows(instance: Path) -> Counter[str]:
    with closing(sqlite3.connect(instance / FILE_NAME)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return Counter(
            {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
        )


def _payload(instance: Path) -> int:
    """Return the bytes of all rows and index entries, without free room in pages."""
    with closing(sqlite3.connect(instance / FILE_NAME)) as database:
        return int(database.execute("SELECT sum(payload) FROM dbstat").fetchone()[0])


def _stored_mb(instance: Path, exams: int) -> dict[str, float]:
    """Return the MB of an exam by kind of file, and of its rows and indexes in the database."""
    sizes: Counter[str] = Counter()
    for path in (instance / "images").rglob("*"):
        if path.is_file():
            sizes[path.name.partition(".")[0].rstrip("0123456789-")] += path.stat().st_size
    return {kind: size / exams / 1e6 for kind, size in sorted(sizes.items())}
