"""Promote and roll back as people do it, with the reason on record; the page and the command share this way."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app

from birads_app.config import Settings
from birads_app.model import history, registry
from birads_app.records import audit_log, database, migrate
from birads_app.records.users import CONSOLE


def promote(name: str, who: str = CONSOLE, reason: str = "", *, override: bool = False) -> None:
    """Verify a model, which takes seconds, then let it serve.

    Parameters
    ----------
    override : let it serve though its protocol forbids; that is put on record as well

    Raises
    ------
    BundleError, NotForService
        It is not fit to serve, and nothing changes.
    """
    settings = _settings()
    objection = registry.check(settings.models, name, settings.engine, settings.precision, override=override)
    with _on_record(who, "promote against protocol" if objection else "promote model", name, reason):
        registry.promote(settings.models, name, objection)


def roll_back(who: str = CONSOLE, reason: str = "", name: str | None = None) -> str:
    """Verify the model that served before, let it serve again, and give its name.

    Parameters
    ----------
    name : of the model that is meant; whichever served before without it

    Raises
    ------
    NoModel, BundleError
        There is none, it is damaged, or another one than meant; the current one goes on serving.
    """
    settings = _settings()
    name = name or history.previous(settings.models)
    registry.verify(settings.models, name, settings.engine, settings.precision)
    with _on_record(who, "roll back to model", name, reason):
        return registry.roll_back(settings.models, name)


def _settings() -> Settings:
    settings: Settings = current_app.extensions["birads_settings"]
    return settings


@contextmanager
def _on_record(who: str, action: str, name: str, reason: str) -> Iterator[None]:
    """Do it and write it down, both or neither; on a machine that only trains there is no list to write to."""
    if not (database.exists() and migrate.is_current()):
        yield
        return
    with database.writing() as current:
        audit_log.add(current, who, action, name, reason)
        yield
