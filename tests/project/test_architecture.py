"""Architecture rules about imports; each rule is also shown to catch a planted violation."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("birads_app", "training")
LONGEST_MODULE = 400

# Who may import whom: the longest matching name on the left decides, what lies under those on the right is
# allowed. A new room of birads_app has to find its place here.
TERMS = ("birads_app.terms", "birads_app.files", "birads_app.version")
IMAGING = ("birads_app.imaging", *TERMS)
MODEL = ("birads_app.model", *IMAGING)
SETTINGS = ("birads_app.config", "birads_app.provider_settings", "birads_app.setting_values")
MONITORING = ("birads_app.monitoring", "birads_app.files", "birads_app.terms")
RECORDS = (
    "birads_app.records",
    "birads_app.compute",
    "birads_app.monitoring",
    *SETTINGS,
    "birads_app.logs",
    *MODEL,
)
DOMAIN = (
    "birads_app.services",
    "birads_app.maintenance",
    "birads_app.deid",
    "birads_app.dicom_objects",
    "birads_app.fhir",
    *RECORDS,
)
OUTER = ("birads_app.pacs", "birads_app.practice", "birads_app.intake", *DOMAIN)
ARROWS = {
    "wsgi": ("app", "birads_app.services.startup", "birads_app.api.upload_worker"),
    "app": ("birads_app.create_app", "birads_app.cli.practice_tables", "training.cli"),
    "birads_app": ("birads_app",),
    "birads_app.version": (),
    "birads_app.logs": (),
    "birads_app.serving": ("birads_app.serving", "birads_app.monitoring"),
    "birads_app.svg": ("birads_app.svg",),
    "birads_app.files": ("birads_app.files", "birads_app.terms"),
    "birads_app.monitoring": MONITORING,
    "birads_app.compute": ("birads_app.compute", "birads_app.logs", *MONITORING),
    "birads_app.terms": ("birads_app.terms",),
    "birads_app.imaging": IMAGING,
    "birads_app.model": ("birads_app.compute", *MODEL),
    "birads_app.config": ("birads_app.provider_settings", "birads_app.setting_values", *MODEL),
    "birads_app.provider_settings": (),
    "birads_app.setting_values": (),
    "birads_app.migrations": RECORDS,
    "birads_app.records": RECORDS,
    "birads_app.maintenance": ("birads_app.maintenance", *RECORDS),
    "birads_app.services": ("birads_app.services", "birads_app.maintenance", *RECORDS),
    "birads_app.deid": ("birads_app.deid", *(room for room in RECORDS if room != "birads_app.model")),
    "birads_app.dicom_objects": ("birads_app.dicom_objects", *RECORDS),
    "birads_app.fhir": ("birads_app.fhir", "birads_app.dicom_objects", *RECORDS),
    "birads_app.intake": ("birads_app.intake", *DOMAIN),
    "birads_app.practice": ("birads_app.practice", *DOMAIN),
    "birads_app.pacs": ("birads_app.pacs", "birads_app.intake", *DOMAIN),
    "birads_app.cluster": ("birads_app.cluster", "birads_app.terms"),
    "birads_app.scoring": ("birads_app.scoring", "birads_app.cluster", *OUTER),
    "birads_app.web": ("birads_app.web", "birads_app.svg", *OUTER),
    "birads_app.api": (
        "birads_app.api",
        "birads_app.web.errors",
        "birads_app.web.http_status",
        "birads_app.web.security",
        *OUTER,
    ),
    "birads_app.cli": ("birads_app.cli", "birads_app.api.compute_worker", "birads_app.scoring", *OUTER),
    "training": ("training", "birads_app.cluster", "birads_app.svg", "birads_app.compute", *MODEL),
    "training.cli": (
        "training",
        "birads_app.cluster",
        "birads_app.services.promotion",
        "birads_app.services.model_files",
        "birads_app.services.patient_digests",
        "birads_app.cli.console_errors",
        *MODEL,
    ),
}
# Rooms of training, from the ground up: a room may import those before it, and its own modules.
TRAINING_ROOMS = (
    ("errors",),
    ("config", "progress"),
    ("data",),
    ("engine",),
    ("heads", "features"),
    ("evaluation",),
    ("report",),
    ("pipeline",),
    ("phantoms", "paper"),
    ("presets",),
    ("cli",),
)

WEB_STACK = {"flask", "flask_login", "flask_wtf", "wtforms", "werkzeug", "jinja2", "sqlalchemy", "alembic"}
CORE = ("birads_app.terms", "birads_app.files", "birads_app.imaging", "birads_app.model")
HEAVY = {"tensorflow", "keras", "openvino", "sklearn", "imblearn"}
RUNS_CODE_WHEN_LOADED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RESTRICTS_PICKLE = "birads_app.compute.channel"
# Libraries that open connections, and the modules that may: to the PACS, to the identity provider, and to a cluster.
CONNECTS = (
    "requests",
    "httpx",
    "urllib.request",
    "http.client",
    "smtplib",
    "authlib",
    "dicomweb_client",
    "distributed",
)
MAY_CONNECT = ("birads_app.pacs", "birads_app.services.identity_provider", "birads_app.cluster")
# Packages of requirements-cluster.txt, without which everything else works.
FOR_CLUSTERS = {"dask", "distributed", "pyarrow"}
CALLS_HOME = {"openvino.tools", "openvino_telemetry", "nncf"}


@dataclass(frozen=True)
class Import:
    """One imported name: ``late`` inside a function, ``typing`` under TYPE_CHECKING."""

    target: str
    line: int
    late: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)


@cache
def modules(root: Path) -> list[Module]:
    """Read every module of the product below root."""
    inside = [path for name in PACKAGES for path in sorted((root / name).rglob("*.py"))]
    paths = [root / "app.py", root / "wsgi.py", *inside]
    found = []
    for path in filter(Path.is_file, paths):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path.relative_to(root), path.read_text("utf-8")))
    return found


@cache
def imports(module: Module) -> list[Import]:
    """List a module's imports; ``from a import b`` counts as ``a.b``."""
    return list(_walk(module, module.tree, late=False, typing=False))


def _walk(module: Module, node: ast.AST, late: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, late, typing) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(module, child)
            yield from (Import(f"{base}.{alias.name}", child.lineno, late, typing) for alias in child.names)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from _walk(module, child, late or inside, typing or guarded)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base


def under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def under_any(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(under(name, prefix) for prefix in prefixes)


def wrong_arrows(module: Module) -> Iterator[str]:
    rule = max((name for name in ARROWS if under(module.name, name)), key=len)
    if rule == "birads_app" != module.name:
        yield f"{module.path} has no place among the arrows yet"
    for found in imports(module):
        own = found.target.partition(".")[0] in {"app", "wsgi", *PACKAGES, "tests", "bench"}
        if own and not any(under(found.target, allowed) for allowed in ARROWS[rule]):
            yield f"{module.path}:{found.line} imports {found.target}; {rule} may import {ARROWS[rule]}"


def wrong_arrows_in_training(module: Module) -> Iterator[str]:
    if not under(module.name, "training") or module.name == "training":
        return
    tier = _tier(module.name)
    if tier == len(TRAINING_ROOMS):
        yield f"{module.path} has no place in TRAINING_ROOMS yet"
    for found in imports(module):
        target = found.target.split(".")
        elsewhere = target[0] == "training" and target[1] != module.name.split(".")[1]
        if elsewhere and _tier(found.target) >= tier:
            yield f"{module.path}:{found.line} imports {found.target}, which is not below it"


def _tier(name: str) -> int:
    """Index of a module's room in TRAINING_ROOMS, or its length if the room is not listed."""
    room = name.split(".")[1]
    return next((number for number, rooms in enumerate(TRAINING_ROOMS) if room in rooms), len(TRAINING_ROOMS))


def web_in_core_or_training(module: Module) -> Iterator[str]:
    offline = under_any(module.name, CORE) or (
        under(module.name, "training") and not under(module.name, "training.cli")
    )
    for found in imports(module):
        template = found.target.startswith("jinja2.") and module.name == "training.report.html"
        if offline and found.target.partition(".")[0] in WEB_STACK and not template:
            yield f"{module.path}:{found.line} imports {found.target}: the core and training know no web"


def early_or_misplaced_heavy(module: Module) -> Iterator[str]:
    for found in imports(module):
        package = found.target.partition(".")[0]
        if package not in HEAVY or found.typing:
            continue
        if not found.late:
            yield f"{module.path}:{found.line} imports {package} at once; do it inside a function"
        if module.name != "birads_app.model.engine" and not under(module.name, "training"):
            yield f"{module.path}:{found.line} imports {package}: only the engine and training may"


def early_cluster(module: Module) -> Iterator[str]:
    for found in imports(module):
        if found.target.partition(".")[0] in FOR_CLUSTERS and not (found.late or found.typing):
            yield f"{module.path}:{found.line} imports {found.target} at once; do it inside a function"


def eager_factory(module: Module) -> Iterator[str]:
    if module.name == "birads_app":
        for found in imports(module):
            if found.target.startswith("birads_app.") and not (found.late or found.typing):
                yield f"{module.path}:{found.line} imports {found.target}; do it inside create_app"


def code_in_data(module: Module) -> Iterator[str]:
    for found in imports(module):
        if module.name == RESTRICTS_PICKLE:
            continue
        if found.target.partition(".")[0] in RUNS_CODE_WHEN_LOADED:
            yield f"{module.path}:{found.line} imports {found.target}, which can run code when it loads data"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", 1):
            yield f"{module.path}:{node.value.lineno} allows pickle"
        if isinstance(node, ast.Attribute) and node.attr == "load_model":
            yield f"{module.path}:{node.lineno} loads a Keras archive, which can run code"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"eval", "exec"}
        ):
            yield f"{module.path}:{node.lineno} calls {node.func.id}"


def calls_home(module: Module) -> Iterator[str]:
    for found in imports(module):
        if any(under(found.target, name) for name in CALLS_HOME) or found.target == "openvino.convert_model":
            yield f"{module.path}:{found.line} imports {found.target}, which reports usage to a service"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr == "convert_model":
            yield f"{module.path}:{node.lineno} uses OpenVINO's converter, which reports usage to a service"


def connects_elsewhere(module: Module) -> Iterator[str]:
    for found in imports(module):
        if under_any(found.target, CONNECTS) and not under_any(module.name, MAY_CONNECT):
            yield f"{module.path}:{found.line} imports {found.target}; only {MAY_CONNECT} may connect to others"


def settings_read_elsewhere(module: Module) -> Iterator[str]:
    if module.name in {"birads_app", "birads_app.config"} or not under(module.name, "birads_app"):
        return  # the factory hands the environment to config.py, which reads it
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
            yield f"{module.path}:{node.lineno} reads the environment; settings are read in config.py"


def unfrozen_dataclasses(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            for decorator in map(ast.unparse, node.decorator_list):
                if re.match(r"(dataclasses\.)?dataclass\b", decorator) and "frozen=True" not in decorator:
                    yield f"{module.path}:{node.lineno} dataclass {node.name} is not frozen"


def overgrown(module: Module) -> Iterator[str]:
    if module.path.stem in {"utils", "util", "helpers", "common", "misc"}:
        yield f"{module.path}: a module is named after what it is about"
    if module.source.count("\n") >= LONGEST_MODULE:
        yield f"{module.path} has {module.source.count(chr(10))} lines, {LONGEST_MODULE} is the limit"


RULES = [
    wrong_arrows,
    wrong_arrows_in_training,
    web_in_core_or_training,
    early_or_misplaced_heavy,
    early_cluster,
    eager_factory,
    code_in_data,
    calls_home,
    connects_elsewhere,
    settings_read_elsewhere,
    unfrozen_dataclasses,
    overgrown,
]
Rule = Callable[[Module], Iterator[str]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_product_keeps_the_rule(rule: Rule) -> None:
    offences = [offence for module in modules(ROOT) for offence in rule(module)]
    assert not offences, "\n".join(offences)


def test_every_module_is_checked() -> None:
    names = {module.name for module in modules(ROOT)}
    assert {
        "app",
        "wsgi",
        "birads_app",
        "birads_app.config",
        "birads_app.model.engine",
        "training.cli.commands",
    } <= names


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (wrong_arrows, "birads_app/imaging/decode.py", "from birads_app.records import exams"),
        (wrong_arrows, "birads_app/imaging/decode.py", "from ..records import exams"),
        (wrong_arrows, "birads_app/imaging/decode.py", "def f():\n    import birads_app"),
        (wrong_arrows, "birads_app/web/reading.py", "from training import recipe"),
        (wrong_arrows, "birads_app/web/reading.py", "from birads_app.api import routes"),
        (wrong_arrows, "birads_app/records/exams.py", "from birads_app import intake"),
        (wrong_arrows, "training/pipeline/train.py", "from birads_app.records import exams"),
        (wrong_arrows, "training/pipeline/train.py", "from birads_app import create_app"),
        (wrong_arrows, "app.py", "from training.pipeline.train import train"),
        (wrong_arrows, "wsgi.py", "from birads_app import create_app"),
        (wrong_arrows, "birads_app/novelty.py", ""),
        (wrong_arrows_in_training, "training/data/split.py", "from training.report import text"),
        (wrong_arrows_in_training, "training/novelty.py", "from training.data import split"),
        (web_in_core_or_training, "birads_app/imaging/decode.py", "import flask"),
        (web_in_core_or_training, "training/pipeline/train.py", "from sqlalchemy.orm import Session"),
        (early_or_misplaced_heavy, "birads_app/model/engine.py", "import tensorflow as tf"),
        (early_or_misplaced_heavy, "birads_app/web/reading.py", "def f():\n    import tensorflow"),
        (early_or_misplaced_heavy, "training/cli/commands.py", "from keras import Model"),
        (eager_factory, "birads_app/__init__.py", "from birads_app.web import reading"),
        (early_cluster, "birads_app/cluster/connection.py", "from distributed import Client"),
        (code_in_data, "birads_app/model/bundle.py", "import pickle"),
        (
            code_in_data,
            "training/features/extract.py",
            "import numpy as np\nnp.load('x.npy', allow_pickle=True)",
        ),
        (code_in_data, "training/engine/backbone.py", "def f(k):\n    return k.models.load_model('x.keras')"),
        (code_in_data, "birads_app/model/bundle.py", "eval('1')"),
        (
            calls_home,
            "training/engine/freeze.py",
            "def f():\n    from openvino.tools.ovc import convert_model",
        ),
        (calls_home, "training/engine/freeze.py", "def f(openvino):\n    return openvino.convert_model('x')"),
        (connects_elsewhere, "birads_app/web/reading.py", "def f():\n    import urllib.request"),
        (connects_elsewhere, "birads_app/services/startup.py", "from requests import get"),
        (settings_read_elsewhere, "birads_app/web/reading.py", "import os\nos.environ['X']"),
        (unfrozen_dataclasses, "training/data/split.py", "@dataclass\nclass Split: ..."),
        (
            unfrozen_dataclasses,
            "training/data/split.py",
            "@dataclasses.dataclass(slots=True)\nclass Split: ...",
        ),
        (overgrown, "training/utils.py", ""),
        (overgrown, "training/pipeline/train.py", "\n" * LONGEST_MODULE),
    ],
)
def test_the_rule_catches_a_planted_offence(rule: Rule, path: str, source: str, tmp_path: Path) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source)
    (module,) = modules(tmp_path)
    assert list(rule(module))


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (wrong_arrows, "birads_app/web/reading.py", "from birads_app.records import exams"),
        (wrong_arrows, "birads_app/model/engine.py", "from .bundle import Bundle"),
        (wrong_arrows, "app.py", "from birads_app import create_app\nfrom training import cli"),
        (early_or_misplaced_heavy, "training/engine/backbone.py", "def f():\n    import keras"),
        (
            code_in_data,
            "training/features/extract.py",
            "import numpy as np\nnp.load('x.npy', allow_pickle=False)",
        ),
        (
            eager_factory,
            "birads_app/__init__.py",
            "def f():\n    from birads_app.web import reading",
        ),
        (unfrozen_dataclasses, "training/data/split.py", "@dataclass(frozen=True)\nclass Split: ..."),
    ],
)
def test_the_rule_accepts_a_valid_import(rule: Rule, path: str, source: str, tmp_path: Path) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source)
    (module,) = modules(tmp_path)
    assert not list(rule(module))


def test_importing_the_core_loads_neither_database_nor_engine() -> None:
    core = sorted(module.name for module in modules(ROOT) if under_any(module.name, CORE))
    program = f"import sys, {', '.join(core)}\nprint(*(n for n in sys.modules if '.' not in n))"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "alembic", *HEAVY} & set(loaded.stdout.split())
