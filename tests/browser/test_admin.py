"""Training, promotion and rollback in a real browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
import steps
from axe import violations
from playwright.sync_api import Browser, Page, expect
from server import ROOT, Server, serve

# Pairs of a table and a chart, or two charts, whose boxes meet; a chart's box encloses its texts.
OVERLAPS = """() => {
    const box = (element) => {
        const all = [element, ...element.querySelectorAll("text")].map((one) => one.getBoundingClientRect());
        return {
            left: Math.min(...all.map((one) => one.left)), right: Math.max(...all.map((one) => one.right)),
            top: Math.min(...all.map((one) => one.top)), bottom: Math.max(...all.map((one) => one.bottom)),
        };
    };
    const named = (element) => element.getAttribute("aria-label") ?? element.textContent.trim().slice(0, 30);
    const charts = [...document.querySelectorAll("svg")], tables = [...document.querySelectorAll("table")];
    const meet = (a, b) =>
        a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
    return charts.flatMap((chart, number) =>
        [...tables, ...charts.slice(number + 1)]
            .filter((other) => meet(box(chart), box(other)))
            .map((other) => `${named(chart)} / ${named(other)}`),
    );
}"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a folder of models with the demonstration model."""
    shipped = ROOT / "models"
    shutil.copytree(shipped / "birads-demo", tmp_path / "models" / "birads-demo", copy_function=os.link)
    shutil.copy(shipped / "CURRENT", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def admin(
    tmp_path: Path, models: Path, browser: Browser, empty_database: Path
) -> Iterator[tuple[Page, Server]]:
    """Open a page as the administrator; fail on any logged error."""
    with serve(tmp_path, empty_database, BIRADS_MODELS=str(models)) as server:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        found = chromium.complaints(page)
        steps.set_up(page, server)
        yield page, server
        context.close()
    assert found == []


def start_training(page: Page, server: Server, name: str) -> None:
    """Fill in the form for a minimal training."""
    page.goto(f"{server.url}/admin/trainings")
    page.get_by_label("Model name").fill(name)
    page.get_by_label("Synthetic patients").fill("8")
    page.get_by_text("More settings").click()
    page.get_by_label("Categories").fill("1,3,5")
    page.get_by_label("Run sanity checks").uncheck()
    page.get_by_label("Include test images").uncheck()
    page.get_by_role("button", name="Start").click()


def give_reason(page: Page, reason: str, action: str) -> None:
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name=action).click()


def overlaps(page: Page) -> dict[str, list[str]]:
    """Return the tables and charts of a report that overlap, by medium and width; the charts' texts count."""
    found = {}
    for medium, width in [("screen", width) for width in range(320, 1521, 80)] + [("print", 687)]:
        page.emulate_media(media=medium)
        page.set_viewport_size({"width": width, "height": 900})
        if pairs := page.evaluate(OVERLAPS):
            found[f"{medium} {width}"] = pairs
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1280, "height": 900})
    return found


@pytest.mark.slow
def test_a_training_is_started_stopped_resumed_compared_promoted_and_rolled_back(
    admin: tuple[Page, Server], models: Path, tmp_path: Path
):
    page, server = admin
    start_training(page, server, "first-try")
    message = page.locator("#message")
    expect(message).to_have_text("Starting…")
    expect(message).to_contain_text(
        "Generating synthetic patients", timeout=60_000
    )  # the page follows by itself
    while not (tmp_path / "instance" / "training" / "first-try" / "settings.json").exists():
        page.wait_for_timeout(100)  # until there is something to go on with
    page.get_by_role("link", name="Stop").click()
    page.get_by_role("button", name="Stop").click()
    expect(message).to_contain_text("stopped before completion", timeout=30_000)
    assert [path.name for path in models.iterdir() if path.is_dir()] == ["birads-demo"]

    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="Stop")).to_be_visible()
    assert violations(page) == []  # while it runs
    expect(message).to_have_text("Training finished; the model was saved.", timeout=120_000)
    expect(page.get_by_role("img", name="Loss by epoch")).to_be_visible()
    expect(page.get_by_role("img", name="Accuracy by epoch")).to_be_visible()
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("first-try")
    assert overlaps(page) == {}
    page.go_back()

    page.get_by_role("link", name="Compare with the active model").click()
    expect(page.locator("tbody th")).to_contain_text(["first-try", "birads-demo"])
    page.get_by_role("link", name="Back to models").click()

    page.get_by_role("link", name="Promote first-try").click()
    give_reason(page, "Knows our own cases", "Promote")
    expect(page.get_by_role("status")).to_have_text("first-try is now active.", timeout=60_000)
    page.get_by_role("link", name="Roll back to birads-demo").click()
    assert violations(page) == []
    give_reason(page, "Too few cases after all", "Roll back")
    expect(page.get_by_role("status")).to_have_text("birads-demo is active again.", timeout=60_000)
    assert (models / "CURRENT").read_text() == "birads-demo\n"

    page.goto(f"{server.url}/admin/audit?subject=first-try")
    for words in ("start training", "promote despite cautions", "Knows our own cases"):
        expect(page.get_by_role("cell", name=words).first).to_be_visible()
