"""`make scale`: write the tables and the chart of docs/scale.md from the recorded cost of an exam."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.exam_cost import ExamCost, Work
from bench.growth import simulated
from bench.simulation import Outcome, Site, open_day
from birads_app.svg.drawing import Axis, rounded
from birads_app.svg.line_plot import Line, line_plot

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "scale.md"
CHART = ROOT / "docs" / "images" / "scale-answers.svg"


@dataclass(frozen=True)
class Load:
    """Measured answers: clients, cores that other programs left, exams answered a minute."""

    clients: int
    cores: float
    per_minute: float


# Printed by `make bench ARGS="--only growth"` on 29 November 2026, three runs beside other work; the tables of growth
# begin with the last one.
RUNS = (
    (
        Work(web=0.33, files=0.80, model=0.59),
        Work(web=0.02, files=0.88, model=1.86),
        (Load(1, 1.18, 40.1), Load(8, 1.50, 35.8)),
    ),
    (
        Work(web=0.28, files=0.74, model=0.58),
        Work(web=0.02, files=0.85, model=1.84),
        (Load(1, 0.77, 28.6), Load(8, 0.77, 21.0)),
    ),
    (
        Work(web=0.27, files=0.68, model=0.53),
        Work(web=0.02, files=0.79, model=1.83),
        (Load(1, 1.09, 41.5), Load(8, 0.56, 15.1)),
    ),
)
RECORDED = ExamCost(
    sent_mb=51.89,
    answer=RUNS[-1][0],
    pictures=RUNS[-1][1],
    stored_mb={"original": 51.31, "display": 0.86, "heat": 1.57, "thumb": 0.01},
    rows={"exams": 1, "images": 4, "identities": 1, "audit": 1},
    rows_kb=6.43,
)
DAYS = 250  # with examinations, a year
# Share of a day's exams by the hour in which they come: from 7 to 18, with a pause at noon.
HOURS = {
    7: 0.04,
    8: 0.11,
    9: 0.12,
    10: 0.12,
    11: 0.11,
    12: 0.06,
    13: 0.09,
    14: 0.11,
    15: 0.11,
    16: 0.08,
    17: 0.05,
}
BUSIEST = (9, 10)
MILLION, LINK_MB_S, ARCHIVE = 1_000_000, 1250, 5_000_000
_HOUR_S, _DAY_S, _QUANTUM_S = 3600, 86400, 0.1
_STYLE = "text{font:11px sans-serif}.grid{stroke:#ddd}.line{fill:none;stroke-width:2}"


@dataclass(frozen=True)
class Plan:
    """Machines for so many exams a year, and the hours of a day that are simulated."""

    yearly: int
    site: Site
    hours: Sequence[int]


PLANS = (
    Plan(MILLION, Site(1, 2), tuple(HOURS)),
    Plan(MILLION, Site(2, 2), tuple(HOURS)),
    Plan(10 * MILLION, Site(1, 4), BUSIEST),
    Plan(10 * MILLION, Site(2, 4), BUSIEST),
    Plan(10 * MILLION, Site(3, 4), BUSIEST),
)


def simulate(plan: Plan) -> Outcome:
    """Simulate the hours of a plan, which follow one another."""
    rates = [plan.yearly / DAYS * HOURS[hour] / _HOUR_S for hour in plan.hours]
    until = len(rates) * _HOUR_S
    return open_day(plan.site, RECORDED, lambda now: rates[int(now // _HOUR_S)], until, quantum=_QUANTUM_S)


def reproduction() -> Iterator[str]:
    """Yield rows of measured and simulated answers."""
    yield "| run | clients | cores that other programs left | exams a minute: measured; simulated | difference |"
    yield "|---|---|---|---|---|"
    for number, (answer, pictures, loads) in enumerate(RUNS, 1):
        run = replace(RECORDED, answer=answer, pictures=pictures)
        for load in loads:
            found = rate(run, load)
            yield (
                f"| {number} | {load.clients} | {load.cores:.2f} | {load.per_minute:.1f}; {found:.1f}"
                f" | {found / load.per_minute - 1:+.0%} |"
            )


def rate(of: ExamCost, load: Load) -> float:
    """Simulate the exams answered a minute at an exam's cost."""
    return simulated(of, load.clients, load.cores).per_minute


def cost() -> Iterator[str]:
    """Yield rows of what one exam costs."""
    answer, pictures = RECORDED.answer, RECORDED.pictures
    yield "| one exam of four films of 13.6 megapixels | until the answer | pictures and heat maps after it |"
    yield "|---|---|---|"
    for name, one, other in (
        ("web: receive, store, answer", answer.web, pictures.web),
        ("processes that read files", answer.files, pictures.files),
        ("the model", answer.model, pictures.model),
        ("together", answer.total, pictures.total),
    ):
        yield f"| {name}, processor seconds | {one:.2f} | {other:.2f} |"
    yield f"| sent; kept, MB | {RECORDED.sent_mb:.1f}; {RECORDED.stored_mb['original']:.1f} | {_pictures_mb():.2f} |"
    rows = ", ".join(f"{count} in `{name}`" for name, count in RECORDED.rows.items())
    yield f"| rows; with index entries, kB | {rows}; {RECORDED.rows_kb:.0f} | none |"


def capacity() -> Iterator[str]:
    """Yield rows of simulated days."""
    yield (
        "| exams a year; in the busiest hour | machines x cores | answer: median; 99th percentile"
        " | last picture after the last exam | share of the cores' time |"
    )
    yield "|---|---|---|---|---|"
    for plan in PLANS:
        outcome, site = simulate(plan), plan.site
        waits, last = outcome.waits(), max(arrival for arrival, _ in outcome.answers)
        busy = outcome.busy_s / max(outcome.finished) / (site.machines * site.cores)
        yield (
            f"| {plan.yearly:,}; {plan.yearly / DAYS * max(HOURS.values()):,.0f} | {site.machines} x {site.cores:g}"
            f" | {_at(waits, 0.5):.1f} s; {_at(waits, 0.99):.1f} s"
            f" | {(max(outcome.finished) - last) / 60:,.1f} min | {busy:.0%} |"
        )


def needs() -> Iterator[str]:
    """Yield rows of what many exams a year need, by arithmetic alone."""
    columns: list[tuple[str, Callable[[int], str]]] = [
        ("exams a day; in the busiest hour", lambda n: f"{n / DAYS:,.0f}; {_busiest(n) * _HOUR_S:,.0f}"),
        ("exams a second, busiest hour", lambda n: f"{_busiest(n):.2f}"),
        ("cores busy then: answers; with pictures at once", lambda n: (
            f"{_busiest(n) * RECORDED.answer.total:.1f}; {_busiest(n) * _total_s():.1f}")),
        ("network into the service then", lambda n: f"{_busiest(n) * RECORDED.sent_mb * 8 / 1000:.2f} Gbit/s"),
        ("files a year", lambda n: f"{n * (RECORDED.stored_mb['original'] + _pictures_mb()) / 1e6:,.0f} TB"),
        ("rows a year; with index entries", lambda n: (
            f"{n * sum(RECORDED.rows.values()) / 1e6:,.0f} million; {n * RECORDED.rows_kb / 1e6:,.0f} GB")),
        ("transactions that store an exam, busiest hour", lambda n: f"{_busiest(n):.2f} a second"),
    ]  # fmt: skip
    yield "| | a million exams a year | a hundred million |"
    yield "|---|---|---|"
    for name, figure in columns:
        yield f"| {name} | {figure(MILLION)} | {figure(100 * MILLION)} |"


def again() -> Iterator[str]:
    """Yield rows of the time to score an archive with a new model."""
    work = RECORDED.answer.files + RECORDED.answer.model
    network = ARCHIVE * RECORDED.sent_mb / LINK_MB_S / _DAY_S
    yield f"| cores | processors alone, {ARCHIVE:,} exams | files over 10 Gbit/s, which take {network:.1f} days |"
    yield "|---|---|---|"
    for cores in (2, 16, 64, 256):
        days = ARCHIVE * work / cores / _DAY_S
        yield f"| {cores} | {days:,.1f} days | {max(days, network):,.1f} days |"


def chart() -> str:
    """Draw the 99th percentile of answers over the exams that come in an hour."""
    lines, most = [], 30.0
    for machines, cores, hourly in ((1, 2, range(600, 4201, 300)), (2, 2, range(600, 8401, 600))):
        points = []
        for number in hourly:
            outcome = _steady(Site(machines, cores), number)
            wait = _at(outcome.waits(), 0.99)
            if wait > most:
                break
            points.append((float(number), wait))
        lines.append(Line(f"{machines} x {cores} cores", points, dots=True))
    x = Axis("exams an hour", rounded(max(line.points[-1][0] for line in lines)))
    drawn = str(line_plot("99th percentile of answers", lines, x, Axis("seconds", rounded(most))))
    head, _, rest = drawn.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{_STYLE}</style>{rest}\n'


def filled(document: str, parts: dict[str, Callable[[], Iterator[str]]]) -> str:
    """Replace the tables between markers ``<!-- NAME -->`` and ``<!-- end -->``; raises ValueError without them."""
    for name, rows in parts.items():
        before, start, rest = document.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not (start and end):
            raise ValueError(
                f"{DOCUMENT} has no table {name}: it needs the lines <!-- {name} --> and <!-- end -->."
            )
        document = before + start + "\n".join(rows()) + "\n" + end + after
    return document


# Tables that need no simulation of days.
QUICK: dict[str, Callable[[], Iterator[str]]] = {
    "cost": cost,
    "reproduction": reproduction,
    "needs": needs,
    "again": again,
}


def main() -> None:
    """Write the document's tables and the chart."""
    CHART.write_text(chart(), "utf-8")
    DOCUMENT.write_text(filled(DOCUMENT.read_text("utf-8"), {**QUICK, "capacity": capacity}), "utf-8")


def _steady(site: Site, hourly: int) -> Outcome:
    """Simulate twenty minutes with so many exams an hour."""
    return open_day(site, RECORDED, lambda _: hourly / _HOUR_S, _HOUR_S / 3, quantum=_QUANTUM_S)


def _busiest(yearly: int) -> float:
    """Return the exams a second in the busiest hour."""
    return yearly / DAYS * max(HOURS.values()) / _HOUR_S


def _total_s() -> float:
    return RECORDED.answer.total + RECORDED.pictures.total


def _pictures_mb() -> float:
    return sum(size for kind, size in RECORDED.stored_mb.items() if kind != "original")


def _at(rising: Sequence[float], share: float) -> float:
    """Return the value below which a share of rising values lies."""
    return rising[min(len(rising) - 1, int(share * len(rising)))]


if __name__ == "__main__":
    main()
