"""One-line errors, settings and folders of the training commands."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import current_app

from birads_app.cli.console_errors import one_line_errors
from birads_app.files import atomic

if TYPE_CHECKING:
    from training.config import Site
    from training.pipeline.run_directory import RunDirectory


@contextmanager
def training_errors(name: str = "") -> Iterator[None]:
    """Report expected errors, full disks and interrupts as one line on stderr and exit status 1.

    A closed pipe passes, as of ``flask evaluate | head``: click ends the command without a message.

    Parameters
    ----------
    name : name of the new model, for the hint at ``--resume``
    """
    with one_line_errors():
        try:
            yield
        except BrokenPipeError:
            raise
        except (OSError, KeyboardInterrupt) as error:
            raise click.ClickException(one_line(error, name)) from error


def one_line(error: BaseException, name: str = "") -> str:
    """Describe an error in one line; ``name`` is the name of the new model, if the command writes one."""
    from birads_app.terms.errors import BiradsError

    if isinstance(error, KeyboardInterrupt):
        return _interrupted(name)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}." + (" No model was written." if name else "")
    if isinstance(error, BiradsError | click.ClickException):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _interrupted(name: str) -> str:
    """Describe the state after an interrupt, and how to continue."""
    if not name:
        return "Interrupted."
    if (Path(settings().models) / name).exists():
        return (
            f"Interrupted. The model {name} is complete; `flask models list` shows which one is in service."
        )
    line = "Interrupted. No model was written; the one in service is unchanged."
    if run_directory_of(name).exists:
        line += f" To continue: flask train --resume --name {name}"
    return line


def settings() -> Any:
    """Return the application's settings."""
    return current_app.extensions["birads_settings"]


def site(scheduler: str | None = None) -> "Site":
    """Return the folders and the engine of the settings, and the cluster that a command names."""
    from birads_app.services import patient_digests
    from training.config import Site

    configured = settings()
    return Site(
        models=Path(configured.models),
        cache=Path(configured.instance) / "cache",
        engine=configured.engine,
        precision=configured.precision,
        work=Path(configured.instance) / "training",
        patient_digest=patient_digests.keyed(),
        scheduler=scheduler,
    )


def run_directory_of(name: str) -> "RunDirectory":
    """Return the run directory of a training; raises BundleError for an invalid name."""
    from birads_app.model.bundles import check_name
    from training.pipeline.run_directory import RunDirectory

    return RunDirectory(Path(settings().instance) / "training" / check_name(name))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a report as a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write a report whole or not at all."""
    with atomic.replacing(path) as draft:
        draft.write_text(content, "utf-8")
