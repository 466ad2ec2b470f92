"""Registry of models: which bundles exist, which one serves, and how that changes.

The file CURRENT lists the promoted models, oldest first; the last one serves. It is replaced in one step, so that
every reader sees the state before or after a promotion.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.files import atomic, locks
from birads_app.model import bundles
from birads_app.model.bundles import Bundle
from birads_app.model.calibration import softmax
from birads_app.model.engine import open_engine
from birads_app.terms.errors import BundleError, NoModel, NotForService
from birads_app.terms.messages import msg

CURRENT = "CURRENT"
# Beside CURRENT: one JSON line for each promotion against a model's protocol or despite cautions.
OVERRIDES = "OVERRIDES"
_LOCK = ".promoting"

# Name, modification time in ns, size and inode of each file of a bundle.
_Stamps = tuple[tuple[str, int, int, int], ...]
# Bundles that this process verified, with their files' stamps at that time; the oldest are dropped first.
_verified: dict[Path, tuple[_Stamps, Bundle]] = {}
_REMEMBERED = 64


@dataclass(frozen=True)
class ListedModel:
    """A model in the folder.

    bundle : None if it is damaged; ``damage`` then gives the reason, and is empty otherwise
    objection : reason not to promote it; empty if there is none
    serves : True for the model that serves
    """

    name: str
    bundle: Bundle | None
    damage: str
    objection: str
    serves: bool


def list_models(models: Path) -> list[ListedModel]:
    """Return all models by name; files that did not change since they were verified are not read again."""
    serving = promoted(models)[-1:]
    return [_listed(models, name, [name] == serving) for name in bundles.list_names(models)]


def _listed(models: Path, name: str, serves: bool) -> ListedModel:
    try:
        bundle = find(models, name)
    except BundleError as error:
        return ListedModel(name, None, error.message, "", serves)
    return ListedModel(name, bundle, "", objection(bundle.manifest), serves)


def find(models: Path, name: str) -> Bundle:
    """Return a verified bundle; its files are read only if they changed since this process verified them.

    Raises
    ------
    BundleError
        It is missing or damaged.
    """
    folder = models / bundles.check_name(name)
    stamps, bundle = _verified.get(folder, ((), None))
    return bundle if bundle is not None and stamps == _stamps(folder) else _load(folder)


def _load(folder: Path) -> Bundle:
    """Verify the checksums of a bundle and remember it."""
    stamps = _stamps(folder)  # before reading: a file that changes meanwhile has other stamps afterwards
    bundle = bundles.load(folder)
    _verified.pop(folder, None)
    _verified[folder] = stamps, bundle
    for oldest in list(_verified)[:-_REMEMBERED]:
        _verified.pop(oldest, None)
    return bundle


def _stamps(folder: Path) -> _Stamps:
    try:
        states = {entry.name: entry.stat() for entry in os.scandir(folder)}
    except OSError:
        return ()
    return tuple((name, of.st_mtime_ns, of.st_size, of.st_ino) for name, of in sorted(states.items()))


def objection(manifest: dict[str, Any]) -> str:
    """Return the reason not to promote a model, from its manifest; empty if there is none."""
    protocol = manifest.get("protocol")
    if not isinstance(protocol, dict) or protocol.get("may_serve", True):
        return ""
    title = str(protocol.get("title"))
    if manifest.get("leaks"):
        return msg("comparison-model-leaks", title=title)
    return msg("comparison-model", title=title)


def verify(models: Path, name: str, engine: str, precision: str) -> Bundle:
    """Verify a bundle's checksums, and that its graphs run and agree with its manifest; takes seconds.

    Raises
    ------
    BundleError
        The bundle must not serve.
    """
    bundle = _load(models / bundles.check_name(name))
    running = open_engine(bundle, engine, precision)
    try:
        logits = running.predict(np.zeros((1, *bundle.size), np.uint8)).logits
    except (
        RuntimeError,
        ValueError,
        IndexError,
    ) as error:  # the last, if the location head's channel is missing
        raise BundleError(msg("graphs-mismatch", name=name)) from error
    if logits.shape != (1, len(bundle.classes)) or not np.isfinite(softmax(logits, bundle.temperature)).all():
        raise BundleError(
            msg("bad-model-output", name=name, values=logits.shape[-1], classes=len(bundle.classes))
        )
    return bundle


def check(models: Path, name: str, engine: str, precision: str, *, override: bool = False) -> str:
    """Verify a bundle and check that its protocol allows it to serve; changes nothing.

    Parameters
    ----------
    override : an administrator insists, against the protocol

    Returns
    -------
    The objection that is overridden; empty if there is none.

    Raises
    ------
    BundleError
        The bundle must not serve.
    NotForService
        Its protocol forbids it, without ``override``.
    """
    reason = objection(verify(models, name, engine, precision).manifest)
    if reason and not override:
        raise NotForService(msg("must-not-serve", name=name, objection=reason))
    return reason


def promoted(models: Path) -> list[str]:
    """Return the names of promoted models, oldest first; the last one serves.

    Raises
    ------
    BundleError
        The list cannot be read.
    """
    try:
        return (models / CURRENT).read_text("utf-8").split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(msg("current-unreadable", file=str(models / CURRENT))) from error


def current_name(models: Path) -> str:
    """Return the name of the model that serves; raises NoModel if there is none, BundleError as :func:`promoted`."""
    names = promoted(models)
    if not names:
        raise NoModel(msg("model-missing"))
    return bundles.check_name(names[-1])


def previous(models: Path) -> str:
    """Return the name of the model that served before; raises NoModel if there is none."""
    names = promoted(models)
    if len(names) < 2:
        raise NoModel(msg("no-previous-model"))
    return bundles.check_name(names[-2])


def promote(
    models: Path, name: str, overridden: str = "", cautions: Sequence[str] = (), reason: str = ""
) -> None:
    """Let a bundle serve; its files are verified again only if they changed since :func:`check`.

    Parameters
    ----------
    overridden, cautions, reason : the objection of :func:`check`, the model's cautions, and why it is promoted all the
        same; recorded before the model serves

    Raises
    ------
    BundleError
        The bundle is missing or damaged; the current model remains.
    """
    find(models, name)
    with _turn(models):
        if overridden or (cautions and reason):
            _record_override(models, name, overridden, cautions, reason)
        names = promoted(models)
        if names[-1:] != [name]:
            _write_promoted(models, [*names, name])


def roll_back(models: Path, expected: str | None = None) -> str:
    """Let the previous model serve again and return its name.

    Parameters
    ----------
    expected : the previous model's name, as the caller saw it; any by default

    Raises
    ------
    NoModel, BundleError
        There is no previous model, it is damaged, or it is not the expected one; the current model remains.
    """
    with _turn(models):
        name = previous(models)
        if expected not in (None, name):
            raise NoModel(msg("previous-model-changed", name=str(expected)))
        find(models, name)
        _write_promoted(models, promoted(models)[:-1])
    return name


def remove(models: Path, name: str) -> None:
    """Delete a bundle, and forget that it was promoted once.

    Raises
    ------
    NotForService
        It serves.
    BundleError
        There is none, or its folder cannot be changed.
    """
    folder = models / bundles.check_name(name)
    with _turn(models):
        names = promoted(models)
        if names[-1:] == [name]:
            raise NotForService(msg("model-serves", name=name))
        if not (folder / bundles.MANIFEST).is_file():
            raise BundleError(msg("bundle-missing", name=name))
        if name in names:
            others = [one for one in names if one != name]
            _write_promoted(models, [one for one, _ in groupby(others)])
        hidden = models / f".deleted-{name}"
        shutil.rmtree(hidden, ignore_errors=True)
        try:
            folder.rename(hidden)
        except OSError as error:
            raise BundleError(
                msg("models-not-writable", folder=str(models), reason=str(error.strerror))
            ) from error
    shutil.rmtree(hidden, ignore_errors=True)
    _verified.pop(folder, None)


def card(models: Path, name: str) -> str:
    """Return a model's card, with a line for each promotion against its protocol or despite its cautions."""
    lines = [_override_line(entry) for entry in _overrides(models) if entry["name"] == name]
    return "\n\n".join([find(models, name).card.rstrip(), *lines])


def _override_line(entry: dict[str, str]) -> str:
    against = f"against its protocol. {entry['objection']}" if entry["objection"] else "despite its cautions."
    found = " ".join(filter(None, [against, entry.get("cautions")]))
    reason = f" Reason given: {entry['reason']}" if entry.get("reason") else ""
    return f"**Promoted on {entry['at']} {found}**{reason}"


def _turn(models: Path) -> AbstractContextManager[None]:
    """Serialise promotions: each reads the list of names before it replaces it."""
    return locks.exclusive(models / _LOCK, remove=True)


def _write_promoted(models: Path, names: list[str]) -> None:
    atomic.write(models / CURRENT, "".join(f"{name}\n" for name in names), sync=True)


def _record_override(models: Path, name: str, objection: str, cautions: Sequence[str], reason: str) -> None:
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": name,
        "objection": objection,
        "cautions": " ".join(cautions),
        "reason": " ".join(reason.split()),
    }
    with (models / OVERRIDES).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
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
