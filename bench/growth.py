"""The cost of an exam, and whether the simulation tells from it how this machine answers."""

import argparse
from collections.abc import Iterator

from bench import exam_cost, simulation
from bench.measurement import Measurement

TOLERANCE = 0.15  # of a simulated figure; the machine's other programs change from second to second
SATURATED_S = 60.0


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure the cost of an exam, then compare answers with simulated ones."""
    cost, services = exam_cost.measure(options.models)
    print(f"{cost}\n{services}")  # for RECORDED of bench/scale.py
    for what, work in (("answer", cost.answer), ("pictures", cost.pictures)):
        for process, seconds in (("web", work.web), ("files", work.files), ("model", work.model)):
            yield Measurement(f"{what}: processor seconds of {process}", seconds, None, seconds)
    for service in services:
        found = simulated(cost, service.clients, service.cores)
        name = f"with {service.clients} clients" if service.clients > 1 else "alone"
        for figure, ours, theirs in (
            ("answer, s", service.answer_s, found.answer_s),
            ("exams a minute", service.per_minute, found.per_minute),
        ):
            what = f"{figure}, {name}; simulated"
            yield Measurement(what, ours, theirs, theirs / ours, least=1 - TOLERANCE, most=1 + TOLERANCE)


def simulated(cost: exam_cost.ExamCost, clients: int, cores: float) -> exam_cost.Service:
    """Simulate so many clients, each of which sends an exam after the other, on one machine."""
    site = simulation.Site(1, cores)
    if clients == 1:
        found = simulation.alone(site, cost).waits()
        mean = sum(found) / len(found)
        return exam_cost.Service(1, cores, mean, 60 / mean)
    outcome = simulation.saturated(site, cost, clients, SATURATED_S)
    found, end = outcome.waits(), max(answer for _, answer in outcome.answers)
    return exam_cost.Service(clients, cores, sum(found) / len(found), 60 * len(found) / end)
