"""Addresses of style sheets and scripts that name their content, so that browsers keep them without asking again.

The version in an address covers all static files, as scripts import one another by relative addresses. A server of
another version, during a rolling update, answers with its own file, which is then not kept.
"""

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request

_YEAR_S = 365 * 24 * 3600
URL_PATH = "/static/<version>"


def init_app(app: Flask) -> None:
    """Add the version to the addresses of static files, and let browsers keep what has it."""
    version = version_of(Path(app.static_folder or ""))

    @app.url_defaults
    def add(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("version", version)

    @app.url_value_preprocessor
    def remove(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if endpoint == "static" and values:
            g.static_version = values.pop("version")

    @app.after_request
    def keep(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code < 400 and g.static_version == version:
            response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
        return response


def version_of(folder: Path) -> str:
    """Return a word for the names and contents of all files in a folder."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()[:12]
