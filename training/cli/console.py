"""Errors in one line, and the places of the settings, for all training commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import current_app

if TYPE_CHECKING:
    from training.config import Site
    from training.pipeline.run_directory import RunDirectory


@contextmanager
def one_line_errors(name: str = "") -> Iterator[None]:
    """Turn an expected error into one line on stderr and exit status 1; ``name`` is the new model's."""
    from birads_app.terms.errors import BiradsError

    try:
        yield
    except (BiradsError, OSError, KeyboardInterrupt) as error:
        raise click.ClickException(one_line(error, name)) from error


def one_line(error: BaseException, name: str = "") -> str:
    """Return an error as one line for the user; ``name`` is that of a new model."""
    from birads_app.terms.errors import BiradsError

    if isinstance(error, KeyboardInterrupt):
        return _interrupted(name)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}. No model was written."
    if isinstance(error, BiradsError | click.ClickException):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _interrupted(name: str) -> str:
    """Describe what an interrupt left, and how to continue."""
    if name and (Path(settings().models) / name).exists():
        return (
            f"Interrupted. The model {name} is complete; `flask models list` shows which one is in service."
        )
    line = "Interrupted. No model was written; the one in service is unchanged."
    if name and run_directory_of(name).exists:
        line += f" To continue: flask train --resume --name {name}"
    return line


def settings() -> Any:
    """Return the application's settings."""
    return current_app.extensions["birads_settings"]


def site() -> "Site":
    """Return the folders and the engine of the settings."""
    from training.config import Site

    chosen = settings()
    return Site(
        models=Path(chosen.models),
        cache=Path(chosen.instance) / "cache",
        engine=chosen.engine,
        precision=chosen.precision,
        work=Path(chosen.instance) / "training",
    )


def run_directory_of(name: str) -> "RunDirectory":
    """Return the run directory of a training; raises BundleError for an invalid name."""
    from birads_app.model.bundles import check_name
    from training.pipeline.run_directory import RunDirectory

    return RunDirectory(Path(settings().instance) / "training" / check_name(name))
