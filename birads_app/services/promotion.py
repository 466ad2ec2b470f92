"""Promotion and roll-back with an audit entry, for the page and the command alike."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app

from birads_app.config import Settings
from birads_app.model import registry
from birads_app.records import audit_log, database, migrate
from birads_app.records.users import CONSOLE
from birads_app.terms.errors import NotForService
from birads_app.terms.messages import join, msg


def promote(name: str, who: str = CONSOLE, reason: str = "", *, override: bool = False) -> None:
    """Verify a model, which takes seconds, then let it serve.

    Parameters
    ----------
    reason : has to be given for a model with cautions (:mod:`birads_app.model.cautions`) or against its protocol; the
        model card keeps it
    override : promote it against its protocol

    Raises
    ------
    BundleError, NotForService
        It must not serve, or the reason is missing; nothing changes.
    """
    settings = _settings()
    objection = registry.check(settings.models, name, settings.engine, settings.precision, override=override)
    cautions = registry.find(settings.models, name).cautions
    against = [objection, *cautions] if objection else list(cautions)
    if against and not reason.strip():
        raise NotForService(msg("promotion-needs-reason", name=name, cautions=join(against)))
    action = "promote despite cautions" if cautions else "promote model"
    with audited_change(who, "promote against protocol" if objection else action, name, reason):
        registry.promote(settings.models, name, objection, cautions, reason)


def roll_back(who: str = CONSOLE, reason: str = "", name: str | None = None) -> str:
    """Verify the previous model, let it serve again, and return its name.

    Parameters
    ----------
    name : expected name of the previous model; any by default

    Raises
    ------
    NoModel, BundleError
        There is no previous model, it is damaged, or it is not the expected one; the current model remains.
    """
    settings = _settings()
    name = name or registry.previous(settings.models)
    registry.verify(settings.models, name, settings.engine, settings.precision)
    with audited_change(who, "roll back to model", name, reason):
        return registry.roll_back(settings.models, name)


def _settings() -> Settings:
    settings: Settings = current_app.extensions["birads_settings"]
    return settings


@contextmanager
def audited_change(who: str, action: str, name: str, reason: str) -> Iterator[None]:
    """Keep the change and its audit entry, or neither; without a database, as for training alone, no entry."""
    if not (database.of_app().exists() and migrate.is_current()):
        yield
        return
    with database.writing() as current:
        audit_log.add(current, who, action, name, reason)
        current.flush()  # takes the write lock, so that a busy or full database stops the change before it is made
        yield
