"""What a container platform or a load balancer asks."""

import logging

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from birads_app.records import migrate
from birads_app.terms.errors import ModelError

bp = Blueprint("health", __name__)
log = logging.getLogger(__name__)


@bp.get("/healthz")
def alive() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(status="alive")


@bp.get("/readyz")
def ready() -> ResponseReturnValue:
    """The database is prepared and a model is loaded; else 503 with the reasons."""
    reasons = []
    model = None
    try:
        if not migrate.is_current():
            reasons.append("The database is not prepared. Run `flask db upgrade`.")
    except SQLAlchemyError as error:
        log.error("The database cannot be opened: %s", type(error).__name__)
        reasons.append("The database cannot be opened.")
    try:
        model = current_app.extensions["birads_models"].get().bundle.name
    except ModelError as error:
        reasons.append(str(error))
    if reasons:
        return jsonify(status="not ready", reasons=reasons), 503
    return jsonify(status="ready", model=model)
