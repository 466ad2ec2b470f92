"""What servers and the flask command load: the application, ready to serve."""

from pathlib import Path

from dotenv import load_dotenv

load_dotenv(Path(__file__).with_name(".env"))

from app import app  # noqa: E402  what .env says has to be known first
from birads_app.serving import start  # noqa: E402

__all__ = ["app"]

start(app)
