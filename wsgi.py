"""The application for servers and the flask command."""

from app import app
from birads_app.api import upload_worker
from birads_app.services.startup import start

__all__ = ["app"]

if start(app) and app.extensions["birads_settings"].compute_tier == "local":
    upload_worker.start(app)
