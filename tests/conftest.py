"""Common fixtures: an application with its own instance folder, and the demonstration model or a tiny one."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes run tests: threads of each would only wait for one another. Read when libraries load.
    for _name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ):
        os.environ.setdefault(_name, "1")

import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from filelock import FileLock
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from jinja2 import FileSystemBytecodeCache

from birads_app import create_app
from birads_app.model import registry
from birads_app.model.predictor import ModelSource
from birads_app.records import database, migrate, users
from tests.support import servers, shared_caches, unsynced

if TYPE_CHECKING:
    from tests.support.object_store import ObjectStore

ROOT = Path(__file__).resolve().parent.parent


# Folders whose files take longest. They are distributed first, so that no process works alone at the end.
_LONGEST = ("training", "api", "browser", "pacs", "services")

# ``once(name, fill)`` returns a folder that ``fill`` has filled.
MakeOnce = Callable[[str, Callable[[Path], object]], Path]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the folders of long tests first; with servers, only tests that have an instance folder and no SQLite file."""
    if servers.wanted():
        chosen = [item for item in items if servers.concerns(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
    order = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.relative_to(ROOT / "tests").parts[0], len(order)))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what the collected tests have loaded."""
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Collect garbage less often, and start the servers once per run, if they are wanted.

    The workers of the run find the servers in the environment.
    """
    gc.set_threshold(20_000, 20)  # objects; the default takes a tenth of the time of all tests
    if os.environ.pop(servers.SWITCH, "") == "1":  # it is no setting
        config.add_cleanup(servers.start())


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the developer's settings from the environment."""
    for name in [name for name in os.environ if name.startswith("BIRADS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder of the demonstration model."""
    folder = ROOT / "models"
    if not (folder / "CURRENT").exists():
        pytest.skip("there is no demonstration model in models/")
    return folder


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> MakeOnce:
    """Create a folder once per run, by the first worker that needs it: ``once(name, fill)``.

    Its content belongs to all workers: a test that changes something copies it first.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder = shared / f"once-{name}"
        with FileLock(shared / f"once-{name}.lock"):
            if not folder.exists():
                draft = Path(tempfile.mkdtemp(dir=shared))
                fill(draft)
                servers.rename_instance(draft, folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_models(once: MakeOnce) -> Path:
    """Return a folder of models with one tiny model, ``birads-demo``, for tests that do not depend on the network."""
    from tests.support import tiny_model

    return once("tiny-models", tiny_model.write)


@pytest.fixture(scope="session")
def _model_source(tiny_models: Path) -> ModelSource:
    """Load a tiny model once for all tests, and examine each image once."""
    from tests.support.remembering_engine import remembering

    source = ModelSource(tiny_models)
    predictor = source.get()
    predictor.engine = remembering(predictor.engine)
    return source


@pytest.fixture(scope="module")
def store() -> Iterator["ObjectStore"]:
    """Return a running S3-compatible store, whose address and credentials are in the environment."""
    from tests.support import object_store

    with object_store.running() as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, object]:
    """Return the configuration of the test's application."""
    return {
        "BIRADS_INSTANCE": str(tmp_path / "instance"),
        "BIRADS_MODELS": str(tmp_path / "models"),
        "BIRADS_COMPUTE_PROCESSES": "0",
        **servers.settings_of(tmp_path / "instance", made="app" not in request.fixturenames),
        "TESTING": True,
        "WTF_CSRF_ENABLED": False,
    }


@pytest.fixture(scope="session", autouse=True)
def _passwords_in_no_time() -> None:
    """Hash passwords cheaply, because hundreds of tests sign in."""
    users._HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session", autouse=True)
def _shared_caches() -> None:
    """Compile addresses and statements once, because hundreds of tests have an application."""
    shared_caches.share()


@pytest.fixture(scope="session", autouse=True)
def _unsynced() -> None:
    """Do not wait for the disk, because hundreds of tests write a database."""
    unsynced.install()


@pytest.fixture(scope="session")
def empty_instance(once: MakeOnce) -> Path:
    """Create an instance folder with an empty, fully migrated database to copy."""
    return once("empty", _migrate)


def _migrate(folder: Path) -> None:
    app = create_app(
        {"BIRADS_INSTANCE": str(folder), "BIRADS_MODELS": str(folder), **servers.settings_of(folder)}
    )
    with app.app_context():
        migrate.upgrade()
        database.engine().dispose()
    for path in folder.iterdir():
        if path.name != database.FILE_NAME:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="session")
def _compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Compile each template once for all tests; every test has its own application."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture(scope="session")
def initial_instance(empty_instance: Path) -> Path:
    """Return the content of the instance folder before each test, an empty database; modules may override it."""
    return empty_instance


@pytest.fixture
def app(
    config: dict[str, object], initial_instance: Path, _compiled_templates: FileSystemBytecodeCache
) -> Iterator[Flask]:
    """The application without a model, with a copy of the initial instance folder."""
    instance = Path(str(config["BIRADS_INSTANCE"]))
    servers.copy_instance(initial_instance, instance)
    app = create_app(config)
    app.jinja_env.bytecode_cache = _compiled_templates
    yield app
    app.extensions["birads_derivation"].stop()  # so that nothing goes on while the next test counts
    database.of(app).engine.dispose()
    servers.remove(instance)


@pytest.fixture
def two_models(app: Flask, tiny_models: Path) -> Path:
    """Return a folder with two valid models, the first of them in service."""
    folder = Path(app.extensions["birads_settings"].models)
    for name in ("first", "second"):
        shutil.copytree(tiny_models / "birads-demo", folder / name, copy_function=os.link)
    registry.promote(folder, "first")
    return folder


@pytest.fixture
def serving_app(app: Flask, _model_source: ModelSource) -> Flask:
    """Return the application with a tiny model."""
    app.extensions["birads_models"] = _model_source
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client without a session; with ``serving_app`` the application has a model."""
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """Return a runner of the application's commands."""
    return app.test_cli_runner()


@pytest.fixture
def folder(app: Flask, models: Path) -> Path:
    """Return the folder of models, the demonstration model in service, and register the training commands."""
    return with_model(app, models)


@pytest.fixture
def token(app: Flask) -> str:
    """Return an API token of a radiologist."""
    from tests.support.factories import make_token

    return make_token(app)


def with_model(app: Flask, models: Path) -> Path:
    """Put the model of another folder into service, register the training commands, and return the folder."""
    from training.cli.commands import register

    folder = Path(app.extensions["birads_settings"].models)
    shutil.copytree(models / "birads-demo", folder / "birads-demo", copy_function=os.link)
    registry.promote(folder, "birads-demo")
    register(app)
    return folder
