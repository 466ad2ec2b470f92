"""``flask db revision`` drafts the next migration."""

import shutil
from pathlib import Path

from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.records import migrate


def test_a_draft_has_the_next_number(app: Flask, runner: FlaskCliRunner, tmp_path: Path, monkeypatch) -> None:
    scripts = shutil.copytree(migrate._SCRIPTS, tmp_path / "migrations")
    monkeypatch.setattr(migrate, "_SCRIPTS", scripts)
    known = {path.name for path in (scripts / "versions").glob("*.py")}
    newest = max(int(name.split("_")[0]) for name in known)
    result = runner.invoke(args=["db", "revision", "Views: a value"])
    assert result.exit_code == 0, result.output
    (draft,) = {path.name for path in (scripts / "versions").glob("*.py")} - known
    assert draft == f"{newest + 1:04d}_views_a_value.py"
    text = (scripts / "versions" / draft).read_text()
    assert f'revision = "{newest + 1:04d}"\ndown_revision = "{newest:04d}"' in text
    assert "op.add_column" not in text and "drop_column" not in text
