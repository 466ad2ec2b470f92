"""Trainings that are killed at any moment, and resumed until a model is written."""

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from bench import worker

_OPTIONS = ("--phantoms", "12", "--epochs", "3", "--no-sanity-checks", "--no-report-images")


class Trainer(threading.Thread):
    """Trains one model after another; the last one is finished.

    models : folder of bundles
    written : names of the models
    failed : number of processes that ended with an error without having been killed
    """

    def __init__(self, served: worker.Served, models: Path) -> None:
        super().__init__()
        self.written: list[str] = []
        self.failed = 0
        self.ends = threading.Event()
        self._served = served
        self._models = models
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Train until told to end."""
        while not self.ends.is_set():
            name = f"trained-{len(self.written)}"
            while not (self._models / name).exists():
                self._train(name)
            self.written.append(name)

    def kill(self) -> None:
        """Kill the process that trains at the moment."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def leftovers(self) -> list[str]:
        """Return the names of what trainings have left beside the models, and of kept states."""
        states = self._served.instance / "training"
        beside = [path.name for path in self._models.iterdir() if path.name.startswith(".")]
        return [*beside, *(path.name for path in states.iterdir())]

    def _train(self, name: str) -> None:
        """Start a training, or resume it if there is something to resume, and wait for its end."""
        kept = self._served.instance / "training" / name / "settings.json"
        options = ["--resume"] if kept.exists() else _OPTIONS
        self._process = subprocess.Popen(
            ["nice", sys.executable, "-m", "flask", "--app", "wsgi", "train", "--name", name, *options],
            cwd=worker.ROOT,
            env=self._served.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.failed += self._process.wait() > 0  # negative after a signal
