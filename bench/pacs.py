"""Studies per minute from a modality through the product to a PACS (Orthanc)."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from bench.measurement import Measurement
from birads_app import create_app
from birads_app.records import database, migrate
from tests.support import orthanc
from tests.support.receiver import real_exams, receiver, wait_until

_ROUNDS = 4  # of the two sample exams
_PATIENCE_S = 600


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Send studies of four film images with storescu, one after another, until the last result is stored."""
    if not orthanc.is_here():
        print(
            "Skipping pacs. To run it, install as root: apt-get install dcmtk orthanc orthanc-dicomweb",
            flush=True,
        )
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Path(name)
        studies = [
            paths
            for number in range(_ROUNDS + 1)
            for paths in real_exams(_made(place / str(number))).values()
        ]
        with orthanc.serve(place) as server:
            settings = server.as_destination() | {"BIRADS_LOG_LEVEL": "INFO"}
            peer = receiver(place, options.models.absolute(), _empty_instance(place), **settings)
            with peer.running():
                for paths in studies[:2]:  # to warm up
                    assert peer.store(*paths) == 0
                wait_until(lambda: peer.sent() == 2, _PATIENCE_S)
                start = perf_counter()
                for paths in studies[2:]:
                    assert peer.store(*paths) == 0
                wait_until(lambda: peer.sent() == len(studies), _PATIENCE_S)
                rate = 60 * (len(studies) - 2) / (perf_counter() - start)
    yield Measurement("studies of 4 images/min received, predicted, returned", rate, None, rate)


def _empty_instance(place: Path) -> Path:
    """Return an instance folder with a new database."""
    app = create_app({"BIRADS_INSTANCE": str(_made(place / "empty"))})
    with app.app_context():
        migrate.upgrade()
        database.engine().dispose()  # writes what the log of changes still has
    return place / "empty"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
