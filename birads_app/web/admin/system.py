"""Settings with their sources, disk usage, and the traffic with the PACS."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from flask import current_app, render_template
from flask_babel import LazyString
from flask_babel import lazy_gettext as lazy
from markupsafe import Markup

from birads_app import config
from birads_app.config import KEPT_KEYS
from birads_app.records import fetch_problems, outbox, prior_searches, spool
from birads_app.records.storage import Storage, measure
from birads_app.web.admin.blueprint import bp
from birads_app.web.admin.setting_texts import descriptions

_ACCOUNT_IN_ADDRESS = re.compile(r"//[^/@]*@")
_MEASURED_EVERY_S = 60

ENVIRONMENT, DEFAULT, FILE = lazy("environment"), lazy("default"), lazy("file in the instance folder")


@dataclass(frozen=True)
class SettingRow:
    """A row of the settings page.

    value, default : as written in the environment; empty for secrets
    source : origin of the value
    about : description
    """

    variable: str
    value: str
    default: str
    secret: bool
    source: LazyString
    about: Markup


@bp.get("/settings")
def settings_page() -> str:
    """Show every setting with its value and source."""
    return render_template("admin/settings.html", settings=list(_setting_rows()), environment=ENVIRONMENT)


@bp.get("/storage")
def storage_page() -> str:
    """Show disk usage."""
    return render_template("admin/storage.html", storage=storage())


@bp.get("/network")
def network_page() -> str:
    """Show studies and results under way to and from the PACS, and what failed."""
    return render_template(
        "admin/network.html",
        waiting=spool.of_app().studies(),
        unfetched=fetch_problems.listing(),
        counts=outbox.counts(),
        failing=outbox.failing(),
        searches=prior_searches.failing(),
    )


def storage() -> Storage:
    """Return disk usage, measured at most once a minute."""
    cached: tuple[float, Storage] | None = current_app.extensions.get("birads_storage")
    if cached is None or time.monotonic() - cached[0] > _MEASURED_EVERY_S:
        cached = (time.monotonic(), measure())
        current_app.extensions["birads_storage"] = cached
    return cached[1]


def _setting_rows() -> Iterator[SettingRow]:
    environment = config.with_current_names(current_app.extensions["birads_environment"])
    about = descriptions()
    for item in config.variables():
        variable, default, secret = item.name, item.default, item.secret
        source = ENVIRONMENT if variable in environment else FILE if variable in KEPT_KEYS else DEFAULT
        value = environment.get(variable, default).strip()
        yield SettingRow(
            variable=variable,
            value="" if secret else _ACCOUNT_IN_ADDRESS.sub("//…@", value),
            default=default,
            secret=secret and bool(value or variable in KEPT_KEYS),
            source=source,
            about=about.get(variable, Markup("")),
        )
