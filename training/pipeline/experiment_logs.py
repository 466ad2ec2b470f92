"""Logs of trainings for TensorBoard and MLflow, which are not installed by default.

Both receive loss and accuracy of each epoch, on training and validation set, and MLflow also the configuration and the
figures on the test set. They are written into local folders; nothing is sent anywhere.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import progress
from training.engine.learning_curve import Epoch
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.config import TrainConfig

TENSORBOARD, MLFLOW = "tensorboard", "mlflow"
# Package of each kind.
PACKAGES = {TENSORBOARD: "tensorboard", MLFLOW: "mlflow-skinny"}
_EXPERIMENT, _DATABASE = "birads", "mlflow.db"

# Takes the name of a value, the value, and the number of the epoch.
Log = Callable[[str, float, int], None]


@contextmanager
def written(kinds: Sequence[str], config: "TrainConfig", folder: Path) -> Iterator[list[Log]]:
    """Write logs of these kinds below ``folder`` while the block runs; yield them.

    Raises
    ------
    TrainingError
        A package is not installed.
    """
    with ExitStack() as stack:
        logs = [stack.enter_context(_OPEN[kind](config, folder / kind)) for kind in dict.fromkeys(kinds)]
        stack.enter_context(progress.epochs_told_to(partial(_tell, logs)))
        yield logs


def finish(logs: Sequence[Log], figures: Mapping[str, float]) -> None:
    """Log the figures on the test set."""
    for log in logs:
        for name, value in figures.items():
            log(f"test/{name}", value, 0)


def _tell(logs: Sequence[Log], task: str, part: str, number: int, values: Sequence[float]) -> None:
    """Log the values of an epoch that are known; those of folds and permuted labels under a name of their own."""
    place = f"{part}/{task}" if part else task
    for name, value in zip(Epoch._fields, values, strict=False):
        if math.isfinite(value):
            for log in logs:
                log(f"{place}/{name}", value, number)


@contextmanager
def _tensorboard(config: "TrainConfig", folder: Path) -> Iterator[Log]:
    """Write event files into a folder of the model's name."""
    with _installed(TENSORBOARD):
        from tensorboard.summary import Writer
    writer = Writer(str(folder / config.name))
    try:
        yield lambda name, value, epoch: writer.add_scalar(name, value, epoch)
    finally:
        writer.close()


@contextmanager
def _mlflow(config: "TrainConfig", folder: Path) -> Iterator[Log]:
    """Write a run into a local store."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
    with _installed(MLFLOW):
        import mlflow
    folder.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{folder.resolve() / _DATABASE}")
    mlflow.set_experiment(_EXPERIMENT)
    with mlflow.start_run(run_name=config.name):
        mlflow.log_params({name: str(value) for name, value in vars(config).items()})
        yield lambda name, value, epoch: _log_metric(mlflow, name, value, epoch)


def _log_metric(mlflow: Any, name: str, value: float, epoch: int) -> None:
    mlflow.log_metric(name, value, step=epoch)


@contextmanager
def _installed(kind: str) -> Iterator[None]:
    """Raise TrainingError with the command that installs what is missing."""
    try:
        yield
    except ImportError as error:
        raise TrainingError(
            f"--log-to {kind} needs a package that is not installed ({error.name}). Install it: pip install "
            f"{PACKAGES[kind]}"
        ) from error


_OPEN: dict[str, Callable[["TrainConfig", Path], Any]] = {TENSORBOARD: _tensorboard, MLFLOW: _mlflow}
