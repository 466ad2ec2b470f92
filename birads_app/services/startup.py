"""Preparations when serving starts, done once for any number of worker processes."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import Flask, current_app
from sqlalchemy.exc import OperationalError

from birads_app.config import SettingsError
from birads_app.monitoring import instruments
from birads_app.records import (
    disk_space,
    exams,
    file_store,
    files,
    jobs,
    migrate,
    session_key,
    setup,
    shared_locks,
    site_keys,
    upload_store,
)
from birads_app.services import housekeeping
from birads_app.services.service_errors import in_one_line
from birads_app.terms.errors import BiradsError, ModelError

log = logging.getLogger(__name__)


def start(app: Flask) -> bool:
    """Prepare for serving; return False, and do nothing, under commands other than ``flask run``.

    Raises
    ------
    SettingsError
        Something that the settings name cannot be used: database, Redis, files, a key.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.info_name != "run":
        return False
    with app.app_context(), refusing():
        if not migrate.can_serve():
            log.error("The database is not prepared. Run `flask db upgrade`, then start again.")
            return False
        join()
        with shared_locks.of_app().join("web.lock") as first:
            session_key.compare(first)
            if first:
                _offer_setup()
    instruments.count_start("web")
    housekeeping.start(app)
    if app.extensions["birads_settings"].compute_tier == "local":
        prepare_model(app)
    app.extensions["birads_derivation"].start()
    log.info("Worker %d is ready", os.getpid())
    return True


@contextmanager
def refusing() -> Iterator[None]:
    """Raise SettingsError, in one line, where the block cannot use what the settings name."""
    try:
        yield
    except (BiradsError, OperationalError) as error:
        raise SettingsError(in_one_line(error)) from error
    except OSError as error:
        if error.errno not in disk_space.READ_ONLY:
            raise
        raise SettingsError(
            f"The disk of {current_app.instance_path} is read-only. Make it writable, then start again."
        ) from error


def join() -> None:
    """Clean up after a crash, and register this process as one that stores exams until it ends.

    Raises
    ------
    SettingsError
        The database is encrypted with another site key.
    FilesUnavailable, SharedStateUnavailable
        The bucket or Redis cannot be used.
    """
    site_keys.check()
    file_store.check()
    with shared_locks.of_app().join("serving.lock") as first:
        if first:
            abandoned_s = file_store.of_app().abandoned_s
            files.remove_leftovers(exams.has_files, abandoned_s)
            upload_store.of_app().remove_leftovers(jobs.files(), abandoned_s)
        else:
            files.remove_orphaned_drafts()


def prepare_model(app: Flask) -> None:
    """Load the model and what reads files now, so that the first user does not wait for them."""
    try:
        app.extensions["birads_compute"].start()
        predictor = app.extensions["birads_models"].get()
    except ModelError as error:
        log.warning("Serving without a model: %s", error)
    else:
        log.info("Model %s serves", predictor.bundle.name)


def _offer_setup() -> None:
    """Print the token for the set-up page while there is no account."""
    if setup.is_open():
        message = (
            "\nNobody has an account yet. Open /setup in the browser to create the administrator,\n"
            f"with this token:\n\n    {setup.issue()}\n"
        )
        print(message, file=sys.stderr, flush=True)
