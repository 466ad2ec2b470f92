"""docs/operations.md: its commands, options and links exist."""

import re
from pathlib import Path

import click
from flask import Flask

from birads_app import config
from training.cli.commands import register

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "operations.md").read_text("utf-8")
COMMANDS = sorted(
    set(re.findall(r"(?:^|`)flask ((?:[a-z-]+ ?)+(?:--?[a-z-]+|[A-Z0-9]+| )*)", TEXT, re.MULTILINE))
)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_commands_are_found() -> None:
    assert len(COMMANDS) >= 15
    assert {"fsck", "audit verify", "dicom status"} <= {command.strip() for command in COMMANDS}


def test_every_command_and_option_exists(app: Flask) -> None:
    register(app)
    for line in COMMANDS:
        command: click.Command = app.cli
        words = line.split()
        while words and isinstance(command, click.Group):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        page, _, anchor = target.partition("#")
        path = DOCS / (page or "operations.md")
        assert path.is_file(), target
        assert not anchor or anchor in anchors(path), target


def test_every_setting_exists() -> None:
    known = {variable.name for variable in config.variables()}
    assert set(re.findall(r"BIRADS_[A-Z_]+[A-Z]", TEXT)) <= known
