"""Trainings that the browser starts: ``flask train`` in processes of their own, which outlive the web server.

``instance/trainings/`` holds the file ``running``, locked by the process of the one training that runs, and a
folder for each training:

    training.json   what was asked for, and by whom
    log.txt         what it printed
    progress.json   how far it is (:mod:`training.progress` says what is in it)
"""

import fcntl
import importlib.util
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from flask import current_app

from birads_app.config import Settings
from birads_app.model import bundles
from birads_app.records import audit_log
from birads_app.records.errors import NotFound, TrainingRefused
from birads_app.terms.messages import msg

_PROJECT = Path(__file__).resolve().parents[2]
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_NICENESS = 10  # readers come first
_PATIENCE_S = 5.0
_TAIL_BYTES, _TAIL_LINES = 16_384, 40
# What TensorFlow says about the machine whenever it starts.
_NOISE = re.compile(r"[IWE]\d{4} \d\d:|WARNING: All log messages before absl")
_FOLDERS_SHOWN = 200


class State(StrEnum):
    """Where a training stands."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class Training:
    """What was asked for.

    name : of the new model
    data : the folder, or None for synthetic images
    options : of ``flask train`` besides, by their names there
    who : name of the account that started it
    """

    id: str
    name: str
    data: str | None
    options: dict[str, str]
    who: str

    @property
    def started(self) -> datetime:
        """When, in UTC."""
        return datetime.strptime(self.id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Standing:
    """How a training stands now.

    error : why it failed, in one line; empty where it did not
    resumable : True where it can go on
    progress : what :mod:`training.progress` wrote last; empty before that
    log : the last lines that it printed
    """

    state: State
    error: str
    resumable: bool
    progress: dict[str, Any]
    log: str


def possible() -> bool:
    """True where training is installed: the image of the web application alone has no TensorFlow."""
    return "train" in current_app.cli.commands and importlib.util.find_spec("tensorflow") is not None


def options() -> dict[str, click.Parameter]:
    """The options of ``flask train`` by name, with their types and defaults."""
    return {str(option.name): option for option in current_app.cli.commands["train"].params}


def choices(option: Any) -> list[str]:
    """What an option of ``flask train`` may be; empty where that is no list."""
    if isinstance(option.type, click.Choice):
        return list(option.type.choices)
    return option.metavar.split("|") if "|" in (option.metavar or "") else []


def folders() -> list[str]:
    """Folders to choose from: those that the settings name, and the ones directly inside."""
    found = []
    for root in _settings().training_roots:
        with suppress(OSError):
            inside = sorted(entry.path for entry in os.scandir(root) if entry.is_dir())
            found += [str(root), *inside]
    return found[:_FOLDERS_SHOWN]


def data_folder(text: str) -> str:
    """The folder or table that somebody names, resolved; raises TrainingRefused outside of what is allowed."""
    roots = _settings().training_roots
    path = Path(text).absolute().resolve()
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise TrainingRefused(
            msg(
                "training-folder-not-allowed",
                folder=text,
                roots=", ".join(map(str, roots)) or "–",
            )
        )
    if not path.exists():
        raise TrainingRefused(msg("training-folder-missing", folder=text))
    return str(path)


def start(name: str, data: str | None, chosen: Mapping[str, str], who: str) -> Training:
    """Start a training.

    Parameters
    ----------
    data : as :func:`data_folder` gave it, or None for synthetic images
    chosen : options of ``flask train`` by name; flags are ``yes`` or ``no``, and what is empty is left out

    Raises
    ------
    BundleError, TrainingRefused
        The name cannot be a model's or is taken, or another training runs.
    """
    if (_settings().models / bundles.check_name(name)).exists():
        raise TrainingRefused(msg("training-name-taken", name=name))
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    training = Training(f"{moment}-{secrets.token_hex(3)}", name, data, dict(chosen), who)
    arguments = [_argument(key, value) for key, value in training.options.items() if value]
    source = [f"--data={data}"] if data else []
    with _Turn() as turn:
        _keep(training)
        audit_log.note(who, "start training", name)
        turn.launch(training, [*source, *arguments])
    return training


def resume(training: Training, who: str) -> None:
    """Go on with a training that was stopped; raises TrainingRefused where there is nothing to go on with."""
    if not standing(training).resumable:
        raise TrainingRefused(msg("training-not-resumable", name=training.name))
    with _Turn() as turn:
        audit_log.note(who, "resume training", training.name)
        turn.launch(training, ["--resume"])


def stop(training: Training, who: str) -> None:
    """End the training's processes, politely first; raises TrainingRefused where it does not run."""
    runs = _running()
    if not runs or runs.get("id") != training.id or not runs.get("pid"):
        raise TrainingRefused(msg("training-not-running", name=training.name))
    for sent in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(int(runs["pid"]), sent)
        if _ended():
            break
    audit_log.note(who, "stop training", training.name)


def listing() -> list[Training]:
    """All trainings, newest first."""
    names = sorted((path.name for path in _root().iterdir() if _ID.fullmatch(path.name)), reverse=True)
    return [_read(name) for name in names]


def get(training_id: str) -> Training:
    """A training; raises NotFound."""
    if not _ID.fullmatch(training_id) or not (_root() / training_id).is_dir():
        raise NotFound(msg("training-missing"))
    return _read(training_id)


def running() -> Training | None:
    """The training that runs now."""
    runs = _running()
    return get(runs["id"]) if runs and "id" in runs else None


def newest(limit: int) -> list[tuple[Training, Standing]]:
    """The last trainings and how each stands, newest first."""
    found: list[tuple[Training, Standing]] = []
    names: set[str] = set()
    for training in listing()[:limit]:
        found.append((training, _standing(training, last=training.name not in names)))
        names.add(training.name)
    return found


def standing(training: Training) -> Standing:
    """How a training stands."""
    named_so = (one for one in listing() if one.name == training.name)
    return _standing(training, last=next(named_so).id == training.id)


def _standing(training: Training, last: bool) -> Standing:
    """How it stands; what lies under the model's name belongs to the ``last`` training of it."""
    log = _tail(_folder(training) / "log.txt")
    state, error = _state(training, last, log)
    left = Path(current_app.instance_path) / "training" / training.name / "settings.json"
    resumable = last and state in (State.STOPPED, State.FAILED) and left.is_file()
    return Standing(state, error, resumable, _json(_folder(training) / "progress.json"), log)


def _state(training: Training, last: bool, log: str) -> tuple[State, str]:
    """Where it stands, and why where it failed. Nobody waits for the process, so what it left has to tell."""
    if (_running() or {}).get("id") == training.id:
        return State.RUNNING, ""
    if last and (_settings().models / training.name / bundles.MANIFEST).is_file():
        return State.FINISHED, ""
    line = next((line for line in reversed(log.splitlines()) if line.strip()), "")
    if not line.startswith("Error: ") or line.startswith("Error: Interrupted."):
        return State.STOPPED, ""
    return State.FAILED, line.removeprefix("Error: ")


def _argument(name: str, value: str) -> str:
    """An option of ``flask train`` as one argument, so that no value can be taken for another option."""
    option = name.replace("_", "-")
    if getattr(options()[name], "is_flag", False):
        return f"--{option}" if value == "yes" else f"--no-{option}"
    return f"--{option}={value}"


class _Turn:
    """The one place in which a training may run. Its process inherits the lock, which ends with it."""

    def __enter__(self) -> "_Turn":
        self._handle = os.open(_root() / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(10):  # somebody may be looking whether one runs
            with suppress(BlockingIOError):
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            time.sleep(0.05)
        os.close(self._handle)
        raise TrainingRefused(msg("training-busy"))

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def launch(self, training: Training, arguments: list[str]) -> None:
        """Start ``flask train`` in a session of its own, with low priority and these settings."""
        self._note({"id": training.id})
        progress = _folder(training) / "progress.json"
        progress.unlink(missing_ok=True)
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "train"]
        with (_folder(training) / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [*command, f"--name={training.name}", f"--progress={progress}", *arguments],
                cwd=_PROJECT,
                env={**current_app.extensions["birads_environment"], "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(self._handle,),
            )
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        self._note({"id": training.id, "pid": process.pid})

    def _note(self, what: dict[str, Any]) -> None:
        data = json.dumps(what).encode()
        os.pwrite(self._handle, data, 0)
        os.ftruncate(self._handle, len(data))


def _running() -> dict[str, Any] | None:
    """Id and process of the training that runs; None where none does."""
    try:
        handle = os.open(_root() / "running", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _json(_root() / "running")
    finally:
        os.close(handle)
    return None


def _ended() -> bool:
    """Wait a few seconds for the running training to end; True where it has."""
    deadline = time.monotonic() + _PATIENCE_S
    while _running() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _root() -> Path:
    folder = Path(current_app.instance_path) / "trainings"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _folder(training: Training) -> Path:
    return _root() / training.id


def _keep(training: Training) -> None:
    """Write down what was asked for; the folder appears whole."""
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=_root()))
    (draft / "training.json").write_text(json.dumps(asdict(training)), "utf-8")
    (draft / "log.txt").touch()
    draft.rename(_folder(training))


def _read(training_id: str) -> Training:
    return Training(**json.loads((_root() / training_id / "training.json").read_text("utf-8")))


def _tail(path: Path) -> str:
    """The last lines of a log, without TensorFlow's own."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = stream.read().decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if not _NOISE.match(line)]
    return "\n".join(lines[-_TAIL_LINES:])


def _json(path: Path) -> dict[str, Any]:
    """What a file says; empty where it is missing or not complete yet."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _settings() -> Settings:
    settings: Settings = current_app.extensions["birads_settings"]
    return settings
