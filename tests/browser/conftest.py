"""Fixtures of browser tests: one browser, one server, and a signed-in administrator, with and without JavaScript."""

from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
import steps
from playwright.sync_api import Browser, Page, expect
from server import Server, serve

from birads_app.model import bundles, registry


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser tests, and skip them with the reason if Chromium is missing."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            if chromium.path() is None and not chromium.REQUIRED:
                reason = "Chromium is not installed (Debian: apt-get install chromium)"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert chromium.path(), "The browser tests must run here, but Chromium is not installed."
    expect.set_options(timeout=60_000)  # generous, as other processes may keep all cores busy
    with chromium.launch() as started:
        yield started


@pytest.fixture
def fresh_server(tmp_path: Path, empty_instance: Path) -> Iterator[Server]:
    """Run a server with one worker and without accounts."""
    with serve(tmp_path, empty_instance, WEB_CONCURRENCY="1") as started:
        yield started


@pytest.fixture(scope="session")
def two_served(tmp_path_factory: pytest.TempPathFactory, models: Path, tiny_models: Path) -> Path:
    """Return a folder of models: the demonstration model, with a tiny network, serves after another one."""
    folder = tmp_path_factory.mktemp("models")
    shipped, tiny = (bundles.load(one / "birads-demo") for one in (models, tiny_models))
    network = {
        key: tiny.manifest[key] for key in ("preprocessing", "head", "backbone", "prediction_set", "classes")
    }
    for name in ("earlier", "birads-demo"):
        bundles.write(
            folder,
            name,
            manifest={**shipped.manifest, **network, "temperature": 0.1},  # so that it prefers a category
            card=shipped.card,
            backbone=(tiny.path / bundles.BACKBONE).read_bytes(),
            head=(tiny.path / bundles.HEAD).read_bytes(),
            evaluation=bundles.read_evaluation(shipped.path),
        )
        registry.promote(folder, name)
    return folder


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, empty_instance: Path, two_served: Path
) -> Iterator[Server]:
    """Run a server with one worker, which alone loads the model; ``signed_in`` sets it up."""
    folder = tmp_path_factory.mktemp("server")
    with serve(folder, empty_instance, WEB_CONCURRENCY="1", BIRADS_MODELS=str(two_served)) as started:
        yield started


@pytest.fixture(scope="session")
def signed_in(server: Server, browser: Browser) -> dict:
    """Create the administrator and return the session's cookies for further browser contexts."""
    page = browser.new_page()
    steps.set_up(page, server)
    cookies = page.context.storage_state()
    page.context.close()
    return dict(cookies)


@pytest.fixture
def page(server: Server, signed_in: dict, browser: Browser) -> Iterator[Page]:
    """Open a page as the administrator; fail on any logged error."""
    yield from _signed_in(browser, server, signed_in, scripts=True)


@pytest.fixture
def plain_page(server: Server, signed_in: dict, browser: Browser) -> Iterator[Page]:
    """Open a page without JavaScript."""
    yield from _signed_in(browser, server, signed_in, scripts=False)


def _signed_in(browser: Browser, server: Server, cookies: dict, scripts: bool) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, java_script_enabled=scripts, storage_state=cookies
    )
    page = context.new_page()
    found = chromium.complaints(page)
    page.goto(server.url)
    yield page
    context.close()
    assert found == []
