"""The same as :mod:`bench.kills` for an installation of several machines, of which any process may be killed."""

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench import services
from bench.kills import IDLE_S, PAUSE_S, Load, judged, receiver_in, report, restarted
from bench.measurement import Measurement
from tests.support import tiny_model
from tests.support.receiver import wait_until

_TARGETS = {"web": 3, "compute": 3, "helper": 2, "receiver": 2}
_RECEIVERS = 2


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Kill web servers, compute processes, their helpers and receivers in turns that are drawn from a seed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        models = Path(folder, "models")
        tiny_model.write(models)  # the processes are judged, not the network
        yield from run(models, Path(folder), options.kills, options.seed)


def run(models: Path, folder: Path, kills: int, seed: int) -> Iterator[Measurement]:
    """Do so, with instance folders in a folder; two receivers share the spool."""
    generator, killed = random.Random(seed), Counter[str]()
    with services.running(models, folder, BIRADS_DEIDENTIFY="0") as site:
        shared = {
            name: value
            for name, value in site.first.environment.items()
            if name.startswith("BIRADS_") and name not in ("BIRADS_INSTANCE", "BIRADS_COMPUTE_TIER")
        }
        receivers = [receiver_in(folder / f"receiver-{number}", **shared) for number in range(_RECEIVERS)]
        for receiver in receivers:
            receiver.place.mkdir()
        receiving = [receiver.start() for receiver in receivers]
        load = Load(site, [receiver.port for receiver in receivers])
        load.start()
        for _ in range(kills):
            time.sleep(generator.uniform(0, PAUSE_S))
            (target,) = generator.choices(list(_TARGETS), list(_TARGETS.values()))
            killed[target] += 1
            if target == "web":
                generator.choice(site.web).kill()
            elif target == "compute":
                generator.choice(site.computing).kill()
            elif target == "helper":
                with suppress(IndexError, ProcessLookupError):
                    os.kill(generator.choice(generator.choice(site.computing).processes[1:]), signal.SIGKILL)
            else:
                number = generator.randrange(_RECEIVERS)
                receiving[number] = restarted(receivers[number], receiving[number])
        load.end()
        wait_until(lambda: not _unfinished(site, load), IDLE_S)
        site.settle()
        for process in receiving:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        report(killed, load)
        yield from judged(site, load)


def _unfinished(site: services.Installation, load: Load) -> bool:
    """Return True while uploads or received objects wait to be read."""
    jobs = site.first.jobs()
    received = {row[0] for row in site.first.rows("SELECT sop_uid FROM images")}
    return any(state in ("waiting", "running") for state, _ in jobs.values()) or not received.issuperset(
        load.sender.acknowledged
    )
