"""Simulation of a server, or of several with one queue: uploads that come, the processes that read them, their cores.

The structure is the service's own: places for uploads, processes that read files, one that has the model on each
machine, and one thread a machine that makes pictures after the answers. Cores are shared in turns, as a scheduler does;
the web's own work comes first, as the other processes have a lower priority. The cost of an exam is measured
(:mod:`bench.exam_cost`); nothing else is fitted.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

import simpy

from bench.exam_cost import ExamCost
from birads_app.records.derivation_queue import WAITING_MAX

Steps = Generator[simpy.Event, Any, None]
IMAGES = 4
_WEB, _OTHERS = 0, 1  # priorities


@dataclass(frozen=True)
class Site:
    """Machines that share one queue.

    cores : of each machine that other programs leave
    """

    machines: int
    cores: float

    @property
    def whole(self) -> int:
        """Cores of each machine."""
        return ceil(self.cores)

    @property
    def file_processes(self) -> int:
        """Processes of all machines that read files: the default of ``BIRADS_COMPUTE_PROCESSES``."""
        return self.machines * min(4, self.whole)

    @property
    def uploads_at_once(self) -> int:
        """Uploads that all machines work on at a time: the default of ``BIRADS_UPLOADS_AT_ONCE``."""
        return self.machines * (1 + min(4, self.whole))


@dataclass
class Outcome:
    """Course of a simulation, in seconds since its start.

    answers : (arrival, answer) of each exam
    finished : times at which the pictures of exams were all made
    busy_s : processor seconds used
    """

    answers: list[tuple[float, float]] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    busy_s: float = 0.0

    def waits(self, since: float = 0.0) -> list[float]:
        """Return the rising seconds until the answer of exams that came after a moment."""
        return sorted(answer - arrival for arrival, answer in self.answers if arrival >= since)


class Server:
    """The service on a site.

    quantum : seconds of a turn at a core; the shorter, the nearer to a real scheduler
    """

    def __init__(self, site: Site, cost: ExamCost, quantum: float = 0.02) -> None:
        self.environment = simpy.Environment()
        self.outcome = Outcome()
        self._site, self._cost, self._quantum = site, cost, quantum
        self._speed = site.cores / site.whole
        self._cores = simpy.PriorityResource(self.environment, site.machines * site.whole)
        self._places = simpy.Resource(self.environment, site.uploads_at_once)
        self._threads = simpy.Resource(self.environment, site.file_processes + site.machines)
        self._files = simpy.Resource(self.environment, site.file_processes)
        self._models = simpy.Resource(self.environment, site.machines)
        self._fresh = simpy.Store(self.environment, WAITING_MAX * site.machines)
        self._left = simpy.Store(self.environment)
        for _ in range(site.machines):
            self.environment.process(self._make_pictures())

    def upload(self) -> Steps:
        """Send an exam and wait for the answer."""
        arrival, answer = self.environment.now, self._cost.answer
        with self._places.request() as place:
            yield place
            images = []
            for _ in range(IMAGES):
                yield from self._run(answer.web / (IMAGES + 1), _WEB)
                images.append(self.environment.process(self._read()))
            yield self.environment.all_of(images)
            yield from self._run(answer.web / (IMAGES + 1), _WEB)
        self.outcome.answers.append((arrival, self.environment.now))
        waiting = self._fresh if len(self._fresh.items) < self._fresh.capacity else self._left
        yield waiting.put(self.environment.now)

    def _read(self) -> Steps:
        """Read an image and predict, on a thread that waits for both."""
        with self._threads.request() as thread:
            yield thread
            yield from self._in(self._files, self._run(self._cost.answer.files / IMAGES))
            yield from self._in(self._models, self._predict(self._cost.answer.model / IMAGES))

    def _make_pictures(self) -> Steps:
        """Make the pictures of one exam after another; of those that are left only while a process is spare."""
        while True:
            if self._fresh.items:
                yield self._fresh.get()
                yield from self._draw(self._cost.pictures.files)
            elif self._left.items and not self._files.queue and self._files.count < self._files.capacity:
                yield self._left.get()
                yield from self._draw(self._cost.pictures.files + self._cost.answer.files)
            else:
                yield self.environment.timeout(0.1)

    def _draw(self, files: float) -> Steps:
        for _ in range(IMAGES):
            yield from self._in(self._files, self._run(files / IMAGES))
            yield from self._in(self._models, self._predict(self._cost.pictures.model / IMAGES))
        self.outcome.finished.append(self.environment.now)

    def _predict(self, seconds: float) -> Steps:
        """Run the model on all cores of its machine."""
        parts = [
            self.environment.process(self._run(seconds / self._site.whole)) for _ in range(self._site.whole)
        ]
        yield self.environment.all_of(parts)

    def _in(self, processes: simpy.Resource, steps: Steps) -> Steps:
        with processes.request() as process:
            yield process
            yield from steps

    def _run(self, seconds: float, priority: int = _OTHERS) -> Steps:
        """Take turns at the cores until the processor seconds are used; who finds no one waiting goes on."""
        while seconds > 1e-9:
            with self._cores.request(priority) as core:
                yield core
                while seconds > 1e-9:
                    turn = min(seconds, self._quantum)
                    yield self.environment.timeout(turn / self._speed)
                    self.outcome.busy_s += turn
                    seconds -= turn
                    if self._cores.queue:
                        break


def alone(site: Site, cost: ExamCost, exams: int = 5) -> Outcome:
    """Upload one exam after another, each once the pictures of the one before are made."""
    server = Server(site, cost)

    def client() -> Steps:
        for number in range(exams):
            yield from server.upload()
            while len(server.outcome.finished) <= number:
                yield server.environment.timeout(0.02)

    server.environment.run(server.environment.process(client()))
    return server.outcome


def saturated(site: Site, cost: ExamCost, clients: int, seconds: float) -> Outcome:
    """Let clients upload one exam after another until the time is over, and wait for the last answer."""
    server = Server(site, cost)

    def client() -> Steps:
        while server.environment.now < seconds:
            yield from server.upload()

    server.environment.run(
        server.environment.all_of([server.environment.process(client()) for _ in range(clients)])
    )
    return server.outcome


def open_day(
    site: Site,
    cost: ExamCost,
    rate: Callable[[float], float],
    seconds: float,
    *,
    quantum: float,
    seed: int = 1,
) -> Outcome:
    """Let exams come at random (Poisson) and wait until all pictures are made.

    rate : exams a second at a moment
    seconds : until the last arrival
    """
    server, random = Server(site, cost, quantum), Random(seed)

    def arrivals() -> Steps:
        uploads = []
        for pause in _pauses(random, rate, server.environment, seconds):
            yield server.environment.timeout(pause)
            uploads.append(server.environment.process(server.upload()))
        yield server.environment.all_of(uploads)
        while len(server.outcome.finished) < len(uploads):
            yield server.environment.timeout(1)

    server.environment.run(server.environment.process(arrivals()))
    return server.outcome


def _pauses(
    random: Random, rate: Callable[[float], float], environment: simpy.Environment, seconds: float
) -> Iterator[float]:
    while True:
        pause = random.expovariate(rate(environment.now))
        if environment.now + pause >= seconds:
            return
        yield pause
