"""Which model serves: find, verify, promote, roll back. What serves changes in one step or not at all."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model import bundles, history
from birads_app.model.bundles import Bundle
from birads_app.model.calibration import softmax
from birads_app.model.engine import open_engine
from birads_app.terms.errors import BundleError, NoModel, NotForService
from birads_app.terms.messages import msg

# Beside CURRENT: one JSON line for each promotion against a model's protocol.
OVERRIDES = "OVERRIDES"


@dataclass(frozen=True)
class Listed:
    """A model in the folder.

    bundle : None where it is damaged; ``damage`` then says how, and is empty otherwise
    objection : why it must not be promoted; empty where nothing speaks against it
    serves : True for the one that answers now
    """

    name: str
    bundle: Bundle | None
    damage: str
    objection: str
    serves: bool


def listing(models: Path) -> list[Listed]:
    """All models by name; files that did not change since they were verified are not read again."""
    serving = history.promoted(models)[-1:]
    return [_listed(models, name, [name] == serving) for name in bundles.list_names(models)]


def _listed(models: Path, name: str, serves: bool) -> Listed:
    try:
        bundle = find(models, name)
    except BundleError as error:
        return Listed(name, None, error.message, "", serves)
    return Listed(name, bundle, "", objection(bundle.manifest), serves)


def find(models: Path, name: str) -> Bundle:
    """Load one bundle; raises BundleError where it is missing or damaged."""
    folder = models / bundles.check_name(name)
    return _loaded(folder, _stamps(folder))


def _stamps(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """What changes whenever a file of a bundle does."""
    try:
        states = {entry.name: entry.stat() for entry in os.scandir(folder)}
    except OSError:
        return ()
    return tuple((name, of.st_mtime_ns, of.st_size, of.st_ino) for name, of in sorted(states.items()))


@lru_cache(maxsize=64)
def _loaded(folder: Path, stamps: tuple[tuple[str, int, int, int], ...]) -> Bundle:
    """A verified bundle, remembered for as long as its files stay as they are."""
    return bundles.load(folder)


def objection(manifest: dict[str, Any]) -> str:
    """Why a model must not be promoted, from its manifest; empty where nothing speaks against it."""
    found = manifest.get("protocol")
    if not isinstance(found, dict) or found.get("may_serve", True):
        return ""
    if manifest.get("leaks"):
        return msg(
            "comparison-model-leaks",
            title=str(found.get("title")),
        )
    return msg(
        "comparison-model",
        title=str(found.get("title")),
    )


def verify(models: Path, name: str, engine: str, precision: str) -> str:
    """Check a bundle's checksums and that its graphs run and agree with its manifest.

    Returns
    -------
    Message on what was found.

    Raises
    ------
    BundleError
        The bundle must not serve.
    """
    bundle = bundles.load(models / bundles.check_name(name))
    running = open_engine(bundle, engine, precision)
    try:
        logits = running.logits(running.maps(np.zeros((1, bundle.size, bundle.size, 3), np.float32)))
    except (RuntimeError, ValueError) as error:
        raise BundleError(msg("graphs-mismatch", name=name)) from error
    if logits.shape != (1, len(bundle.classes)) or not np.isfinite(softmax(logits, bundle.temperature)).all():
        raise BundleError(
            msg(
                "bad-model-output",
                name=name,
                values=logits.shape[-1],
                classes=len(bundle.classes),
            )
        )
    return f"{name} is whole: checksums agree and it answers for BI-RADS {', '.join(bundle.classes)}."


def check(models: Path, name: str, engine: str, precision: str, *, override: bool = False) -> str:
    """Verify a bundle and ask whether it may serve; takes seconds and changes nothing.

    Parameters
    ----------
    override : an administrator insists, though its protocol forbids

    Returns
    -------
    The objection that is overridden; empty where there is none.

    Raises
    ------
    BundleError, NotForService
        It is not fit to serve.
    """
    verify(models, name, engine, precision)
    found = objection(find(models, name).manifest)
    if found and not override:
        raise NotForService(
            msg(
                "must-not-serve",
                name=name,
                objection=found,
            )
        )
    return found


def promote(models: Path, name: str, overridden: str = "") -> None:
    """Let a bundle serve that :func:`check` found fit; an overridden objection is put on record first."""
    with _turn(models):
        if overridden:
            _record_override(models, name, overridden)
        history.set_current(models, name)


def roll_back(models: Path, expected: str) -> str:
    """Let the model serve again that served before, and give its name; its files are checked first.

    Parameters
    ----------
    expected : name of the model that is meant

    Raises
    ------
    NoModel, BundleError
        There is none, it is damaged, or another one than expected; the current one goes on serving.
    """
    with _turn(models):
        if history.previous(models) != expected:
            raise NoModel(msg("previous-model-changed", name=expected))
        return history.roll_back(models)


def card(models: Path, name: str) -> str:
    """A model's card, with a line for each time it was promoted against its protocol."""
    lines = [
        f"**Promoted on {entry['at']} against its protocol. {entry['objection']}**"
        for entry in _overrides(models)
        if entry["name"] == name
    ]
    return "\n\n".join([find(models, name).card.rstrip(), *lines])


@contextmanager
def _turn(models: Path) -> Iterator[None]:
    """One promotion at a time: each reads the list of names before it replaces it."""
    handle = os.open(models, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
