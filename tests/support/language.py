"""Checks of names and docstrings: ``python -m tests.support.language`` prints the figures and the remaining findings.

Only Python's own names are judged (functions, classes, parameters, fields, modules), with CSS classes, command-line
options and settings. Local variables and running text are free.
"""

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("birads_app", "training")
DOCUMENTED = (*PACKAGES, "tests", "bench")

OPENINGS = ("What", "Who", "Where", "How", "Which", "Whose", "Whether", "When")
MAX_OPENINGS = 0.01  # share of all docstrings
MAX_ROOT_MODULES = 8
# Rooms may have modules of the same name for the same purpose.
PARALLEL = {"__init__", "__main__", "errors", "cli", "config", "commands", "env"}

# A part of any identifier, module name, CSS class or option.
_WORDS = """
familiarity stranger strangers trap traps ledger lesson lessons halved veil colourfulness doubt doubts
opinion opinions telltale sealing dealt certainty suspicion throttle knob knobs readings
"""
FORBIDDEN_WORDS = frozenset(_WORDS.split())
# The whole name of a module, class, function, parameter or field.
_NAMES = """
exam_answer survey shuffled far reserve reserved recipe deal draws operating sure tune proof prove evidence
overlay incoming sentence together
"""
FORBIDDEN_NAMES = frozenset(_NAMES.split())
# The whole name of a function that code imports; a parameter may be called so.
FORBIDDEN_IMPORTS = frozenset(("say", "together"))
# The whole name of a module; ordinary English elsewhere.
_MODULES = """
look looks work record learn candidates whole leading rule covered outline spacing kept known person said words
parts slices tables targets possible store rows
"""
FORBIDDEN_MODULES = frozenset(_MODULES.split())
# The same, where pixel data is read.
FORBIDDEN_PIXEL_NAMES = frozenset(("words", "slices"))
PIXEL_FOLDERS = ("birads_app/imaging/", "tests/imaging/", "tests/support/dicom_")
FORBIDDEN_SETTINGS = ("DICOM_QUIET_S", "DICOM_PEERS", "TRAINING_ROOTS", "PACS_UPLOADS")
FORBIDDEN_OPTIONS = frozenset(("--traps", "--no-traps", "--beside", "--images", "--no-images", "--recipe"))

# Files that read or keep names of the past, with the names that each may use.
COMPATIBILITY: dict[str, frozenset[str]] = {
    "birads_app/config.py": frozenset(("show_opinion",)),  # BIRADS_SHOW_OPINION
}
# Files that name old settings: they read them, test that, or tell what has changed.
SETTINGS_READ_IN = (
    "birads_app/config.py",
    "tests/project/test_settings.py",
    "CHANGELOG.md",
    "docs/settings.md",
)
_HERE = ("tests/support/language.py", "tests/project/test_language.py")


@dataclass(frozen=True)
class Source:
    """A Python file of the project: its path relative to the root, and its syntax tree."""

    path: str
    tree: ast.Module


@dataclass(frozen=True)
class Finding:
    """A name or docstring that has to change; ``place`` is path and line."""

    place: str
    what: str

    @property
    def folder(self) -> str:
        """The two leading folders of the path."""
        folders = self.place.split(":")[0].split("/")[:-1]
        return "/".join(folders[:2]) or "."


@cache
def sources() -> tuple[Source, ...]:
    """Parse every Python file of the project but migrations."""
    paths = [path for package in DOCUMENTED for path in sorted((ROOT / package).rglob("*.py"))]
    paths += [ROOT / "app.py", ROOT / "wsgi.py"]
    relative = [path.relative_to(ROOT).as_posix() for path in paths if "migrations" not in path.parts]
    return tuple(Source(path, ast.parse((ROOT / path).read_text("utf-8"))) for path in relative)


@cache
def docstrings() -> tuple[tuple[str, str], ...]:
    """Return place and text of every docstring."""
    return tuple(
        (f"{source.path}:{getattr(node, 'lineno', 1)}", text)
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if (text := ast.get_docstring(node))
    )


def misleading_docstrings() -> list[Finding]:
    """Find docstrings that begin with a question word."""
    return [
        Finding(place, f'"{text.splitlines()[0][:70]}"')
        for place, text in docstrings()
        if re.match(r"\w*", text)[0] in OPENINGS  # type: ignore[index]
    ]


def module_aliases() -> list[Finding]:
    """Find imports that rename a module of the project."""
    return [
        Finding(f"{source.path}:{node.lineno}", f"{module} as {one.asname}")
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for one in node.names
        if one.asname
        for module in [".".join(filter(None, (getattr(node, "module", None), one.name)))]
        if _is_module(module)
    ]


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.split(".")[0] in DOCUMENTED and (path.is_dir() or path.with_suffix(".py").is_file())


def repeated_modules() -> dict[str, list[str]]:
    """Group the paths of modules that share a name, by name."""
    by_name = defaultdict(list)
    for source in sources():
        if source.path.split("/")[0] in PACKAGES and Path(source.path).stem not in PARALLEL:
            by_name[Path(source.path).stem].append(source.path)
    return {name: paths for name, paths in sorted(by_name.items()) if len(paths) > 1}


def repeated_classes() -> dict[str, list[str]]:
    """Group the places of classes that share a name, by name."""
    by_name = defaultdict(list)
    for source in sources():
        if source.path.split("/")[0] in PACKAGES:
            for node in ast.walk(source.tree):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    by_name[node.name].append(f"{source.path}:{node.lineno}")
    return {name: places for name, places in sorted(by_name.items()) if len(places) > 1}


def root_modules(package: str) -> list[str]:
    """List the modules that lie at a package's root."""
    return sorted(path.name for path in (ROOT / package).glob("*.py"))


def forbidden_names() -> list[Finding]:
    """Find identifiers, module names, CSS classes, options and settings with former names."""
    found = [*_identifiers(), *_modules(), *_css_classes(), *_script_names(), *_options(), *_settings()]
    return [one for one in found if one.what not in COMPATIBILITY.get(one.place.split(":")[0], ())]


def is_forbidden(name: str) -> bool:
    """True for a former name, in any spelling."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").strip("_")
    return snake in FORBIDDEN_NAMES or not FORBIDDEN_WORDS.isdisjoint(snake.split("_"))


def _identifiers() -> Iterator[Finding]:
    for source in sources():
        if source.path in _HERE:
            continue
        for node in ast.walk(source.tree):
            for name, line in _defined(node):
                pixels = (
                    source.path.startswith(PIXEL_FOLDERS) and name.strip("_").lower() in FORBIDDEN_PIXEL_NAMES
                )
                if pixels or name in FORBIDDEN_IMPORTS and isinstance(node, ast.alias) or is_forbidden(name):
                    yield Finding(f"{source.path}:{line}", name)


def _defined(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Give the names that a node defines, except local variables."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        # The name of a test is a sentence.
        words_only = node.name.startswith("test_")
        if not words_only:
            yield node.name, node.lineno
        else:
            yield from ((word, node.lineno) for word in node.name.split("_") if word in FORBIDDEN_WORDS)
    if isinstance(node, ast.arg):
        yield node.arg, node.lineno
    if isinstance(node, ast.ClassDef | ast.Module):
        for statement in node.body:
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            yield from ((one.id, one.lineno) for one in targets if isinstance(one, ast.Name))
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr, node.lineno
    if isinstance(node, ast.alias):
        name = node.asname or node.name
        if node.asname or name in FORBIDDEN_IMPORTS:
            yield name, node.lineno


def _modules() -> Iterator[Finding]:
    for source in sources():
        for part in Path(source.path).with_suffix("").parts:
            name = part.removeprefix("test_")
            if name in FORBIDDEN_MODULES or is_forbidden(name):
                yield Finding(source.path, part)


def _css_classes() -> Iterator[Finding]:
    pages = ((path, r"(?:class|id)=\"([^\"{]*)") for path in sorted((ROOT / "templates").rglob("*.html")))
    sheets = ((path, r"[.#]([a-zA-Z][\w-]*)") for path in sorted((ROOT / "static" / "css").rglob("*.css")))
    for path, pattern in (*pages, *sheets):
        text = path.read_text("utf-8")
        for match in re.finditer(pattern, text):
            for name in match[1].split():
                if not FORBIDDEN_WORDS.isdisjoint(name.split("-")):
                    line = text.count("\n", 0, match.start()) + 1
                    yield Finding(f"{path.relative_to(ROOT).as_posix()}:{line}", name)


def _script_names() -> Iterator[Finding]:
    """Find functions, classes and constants of scripts, and variables and macros of templates."""
    scripts = (
        (path, r"\b(?:function|class|const|let) (\w+)")
        for path in sorted((ROOT / "static" / "js").rglob("*.js"))
    )
    pages = ((path, r"{%-? *(?:set|macro) (\w+)") for path in sorted((ROOT / "templates").rglob("*.html")))
    for path, pattern in (*scripts, *pages):
        text = path.read_text("utf-8")
        for match in re.finditer(pattern, text):
            if is_forbidden(match[1]):
                line = text.count("\n", 0, match.start()) + 1
                yield Finding(f"{path.relative_to(ROOT).as_posix()}:{line}", match[1])


def _options() -> Iterator[Finding]:
    """Find visible options of the application's commands."""
    from app import app

    def commands(group: object, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], object]]:
        for name, command in sorted(getattr(group, "commands", {}).items()):
            yield (*path, name), command
            yield from commands(command, (*path, name))

    for path, command in commands(app.cli):
        for option in command.params:  # type: ignore[attr-defined]
            if not getattr(option, "hidden", False):
                for name in (*option.opts, *option.secondary_opts):
                    if name in FORBIDDEN_OPTIONS or is_forbidden(name):
                        yield Finding(f"cli/flask {' '.join(path)}", name)


def _settings() -> Iterator[Finding]:
    folders = (*DOCUMENTED, "docs", "docker", "templates")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    paths += [path for path in ROOT.iterdir() if path.suffix in (".md", ".yml", ".yaml", ".py")]
    for path in sorted(paths):
        relative = path.relative_to(ROOT).as_posix()
        if path.suffix not in (".py", ".md", ".html", ".yml", ".yaml", ".sh", "") or not path.is_file():
            continue
        if relative in SETTINGS_READ_IN or relative in _HERE:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for name in FORBIDDEN_SETTINGS:
                if re.search(rf"\b(BIRADS_)?{name}\b", line):
                    yield Finding(f"{relative}:{number}", name)


def report() -> Iterator[str]:
    """Give the figures line by line, then the remaining findings by folder."""
    texts, openings, names = list(docstrings()), misleading_docstrings(), forbidden_names()
    share = len(openings) / len(texts)
    yield f"Docstrings: {len(texts)}, {len(openings)} begin with a question word: {share:.2%} (at most 1 %)"
    yield f"Names of the past: {len(names)}"
    modules, classes = repeated_modules(), repeated_classes()
    yield f"Module names that occur twice: {len(modules)}"
    yield from (f"  {name}: {', '.join(paths)}" for name, paths in modules.items())
    yield f"Class names that occur twice: {len(classes)}"
    yield from (f"  {name}: {', '.join(places)}" for name, places in classes.items())
    for package in PACKAGES:
        found = root_modules(package)
        yield f"Modules at the root of {package}: {len(found)} (at most {MAX_ROOT_MODULES})"
    for title, found in (("Docstrings", openings), ("Names", names)):
        yield ""
        yield f"{title}, by folder:"
        for folder, count in sorted(Counter(one.folder for one in found).items()):
            yield f"  {folder}: {count}"
            yield from (f"    {one.place} {one.what}" for one in found if one.folder == folder)


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in report())
