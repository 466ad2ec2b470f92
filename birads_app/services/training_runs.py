"""Trainings started from the browser: ``flask train`` in processes of their own, which outlive the web server.

``instance/trainings/`` holds the file ``running``, which the process of the running training keeps locked, and a
folder for each training:

    training.json   its settings, and the account that started it
    log.txt         its output
    progress.json   its state and progress, written by its process; :mod:`training.progress` describes the format

A process that is killed cannot write its end: its state still says ``running`` although the lock is free. Such a
training counts as interrupted.
"""

import importlib.util
import json
import os
import re
import secrets
import signal
import subprocess
import sys
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
from birads_app.files import atomic, locks
from birads_app.model import bundles
from birads_app.records import audit_log, exams
from birads_app.records.errors import NotFound, TrainingRefused
from birads_app.services import datasets
from birads_app.terms.messages import msg

_PROJECT = Path(__file__).resolve().parents[2]
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "BIRADS_LOG_FORMAT": "plain"}  # people read the log
_NICENESS = 10  # readers come first
_PATIENCE_S = 5.0
_TAIL_BYTES, _TAIL_LINES = 16_384, 40
# Lines about the machine that TensorFlow prints whenever it starts.
_NOISE = re.compile(r"[IWE]\d{4} \d\d:|WARNING: All log messages before absl")
_FOLDERS_SHOWN = 200
_STATE_FILE = "progress.json"
# Options that trainings of earlier versions keep under other names.
_FORMER_OPTIONS = {"traps": "sanity_checks", "images": "report_images"}


class State(StrEnum):
    """State of a training, as its process writes it."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Training:
    """A training and its settings.

    name : name of the new model
    data : the folder or label table; None for synthetic images
    options : other options of ``flask train``, by their names there
    who : name of the account that started it
    """

    id: str
    name: str
    data: str | None
    options: dict[str, str]
    who: str

    @property
    def started(self) -> datetime:
        """Start time in UTC, from the id."""
        return datetime.strptime(self.id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Standing:
    """State and progress of a training at one moment.

    reason : why it failed or was interrupted, in one line; else empty
    resumable : True if the training can be resumed
    progress : content of its state file; empty before the process has written it
    log : last lines of its output
    """

    state: State
    reason: str
    resumable: bool
    progress: dict[str, Any]
    log: str


def possible() -> bool:
    """True if training is installed; the image of the web application alone has no TensorFlow."""
    return "train" in current_app.cli.commands and importlib.util.find_spec("tensorflow") is not None


def options() -> dict[str, click.Parameter]:
    """The options of ``flask train`` by name, with their types and defaults."""
    return {str(option.name): option for option in current_app.cli.commands["train"].params}


def choices(option: Any) -> list[str]:
    """Return the choices of an option of ``flask train``; empty if it takes free values."""
    if isinstance(option.type, click.Choice):
        return list(option.type.choices)
    return option.metavar.split("|") if "|" in (option.metavar or "") else []


def folders() -> list[str]:
    """List the folders to choose from: those in the settings and the ones directly inside them."""
    found = []
    for root in datasets.roots():
        with suppress(OSError):
            inside = sorted(entry.path for entry in os.scandir(root) if _is_shown(entry))
            found += [str(root), *inside]
    return found[:_FOLDERS_SHOWN]


def _is_shown(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def data_folder(text: str) -> str:
    """Resolve the path of a folder or label table; raise TrainingRefused if it is outside the allowed folders."""
    roots = datasets.roots()
    path = Path(text).absolute().resolve()
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise TrainingRefused(
            msg(
                "training-folder-not-allowed",
                folder=text,
                roots=", ".join(map(str, _settings().training_data_dirs)) or "–",
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
    chosen : options of ``flask train`` by name; flags are ``yes`` or ``no``, empty values are left out

    Raises
    ------
    BundleError, TrainingRefused
        The name is not valid or is taken, or another training runs.
    """
    if (_settings().models / bundles.check_name(name)).exists():
        raise TrainingRefused(msg("training-name-taken", name=name))
    if exams.of_model(name):
        raise TrainingRefused(msg("model-name-of-exams", name=name))
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    training = Training(f"{moment}-{secrets.token_hex(3)}", name, data, dict(chosen), who)
    arguments = [_argument(key, value) for key, value in training.options.items() if value]
    source = [f"--data={data}"] if data else []
    with _TrainingLock() as lock:
        _save(training)
        audit_log.log(who, "start training", name)
        lock.launch(training, [*source, *arguments])
    return training


def resume(training: Training, who: str) -> None:
    """Resume an interrupted or failed training; raise TrainingRefused if there is nothing to resume."""
    if not standing(training).resumable:
        raise TrainingRefused(msg("training-not-resumable", name=training.name))
    with _TrainingLock() as lock:
        audit_log.log(who, "resume training", training.name)
        lock.launch(training, ["--resume"])


def stop(training: Training, who: str) -> None:
    """End the training's processes, by SIGINT and then SIGKILL; raise TrainingRefused if it does not run."""
    runs = _running()
    if not runs or runs.get("id") != training.id or not runs.get("pid"):
        raise TrainingRefused(msg("training-not-running", name=training.name))
    for sent in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(int(runs["pid"]), sent)
        if _ended():
            break
    state_file = _folder(training) / _STATE_FILE
    if not state_file.exists():  # stopped before the process could write its state
        state_file.write_text(json.dumps({"state": State.INTERRUPTED}), "utf-8")
    audit_log.log(who, "stop training", training.name)


def listing() -> list[Training]:
    """List all trainings, newest first."""
    return [_read(name) for name in sorted(_ids(), reverse=True)]


def count() -> int:
    """Return the number of trainings that were started, whatever became of them."""
    return len(_ids())


def get(training_id: str) -> Training:
    """Return a training; raise NotFound if there is none with this id."""
    if not _ID.fullmatch(training_id) or not (_root() / training_id).is_dir():
        raise NotFound(msg("training-missing"))
    return _read(training_id)


def running() -> Training | None:
    """Return the training that runs now, or None."""
    runs = _running()
    return get(runs["id"]) if runs and "id" in runs else None


def newest(limit: int) -> list[tuple[Training, Standing]]:
    """List the last trainings with their states, newest first."""
    found: list[tuple[Training, Standing]] = []
    names: set[str] = set()
    for training in listing()[:limit]:
        found.append((training, _standing(training, last=training.name not in names)))
        names.add(training.name)
    return found


def standing(training: Training) -> Standing:
    """Return the state and progress of a training."""
    same_name = (one for one in listing() if one.name == training.name)
    return _standing(training, last=next(same_name).id == training.id)


def _standing(training: Training, last: bool) -> Standing:
    """Read the state; bundle and run directory of the model's name belong to the ``last`` training of that name."""
    progress = _json(_folder(training) / _STATE_FILE)
    state, reason = _state(training, last, progress)
    settings = Path(current_app.instance_path) / "training" / training.name / "settings.json"
    resumable = last and state in (State.INTERRUPTED, State.FAILED) and settings.is_file()
    return Standing(state, reason, resumable, progress, _tail(_folder(training) / "log.txt"))


def _state(training: Training, last: bool, progress: Mapping[str, Any]) -> tuple[State, str]:
    """Return state and reason; a process that holds no lock any more does not run, whatever it wrote last."""
    if (_running() or {}).get("id") == training.id:
        return State.RUNNING, ""
    if not progress:
        return State.FAILED, "The process ended before the training began; see the log."
    if "state" not in progress:  # of a version that wrote the progress alone
        is_written = last and (_settings().models / training.name / bundles.MANIFEST).is_file()
        return (State.FINISHED if is_written else State.INTERRUPTED), ""
    state = State(progress["state"])
    if state == State.RUNNING:
        return State.INTERRUPTED, "The process was killed, or the server went down."
    return state, progress.get("reason", "")


def _argument(name: str, value: str) -> str:
    """An option of ``flask train`` as one argument, so that no value can be taken for another option."""
    option = name.replace("_", "-")
    if getattr(options()[name], "is_flag", False):
        return f"--{option}" if value == "yes" else f"--no-{option}"
    return f"--{option}={value}"


class _TrainingLock:
    """Lock that lets one training run at a time; its process inherits the lock and releases it by ending."""

    def __enter__(self) -> "_TrainingLock":
        handle = locks.inheritable(_root() / "running")
        if handle is None:
            raise TrainingRefused(msg("training-busy"))
        self._handle = handle
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def launch(self, training: Training, arguments: list[str]) -> None:
        """Start ``flask train`` in a session of its own, with low priority and these settings."""
        self._record({"id": training.id})
        state_file = _folder(training) / _STATE_FILE
        state_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "train"]
        with (_folder(training) / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [*command, f"--name={training.name}", f"--progress={state_file}", *arguments],
                cwd=_PROJECT,
                env={**current_app.extensions["birads_environment"], **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(self._handle,),
            )
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        self._record({"id": training.id, "pid": process.pid})

    def _record(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        os.pwrite(self._handle, data, 0)
        os.ftruncate(self._handle, len(data))


def _running() -> dict[str, Any] | None:
    """Return id and process id of the running training, or None."""
    path = _root() / "running"
    return _json(path) if locks.is_held(path) else None


def _ended() -> bool:
    """Wait a few seconds for the running training to end; True if it has."""
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


def _ids() -> list[str]:
    return [path.name for path in _root().iterdir() if _ID.fullmatch(path.name)]


def _folder(training: Training) -> Path:
    return _root() / training.id


def _save(training: Training) -> None:
    """Create the folder of a training in one step."""
    with atomic.new_folder(_folder(training), mode=0o700, prefix=".draft-") as draft:
        (draft / "training.json").write_text(json.dumps(asdict(training)), "utf-8")
        (draft / "log.txt").touch()


def _read(training_id: str) -> Training:
    content = json.loads((_root() / training_id / "training.json").read_text("utf-8"))
    options = {_FORMER_OPTIONS.get(name, name): value for name, value in content["options"].items()}
    return Training(**{**content, "options": options})


def _tail(path: Path) -> str:
    """Return the last lines of a log, without TensorFlow's own."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = stream.read().decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if not _NOISE.match(line)]
    return "\n".join(lines[-_TAIL_LINES:])


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if the file is missing or incomplete."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _settings() -> Settings:
    settings: Settings = current_app.extensions["birads_settings"]
    return settings
