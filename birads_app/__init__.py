"""BI-RADS reader: a web application that reads mammograms.

Importing this package is cheap, because training and tests import its core: pages and database are only imported by
:func:`create_app`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from birads_app.config import Settings
    from birads_app.services.identity_provider import IdentityProvider

_ROOT = Path(__file__).resolve().parent.parent
# Modules whose functions run in processes of their own.
_READS_FILES = (
    "birads_app.intake.archives",
    "birads_app.intake.image_reading",
    "birads_app.intake.upload_check",
    "birads_app.records.derived_files",
    "birads_app.records.tiles",
)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the application.

    Parameters
    ----------
    config : overrides of the environment: ``BIRADS_*`` as text, anything else as Flask configuration

    Raises
    ------
    SettingsError
        A setting is invalid, or the instance folder cannot be written.
    """
    from flask import Flask

    from birads_app.config import deprecations, read
    from birads_app.logs import configure_logging
    from birads_app.web import static_files

    given = dict(config or {})
    ours = {name: given.pop(name) for name in list(given) if name.startswith("BIRADS_")}
    environment = {**os.environ, **ours}
    settings = read(environment)
    configure_logging(settings.log_level, settings.log_format)
    for line in deprecations(environment):
        logging.getLogger(__name__).warning("%s", line)
    app = Flask(
        "birads_app",
        root_path=str(Path(__file__).parent),
        template_folder=str(_ROOT / "templates"),
        static_folder=str(_ROOT / "static"),
        static_url_path=static_files.URL_PATH,
        instance_path=str(settings.instance),
    )
    app.extensions["birads_settings"] = settings
    app.extensions["birads_environment"] = environment
    _configure(app, settings)
    app.config.update(given)
    _connect(app, settings)
    _add_pages(app)
    _add_commands(app)
    return app


def _configure(app: Flask, settings: Settings) -> None:
    """Translate our settings to Flask's."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    from birads_app.config import secret_key
    from birads_app.web.sub_path import SubPath

    app.config.update(
        SECRET_KEY=secret_key(settings),
        MAX_CONTENT_LENGTH=settings.max_upload_mb * 2**20,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_hours),
        # Browsers accept the prefix only from this very host, over HTTPS.
        SESSION_COOKIE_NAME="__Host-birads_session" if settings.secure_cookies else "birads_session",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        TRUSTED_HOSTS=list(settings.trusted_hosts) or None,
        WTF_CSRF_TIME_LIMIT=None,  # the token lives as long as the session it is bound to
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # probabilities keep the model's class order
    hops = settings.proxy_hops
    if hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            SubPath(app.wsgi_app), x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops
        )


def _connect(app: Flask, settings: Settings) -> None:
    """Attach the site key, and the database and the model, which are not opened before their first use."""
    from birads_app.compute.pool import ComputePool
    from birads_app.compute.process import Limits
    from birads_app.intake.admission import Admission, give_back_place
    from birads_app.intake.shared_admission import SharedAdmission
    from birads_app.intake.upload_queue import Arriving
    from birads_app.model.predictor import ModelSource
    from birads_app.monitoring import instruments
    from birads_app.records import database, file_store, recent_log, redis_server, site_keys
    from birads_app.records.derivation_queue import DerivationQueue
    from birads_app.records.shared_locks import SharedLocks

    recent_log.keep(settings.instance)
    app.extensions["birads_files"] = file_store.of_settings(settings)
    app.extensions["birads_redis"] = redis_server.connect(settings)
    app.extensions["birads_locks"] = SharedLocks(
        app.extensions["birads_files"].folder, app.extensions["birads_redis"]
    )
    database.init_app(app, settings)
    app.extensions["birads_site_key"] = site_keys.load(settings, database.of(app))
    app.extensions["birads_provider"] = _identity_provider(settings)
    app.extensions["birads_admission"] = (
        Admission(settings.uploads_at_once, settings.uploads_waiting)
        if settings.compute_tier == "local"
        else SharedAdmission(app.extensions["birads_locks"], settings.uploads_waiting)
    )
    app.teardown_request(give_back_place)
    app.extensions["birads_arriving"] = Arriving()
    logging_options = settings.log_level, settings.log_format
    app.extensions["birads_compute"] = ComputePool(settings.compute_processes, _READS_FILES, logging_options)
    app.extensions["birads_derivation"] = DerivationQueue(app)
    instruments.open_in(settings.instance)
    app.extensions["birads_models"] = ModelSource(
        settings.models,
        settings.engine,
        settings.precision,
        settings.threads,
        ComputePool(
            min(1, settings.compute_processes),
            ["birads_app.model.engine_process"],
            logging_options,
            Limits(memory=8 << 30, calls=sys.maxsize, kept=2 << 30),  # TensorFlow reserves most of it
        ),
        at_once=settings.compute_tier == "local",
    )


def _identity_provider(settings: Settings) -> IdentityProvider | None:
    """Return the identity provider of the settings; it is not asked for anything yet."""
    if not settings.oidc_issuer:
        return None
    from birads_app.services.identity_provider import IdentityProvider

    return IdentityProvider(settings)


def _add_pages(app: Flask) -> None:
    """Add pages and API."""
    from birads_app import api
    from birads_app.web import (
        access,
        admin,
        assessment,
        errors,
        health,
        language,
        login,
        model_banner,
        model_card,
        navigation,
        patient,
        practice_pages,
        profile,
        prometheus,
        refusals,
        request_ids,
        request_timing,
        second_factor,
        security,
        sign_on,
        static_files,
        storage_guard,
        upload_pages,
        viewer,
    )

    static_files.init_app(app)
    language.init_app(app)
    login.init_app(app)
    app.register_blueprint(sign_on.bp)
    for pages in (
        upload_pages,  # with the pages of exams
        viewer,
        assessment,
        practice_pages,
        model_card,
        profile,
        second_factor,
        admin,
    ):
        app.register_blueprint(pages.bp)
    storage_guard.init_app(app)  # before a place for the upload is taken
    access.init_app(app)
    refusals.init_app(app)
    navigation.init_app(app)
    patient.init_app(app)
    model_banner.init_app(app)
    security.init_app(app)  # after those who judge a request before its body is read for the form's token
    app.register_blueprint(health.bp)
    app.register_blueprint(prometheus.bp)
    api.init_app(app)
    errors.init_app(app)
    request_timing.init_app(app)
    request_ids.init_app(app)


def _add_commands(app: Flask) -> None:
    from birads_app.cli import (
        administration,
        audit_commands,
        bin_commands,
        compute_command,
        database_commands,
        dicom_network,
        file_commands,
        maintenance_commands,
        practice_tables,
        score_command,
    )

    for commands in (
        administration,
        audit_commands,
        bin_commands,
        compute_command,
        database_commands,
        dicom_network,
        file_commands,
        practice_tables,
        maintenance_commands,
        score_command,
    ):
        commands.init_app(app)
