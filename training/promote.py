"""Which model serves: find, verify, promote, roll back. What serves changes in one step or not at all."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from birads_app.inference import bundle as bundles
from birads_app.inference.bundle import Bundle
from birads_app.inference.calibration import softmax
from birads_app.inference.engine import open_engine
from birads_app.inference.errors import BundleError
from training import protocol
from training.errors import NameTaken, NotForService, TrainingError

# Beside CURRENT: one JSON line for each promotion against a model's protocol.
OVERRIDES = "OVERRIDES"


def find(models: Path, name: str) -> Bundle:
    """Load one bundle; raises BundleError where it is missing or damaged."""
    return bundles.load(models / bundles.check_name(name))


def overview(models: Path) -> list[str]:
    """One line for each bundle; a star marks the one that serves, and a damaged one says so."""
    names = bundles.list_names(models)
    if not names:
        return ["There are no models. Train one: flask train --data DIR --name NAME"]
    serving = bundles.promoted(models)[-1:]
    width = max(len(name) for name in names)
    return [f"{'*' if [name] == serving else ' '} {name:{width}}  {_line(models, name)}" for name in names]


def _line(models: Path, name: str) -> str:
    try:
        bundle = find(models, name)
    except BundleError as error:
        return f"DAMAGED: {error}"
    kind = ", demonstration" if bundle.demonstration else ""
    if protocol.objection(bundle.manifest):
        kind += ", LEAKS" if bundle.manifest.get("leaks") else ", to be compared with"
    created = bundle.manifest.get("created", "")
    return f"BI-RADS {' '.join(bundle.classes)}, {bundle.head} head{kind} {created}".rstrip()


def verify(models: Path, name: str, engine: str, precision: str) -> str:
    """Check a bundle's checksums and that its graphs run and agree with its manifest.

    Returns
    -------
    A sentence saying what was found.

    Raises
    ------
    BundleError
        The bundle must not serve.
    """
    bundle = find(models, name)
    running = open_engine(bundle, engine, precision)
    try:
        logits = running.logits(running.maps(np.zeros((1, bundle.size, bundle.size, 3), np.float32)))
    except (RuntimeError, ValueError) as error:
        raise BundleError(f"The graphs of model {name} do not fit together. Retrain it.") from error
    if logits.shape != (1, len(bundle.classes)) or not np.isfinite(softmax(logits, bundle.temperature)).all():
        raise BundleError(
            f"Model {name} gives {logits.shape[-1]} values for its {len(bundle.classes)} categories, or "
            "values that are no numbers. Retrain it."
        )
    return f"{name} is whole: checksums agree and it answers for BI-RADS {', '.join(bundle.classes)}."


def promote(models: Path, name: str, engine: str, precision: str, *, override: bool = False) -> None:
    """Verify a bundle, then let it serve.

    Parameters
    ----------
    override : let it serve though its protocol forbids; that is put on record first

    Raises
    ------
    BundleError, NotForService
        It is not fit to serve, and nothing changes.
    """
    verify(models, name, engine, precision)
    objection = protocol.objection(find(models, name).manifest)
    if objection and not override:
        raise NotForService(f"{name} {objection} An administrator may insist: --override-protocol.")
    if objection:
        _record_override(models, name, objection)
    bundles.set_current(models, name)


def card(models: Path, name: str) -> str:
    """A model's card, with a line for each time it was promoted against its protocol."""
    lines = [
        f"**Promoted on {entry['at']} although it {entry['objection']}**"
        for entry in _overrides(models)
        if entry["name"] == name
    ]
    return "\n\n".join([find(models, name).card.rstrip(), *lines])


def _record_override(models: Path, name: str, objection: str) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with (models / OVERRIDES).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"at": at, "name": name, "objection": objection}) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _overrides(models: Path) -> Iterator[dict[str, str]]:
    try:
        lines = (models / OVERRIDES).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # cut short by a full disk
            continue
        if isinstance(entry, dict) and {"at", "name", "objection"} <= entry.keys():
            yield entry


def roll_back(models: Path, engine: str, precision: str) -> str:
    """Verify the model that served before, let it serve again, and give its name.

    Raises
    ------
    NoModel, BundleError
        There is none, or it is damaged; the current one goes on serving.
    """
    for name in bundles.promoted(models)[-2:-1]:
        verify(models, name, engine, precision)
    return bundles.roll_back(models)


@contextmanager
def reserved(models: Path, name: str) -> Iterator[None]:
    """Hold a new model's name while it is made, against other trainings on this machine.

    The lock ends with the process, however it ends; what killed trainings left in the folder is removed.

    Raises
    ------
    BundleError
        The name cannot be a model's.
    NameTaken
        A model has the name, or a training that runs now has reserved it.
    TrainingError
        The folder cannot be written.
    """
    bundles.check_name(name)
    if (models / name).exists():
        raise NameTaken(f"There is already a model named {name}. Choose another --name.")
    _sweep(models)
    handle = _lock(models, name)
    if handle is None:
        raise NameTaken(f"Another training of a model named {name} is running. Choose another --name.")
    try:
        yield
    finally:
        _unlock(models, name, handle)


def _lock(models: Path, name: str) -> int | None:
    """Lock a name; None where another process holds it."""
    path = models / f".{name}.lock"
    try:
        models.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise TrainingError(f"Models cannot be written to {models}: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before may have removed the file between our opening and locking it.
        if os.fstat(handle).st_ino != path.stat().st_ino:
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        os.close(handle)
        return None
    return handle


def _unlock(models: Path, name: str, handle: int) -> None:
    (models / f".{name}.lock").unlink(missing_ok=True)
    os.close(handle)


def _sweep(models: Path) -> None:
    """Remove the locks of trainings that were killed, and their drafts of bundles."""
    for path in models.glob(".*.lock"):
        name = path.name[1:].removesuffix(".lock")
        handle = _lock(models, name)
        if handle is not None:
            for draft in models.glob(f".{name}-????????"):
                shutil.rmtree(draft, ignore_errors=True)
            _unlock(models, name, handle)
