"""Installed packages, and those in the requirement files."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent.parent
_NAME = re.compile(r"[\w.-]+")


def requirements(file: str) -> dict[str, str]:
    """Read name -> version from a requirement file and those it includes; names in normal form."""
    found: dict[str, str] = {}
    for line in (ROOT / file).read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found |= requirements(line[3:].strip())
        elif line and not line.startswith("-"):
            name, separator, rest = line.partition("==")
            version = rest.partition(" ")[0]
            assert separator and version, f"{file}: {line} is not pinned"
            found[normal(name)] = version
    return found


def hashed_blocks(file: str | Path) -> dict[str, str]:
    """Read name -> pin with its hashes, several lines, from a lock file; empty if there is no such file."""
    path = ROOT / file
    text = path.read_text("utf-8") if path.exists() else ""
    blocks = re.findall(r"^[\w.-]+==.*(?:\n +--hash=.*)*\n", text, re.MULTILINE)
    return {normal(_NAME.match(block)[0]): block for block in blocks}


def closure(names: set[str]) -> set[str]:
    """Return the named packages and their installed dependencies that this Python needs."""
    todo, seen = set(names), set()
    while todo:
        name = todo.pop()
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        seen.add(name)
        wanted = [Requirement(line) for line in needed]
        todo |= {normal(one.name) for one in wanted if not one.marker or one.marker.evaluate()} - seen
    return seen


def normal(name: str) -> str:
    """A distribution's name in lower case with hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()
