"""The simulation of the queue tells what was measured, and docs/scale.md what is recorded."""

from dataclasses import replace

import pytest

from bench import scale
from bench.exam_cost import Work
from bench.simulation import Site, alone, open_day, saturated

CROWDED = 1.0  # cores; with less, other programs disturb more than by the time they take


@pytest.mark.parametrize("run", range(len(scale.RUNS)))
def test_the_simulation_tells_the_measured_rates(run: int) -> None:
    answer, pictures, loads = scale.RUNS[run]
    cost = replace(scale.RECORDED, answer=answer, pictures=pictures)
    for load in loads:
        ratio = scale.rate(cost, load) / load.per_minute
        assert abs(ratio - 1) < (0.1 if load.cores >= CROWDED else 0.25), (load, ratio)


def test_the_rate_depends_on_the_cost() -> None:
    load = scale.RUNS[0][2][1]
    cost = replace(scale.RECORDED, answer=Work(web=0.33, files=2.4, model=0.59))
    assert scale.rate(cost, load) / load.per_minute < 0.75


def test_no_exam_and_no_second_is_lost() -> None:
    cost, site = scale.RECORDED, Site(2, 2)
    outcome = open_day(site, cost, lambda _: 0.3, 600, quantum=0.1)
    assert len(outcome.answers) == len(outcome.finished) > 100
    assert all(arrival < answer for arrival, answer in outcome.answers)
    again = cost.answer.files  # for each exam whose pictures are made from the stored files
    fewest = len(outcome.answers) * (cost.answer.total + cost.pictures.total - cost.pictures.web)
    assert fewest - 1e-6 <= outcome.busy_s <= fewest + len(outcome.answers) * again
    assert outcome.busy_s <= max(outcome.finished) * site.machines * site.cores


def test_a_shared_queue_waits_less_than_one_machine() -> None:
    def wait(machines: int) -> float:
        return sum(open_day(Site(machines, 2), scale.RECORDED, lambda _: 0.6, 300, quantum=0.1).waits())

    assert wait(2) < wait(1)


def test_a_load_beyond_the_cores_is_limited_by_them() -> None:
    outcome = saturated(Site(1, 2), scale.RECORDED, 32, 60)
    end = max(answer for _, answer in outcome.answers)
    assert 0.97 * 2 < outcome.busy_s / end <= 2
    assert len(alone(Site(1, 2), scale.RECORDED).answers) == 5


def test_the_document_has_the_tables_of_the_recorded_figures() -> None:
    document = scale.DOCUMENT.read_text("utf-8")
    assert document == scale.filled(document, scale.QUICK), "run `make scale`"
    assert f"images/{scale.CHART.name}" in document and scale.CHART.is_file()
    with pytest.raises(ValueError, match="no table cost"):
        scale.filled("no markers", scale.QUICK)


@pytest.mark.slow
def test_the_document_has_the_simulated_days() -> None:
    document = scale.DOCUMENT.read_text("utf-8")
    assert document == scale.filled(document, {"capacity": scale.capacity}), "run `make scale`"
