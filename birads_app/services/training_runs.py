"""Trainings started from the browser: ``flask train`` in a process of its own.

``instance/trainings/`` has a folder for each training:

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
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from flask import current_app

from birads_app.config import Settings
from birads_app.files import atomic
from birads_app.model import bundles
from birads_app.records import audit_log, exams
from birads_app.records.errors import NotFound, TrainingRefused
from birads_app.services import background_commands
from birads_app.services.background_commands import RUN_ID, CommandLock, read_json, run_ids
from birads_app.terms.messages import msg
from birads_app.terms.translation import N_

_PATIENCE_S = 5.0
_TAIL_BYTES, _TAIL_LINES = 16_384, 40
# Lines about the machine that TensorFlow prints whenever it starts.
_NOISE = re.compile(r"[IWE]\d{4} \d\d:|WARNING: All log messages before absl")
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
        return background_commands.started(self.id)


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


def start(name: str, data: str | None, chosen: Mapping[str, str], who: str) -> Training:
    """Start a training.

    Parameters
    ----------
    data : as :func:`birads_app.services.datasets.data_folder` gave it, or None for synthetic images
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
    training = Training(background_commands.new_id(), name, data, dict(chosen), who)
    arguments = [_argument(key, value) for key, value in training.options.items() if value]
    source = [f"--data={data}"] if data else []
    with _lock() as lock:
        _save(training)
        audit_log.log(who, "start training", name)
        _launch(lock, training, [*source, *arguments])
    return training


def resume(training: Training, who: str) -> None:
    """Resume an interrupted or failed training; raise TrainingRefused if there is nothing to resume."""
    if not standing(training).resumable:
        raise TrainingRefused(msg("training-not-resumable", name=training.name))
    with _lock() as lock:
        audit_log.log(who, "resume training", training.name)
        _launch(lock, training, ["--resume"])


def stop(training: Training, who: str) -> None:
    """End the training's processes, by SIGINT and then SIGKILL; raise TrainingRefused if it does not run."""
    runs = background_commands.running(_root())
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
    return [_read(run_id) for run_id in run_ids(_root())]


def count() -> int:
    """Return the number of trainings that were started, whatever became of them."""
    return len(run_ids(_root()))


def get(training_id: str) -> Training:
    """Return a training; raise NotFound if there is none with this id."""
    if not RUN_ID.fullmatch(training_id) or not (_root() / training_id).is_dir():
        raise NotFound(msg("training-missing"))
    return _read(training_id)


def running() -> Training | None:
    """Return the training that runs now, or None."""
    runs = background_commands.running(_root())
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
    progress = read_json(_folder(training) / _STATE_FILE)
    state, reason = _state(training, last, progress)
    settings = Path(current_app.instance_path) / "training" / training.name / "settings.json"
    resumable = last and state in (State.INTERRUPTED, State.FAILED) and settings.is_file()
    return Standing(state, reason, resumable, progress, _tail(_folder(training) / "log.txt"))


def _state(training: Training, last: bool, progress: Mapping[str, Any]) -> tuple[State, str]:
    """Return state and reason; a process that holds no lock any more does not run, whatever it wrote last."""
    if (background_commands.running(_root()) or {}).get("id") == training.id:
        return State.RUNNING, ""
    if not progress:
        return State.FAILED, N_("The process ended before the training began; see the log.")
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


def _lock() -> CommandLock:
    return CommandLock(_root(), TrainingRefused(msg("training-busy")))


def _launch(lock: CommandLock, training: Training, arguments: list[str]) -> None:
    """Start ``flask train`` for a training."""
    folder = _folder(training)
    state_file = folder / _STATE_FILE
    state_file.unlink(missing_ok=True)
    given = ["train", f"--name={training.name}", f"--progress={state_file}", *arguments]
    lock.launch(training.id, given, folder / "log.txt")


def _ended() -> bool:
    """Wait a few seconds for the running training to end; True if it has."""
    deadline = time.monotonic() + _PATIENCE_S
    while background_commands.running(_root()) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _root() -> Path:
    return background_commands.folder("trainings")


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


def _settings() -> Settings:
    settings: Settings = current_app.extensions["birads_settings"]
    return settings
