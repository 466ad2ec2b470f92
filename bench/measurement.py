"""Measured values with their baseline and requirement, and a table of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

WIDTH = 62


@dataclass(frozen=True)
class Measurement:
    """One line of the table.

    baseline : value of the straightforward implementation, of the first run, or of few rows; None without comparison
    judged : value to which the requirement applies
    least, most : required bounds; None without requirement
    """

    what: str
    ours: float
    baseline: float | None
    judged: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """True if the requirement is met."""
        return not (
            (self.least is not None and self.judged < self.least)
            or (self.most is not None and self.judged > self.most)
        )

    @property
    def required(self) -> str:
        """Requirement as text."""
        if self.least is not None:
            return f">= {self.least:g}"
        return f"<= {self.most:g}" if self.most is not None else ""


def table(figures: Sequence[Measurement]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{'measured':<{WIDTH}}{'ours':>10}{'baseline':>10}{'judged':>10}{'required':>10}"
    for one in figures:
        baseline = "" if one.baseline is None else f"{one.baseline:.3g}"
        failed = "" if one.met else "  NOT MET"
        yield (
            f"{one.what:<{WIDTH}}{one.ours:>10.4g}{baseline:>10}{one.judged:>10.3g}{one.required:>10}{failed}"
        )


def take_turns(
    ours: Callable[[], object],
    plain: Callable[[], object],
    rounds: int,
    between: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    """Run both alternately; return the median seconds of each, after a warm-up. ``between`` is not timed."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for taken, run in zip(times, (ours, plain), strict=True):
            start = perf_counter()
            run()
            end = perf_counter()
            between()
            if turn:
                taken.append(end - start)
    return median(times[0]), median(times[1])


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median seconds of some rounds."""
    times = []
    for _ in range(rounds):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)
