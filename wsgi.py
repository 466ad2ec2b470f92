"""What servers and the flask command load: the application, ready to serve."""

from app import app
from birads_app.services.startup import start

__all__ = ["app"]

start(app)
