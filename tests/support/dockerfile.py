"""Parser of Dockerfile and .dockerignore, for the syntax used in this project."""

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Stage:
    """A stage of the Dockerfile: pairs of instruction and argument."""

    name: str
    parent: str
    steps: tuple[tuple[str, str], ...]


def stages() -> dict[str, Stage]:
    """Read the Dockerfile's stages by name, in their order."""
    text = (ROOT / "Dockerfile").read_text()
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text))
    found: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            found[name] = Stage(name, parent, ())
        elif found:
            last = found[next(reversed(found))]
            found[last.name] = replace(last, steps=(*last.steps, (word, rest.strip())))
    return found


def lineage(all_stages: dict[str, Stage], name: str) -> list[tuple[str, str]]:
    """List the steps of an image, those of its parents first."""
    stage = all_stages[name]
    inherited = lineage(all_stages, stage.parent) if stage.parent in all_stages else []
    return [*inherited, *stage.steps]


def last(steps: list[tuple[str, str]], word: str) -> str | None:
    """Return the argument of the last such instruction, which is the effective one."""
    return next((rest for name, rest in reversed(steps) if name == word), None)


def copies(steps: list[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """(sources, target) of each COPY from the folder."""
    words = [rest.split() for name, rest in steps if name == "COPY" and "--from=" not in rest]
    return [(sources, target) for *sources, target in words]


def is_ignored(path: str, patterns: list[str]) -> bool:
    """True if .dockerignore excludes a file: the last pattern that matches it or a folder above it."""
    parts = path.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    ignored = False
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        names = [parts[-1], *parts] if bare.startswith("**/") else above
        if any(fnmatch(name, bare.removeprefix("**/")) for name in names):
            ignored = not pattern.startswith("!")
    return ignored


def patterns() -> list[str]:
    """The patterns of .dockerignore in their order."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]
