"""Lock on the name of a new model during its training, and removal of what killed trainings left behind."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from birads_app.files import locks
from birads_app.model import bundles
from training.errors import NameTaken, TrainingError


@contextmanager
def hold_name(models: Path, name: str) -> Iterator[None]:
    """Lock a new model's name against other trainings on this machine.

    The operating system releases the lock when the process ends. Leftovers of killed trainings are removed.

    Raises
    ------
    BundleError
        The name is not valid.
    NameTaken
        A model or a running training has the name.
    TrainingError
        The folder cannot be written.
    """
    bundles.check_name(name)
    if (models / name).exists():
        raise NameTaken(f"A model named {name} already exists. Choose another --name.")
    with ExitStack() as stack:
        try:
            models.mkdir(parents=True, exist_ok=True)
            _sweep(models)
            free = stack.enter_context(locks.try_exclusive(_lock_file(models, name), remove=True))
        except OSError as error:
            raise TrainingError(f"Models cannot be written to {models}: {error.strerror}.") from error
        if not free:
            raise NameTaken(f"Another training of a model named {name} is running. Choose another --name.")
        yield


def _lock_file(models: Path, name: str) -> Path:
    return models / f".{name}.lock"


def _sweep(models: Path) -> None:
    """Remove locks and unfinished bundles of killed trainings."""
    for path in models.glob(".*.lock"):
        name = path.name[1:].removesuffix(".lock")
        with locks.try_exclusive(path, remove=True) as abandoned:
            if abandoned:
                for draft in models.glob(f".{name}-????????"):
                    shutil.rmtree(draft, ignore_errors=True)
