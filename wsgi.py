"""The application for servers and the flask command."""

from app import app
from birads_app.services.startup import start

__all__ = ["app"]

start(app)
