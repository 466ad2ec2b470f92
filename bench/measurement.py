"""A measured figure beside what it is compared with and what is required, and the table of all."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

WIDTH = 62


@dataclass(frozen=True)
class Measurement:
    """One line of the table.

    beside : the same of the plain way, of the first run, or of few rows; None where nothing is compared
    judged : the number that the requirement is about
    least, most : what is required of it; None where it is only told
    """

    what: str
    ours: float
    beside: float | None
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
        """The requirement, in a few characters."""
        if self.least is not None:
            return f">= {self.least:g}"
        return f"<= {self.most:g}" if self.most is not None else ""


def table(figures: Sequence[Measurement]) -> Iterator[str]:
    """Lines for the screen."""
    yield f"{'measured':<{WIDTH}}{'ours':>10}{'beside':>10}{'judged':>10}{'required':>10}"
    for one in figures:
        beside = "" if one.beside is None else f"{one.beside:.3g}"
        failed = "" if one.met else "  NOT MET"
        yield (
            f"{one.what:<{WIDTH}}{one.ours:>10.4g}{beside:>10}{one.judged:>10.3g}{one.required:>10}{failed}"
        )


def take_turns(ours: Callable[[], object], plain: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of each after a warm-up of both."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for taken, run in zip(times, (ours, plain), strict=True):
            start = perf_counter()
            run()
            if turn:
                taken.append(perf_counter() - start)
    return median(times[0]), median(times[1])
