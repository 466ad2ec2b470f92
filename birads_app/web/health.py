"""Health checks for container platforms and load balancers."""

import logging

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from birads_app.records import disk_space, migrate
from birads_app.terms.errors import BiradsError, ModelError

bp = Blueprint("health", __name__)
log = logging.getLogger(__name__)


@bp.get("/healthz")
def alive() -> ResponseReturnValue:
    """Return 200 while the process runs."""
    return jsonify(status="alive")


@bp.get("/readyz")
def ready() -> ResponseReturnValue:
    """Return 200 if the database is up to date, the disk takes uploads and a model is loaded, else 503 with reasons."""
    reasons = []
    model = None
    try:
        if not migrate.can_serve():
            reasons.append("The database is not prepared. Run `flask db upgrade`.")
    except SQLAlchemyError as error:
        log.error("The database cannot be opened: %s", type(error).__name__)
        reasons.append("The database cannot be opened.")
    try:
        disk_space.check(current_app.extensions["birads_settings"])
    except BiradsError as error:
        reasons.append(str(error))
    try:
        model = current_app.extensions["birads_models"].get().bundle.name
    except ModelError as error:
        reasons.append(str(error))
    if reasons:
        return jsonify(status="not ready", reasons=reasons), 503
    return jsonify(status="ready", model=model)
