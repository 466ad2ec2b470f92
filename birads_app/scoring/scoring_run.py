"""Scoring of an archive from its listing to the tables of results."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from birads_app.cluster.connection import check_workers, connected, run_all
from birads_app.files import locks
from birads_app.scoring.exam_table import write_exams
from birads_app.scoring.partitions import ArchiveListing, Partition
from birads_app.scoring.result_parts import ResultParts, ResultsDiffer
from birads_app.scoring.scorer import ScoringTask, score, worker_facts

# Seconds between two lines of progress, and of the newest work by which the remaining time is told.
_EVERY_S, _RECENT_S = 5.0, 120.0
_LOCK = ".lock"


@dataclass(frozen=True)
class ScoringSummary:
    """Counts of a finished run.

    items : listed files or studies, according to ``unit``
    left : number of these in unfinished partitions
    failed : files that could not be used
    unfinished : numbers of partitions whose workers ended again and again
    """

    items: int
    unit: str
    left: int
    failed: int
    exams: int
    unfinished: tuple[int, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Number of finished items, with the rate of the newest ones and the time that is left.

    total : all items, ``begun`` of which an earlier run has finished
    tell : receives lines
    """

    total: int
    begun: int
    tell: Callable[[str], object]
    _marks: list[tuple[float, int]] = field(default_factory=list)
    _told: list[float] = field(default_factory=lambda: [0.0])

    def at(self, done: int, failed: int) -> None:
        """Report that so many items of this run are done; tell it every few seconds, and at the end."""
        now = time.monotonic()
        self._marks.append((now, done))
        while len(self._marks) > 2 and self._marks[1][0] < now - _RECENT_S:
            del self._marks[0]
        finished = self.begun + done
        if now - self._told[0] < _EVERY_S and finished < self.total:
            return
        self._told[0] = now
        (then, before) = self._marks[0]
        rate = (done - before) / (now - then) if now > then else 0.0
        left = f", {_duration((self.total - finished) / rate)} left" if rate > 0 else ""
        self.tell(f"{finished:,} of {self.total:,}, {rate:.1f} per second{left}, unusable so far: {failed:,}")


def score_archive(
    listing: ArchiveListing,
    task: ScoringTask,
    results: ResultParts,
    run: dict[str, object],
    pooling: str,
    scheduler: str | None = None,
    processes: int | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> ScoringSummary:
    """Score what earlier runs have not, and write it as it comes.

    Parameters
    ----------
    task : whose facts are not known yet
    run : what else the results depend on, to be compared with that of earlier runs
    pooling : rule by which the model pools a breast's views
    scheduler, processes : as in :func:`birads_app.cluster.connection.connected`
    tell : receives lines of progress

    Raises
    ------
    ResultsDiffer
        The folder contains results of another archive or model, or another process writes it.
    ClusterError, FetchFailed, OSError
        The work cannot go on; finished partitions are kept, and the same call continues.
    """
    task = replace(task, facts=worker_facts(task.model, task.folder))
    results.begin({**run, **{name: task.facts[name] for name in ("version", "OpenVINO", "model")}})
    with locks.try_exclusive(results.folder / _LOCK, remove=True) as alone:
        if not alone:
            raise ResultsDiffer(f"Another process is writing to {results.folder}.")
        total, begun = _compared(listing, results)
        failed, left, unfinished = 0, 0, []
        if begun < total:
            with connected(scheduler, processes) as client:
                check_workers(client, task.facts, worker_facts, task.model, task.folder)
                done, progress = 0, Progress(total, begun, tell)
                progress.at(0, 0)
                for one in run_all(client, score, _missing(listing, results), task):
                    if one.result is None:
                        unfinished.append(one.task.number)
                        left += len(one.task.items)
                        continue
                    results.write(one.task, one.result)
                    done, failed = done + len(one.task.items), failed + len(one.result.failures)
                    progress.at(done, failed)
        unit = "file" if task.server is None else "study"
        unusable, exams = results.join_failures(), write_exams(results, pooling)
        return ScoringSummary(total, unit, left, unusable, exams, tuple(sorted(unfinished)))


def _compared(listing: ArchiveListing, results: ResultParts) -> tuple[int, int]:
    """Return the numbers of listed and of finished items; raise ResultsDiffer if finished ones have changed."""
    written, total, begun = results.digests(), 0, 0
    for partition in listing.partitions():
        total += len(partition.items)
        digest = written.pop(partition.number, None)
        if digest == partition.digest:
            begun += len(partition.items)
        elif digest is not None:
            raise ResultsDiffer(
                f"The archive has changed since {results.folder} was begun: partition {partition.number} has other "
                "files, sizes or times. Choose another folder."
            )
    if written:
        raise ResultsDiffer(
            f"The archive has changed since {results.folder} was begun: it had more files. Choose another folder."
        )
    return total, begun


def _missing(listing: ArchiveListing, results: ResultParts) -> Iterator[Partition]:
    """Yield the partitions that are not written yet."""
    written = results.digests()
    return (one for one in listing.partitions() if written.get(one.number) != one.digest)


def _duration(seconds: float) -> str:
    """Write a time, to the precision that it deserves."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )
