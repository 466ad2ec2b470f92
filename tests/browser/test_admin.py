"""Data sets, training, promotion, rollback, and models as files in a real browser."""

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
import steps
from axe import violations
from playwright.sync_api import Browser, Page, expect
from server import ROOT, Server, serve

from tests.support.factories import breast, png

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
    tmp_path: Path, models: Path, browser: Browser, empty_instance: Path
) -> Iterator[tuple[Page, Server]]:
    """Open a page as the administrator; fail on any logged error."""
    with serve(tmp_path, empty_instance, BIRADS_MODELS=str(models)) as server:
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


def check_a_data_set(page: Page, server: Server, folder: Path) -> None:
    """Upload a data set, check it, and be led to the form of a training."""
    with zipfile.ZipFile(folder / "film.zip", "w") as archive:
        for number, code in enumerate("114455"):
            archive.writestr(f"{code}/P{number}_LCC.png", png(breast(320, 256, number)))
    page.goto(f"{server.url}/admin/datasets")
    page.get_by_label("Name", exact=True).fill("film")
    page.get_by_label("ZIP file").set_input_files(folder / "film.zip")
    page.route(
        "**/unpacking?name=film", lambda route: route.fulfill(json={"text": "Unpacking: 3 of 6 files"})
    )
    form = page.locator("form[data-progress]")
    form.evaluate("(form) => form.addEventListener('submit', (event) => event.preventDefault())")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#unpacking")).to_have_text("Unpacking: 3 of 6 files")  # while the server is busy
    form.evaluate("(form) => form.submit()")
    expect(page.get_by_role("status")).to_have_text("Data set film uploaded. Check it before a training.")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#message")).to_have_text(re.compile("can(not)? be trained on"), timeout=60_000)
    page.reload()
    expect(page.get_by_text(re.compile(r"^6 images of \d patients$"))).to_be_visible()
    expect(page.get_by_role("row", name="4 2")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="All data sets").click()
    expect(page.get_by_role("region", name="Checks")).to_contain_text("film")


def hand_over(page: Page, server: Server, folder: Path) -> None:
    """Download the model first-try, delete it, and add it again from its signed archive."""
    page.goto(f"{server.url}/admin/models")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download first-try").click()
    download.value.save_as(folder / "first-try.model.zip")
    page.get_by_role("link", name="Delete first-try").click()
    give_reason(page, "Kept as a file", "Delete")
    expect(page.get_by_role("status")).to_have_text("Model first-try deleted.")
    expect(page.get_by_role("link", name="Download first-try")).to_have_count(0)
    page.get_by_role("link", name="Upload model").click()
    page.get_by_label("Archive of the model").set_input_files(folder / "first-try.model.zip")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("status")).to_contain_text("Model first-try added.", timeout=60_000)
    expect(page.get_by_role("link", name="Download first-try")).to_be_visible()


@pytest.mark.slow
def test_a_training_is_started_stopped_resumed_compared_promoted_and_rolled_back(
    admin: tuple[Page, Server], models: Path, tmp_path: Path
):
    page, server = admin
    check_a_data_set(page, server, tmp_path)
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
    page.goto(f"{server.url}/admin/")
    tile = page.locator(".tile").filter(has=page.get_by_role("heading", name="Training"))
    expect(tile).to_contain_text(re.compile(r"first-try\s+finished, .*\s+1 training\s*$"))
    tile.get_by_role("link", name="first-try").click()

    page.get_by_role("link", name="Compare with the active model").click()
    expect(page.locator("tbody th")).to_contain_text(["first-try", "birads-demo"])
    page.get_by_role("link", name="Back to models").click()

    page.get_by_role("link", name="Promote first-try").click()
    expect(page.get_by_role("heading", name="Trained and tested on")).to_be_visible()
    expect(page.locator(".asked")).to_contain_text(
        re.compile(r"\d+ images of \d patients.*split by patient", re.S)
    )
    expect(page.locator("main").get_by_text("It was trained on synthetic images")).to_be_visible()
    page.get_by_role("button", name="Promote").click()
    expect(page).to_have_url(re.compile("/promote$"))  # not without a typed reason
    assert page.get_by_label("Reason").evaluate("field => field.validity.valueMissing")
    give_reason(page, "Knows our own cases", "Promote")
    expect(page.get_by_role("status")).to_have_text("first-try is now active.", timeout=60_000)
    for path in ("/", "/upload", "/practice/", "/account", "/admin/settings"):
        page.goto(server.url + path)
        banner = page.get_by_role("complementary", name="Not for diagnosis first-try")
        expect(banner).to_contain_text(
            "“first-try” is not to be relied on. It was trained on synthetic images"
        )
    page.goto(f"{server.url}/admin/models")
    page.get_by_role("link", name="Roll back to birads-demo").click()
    assert violations(page) == []
    give_reason(page, "Too few cases after all", "Roll back")
    expect(page.get_by_role("status")).to_have_text("birads-demo is active again.", timeout=60_000)
    assert (models / "CURRENT").read_text() == "birads-demo\n"

    hand_over(page, server, tmp_path)
    page.goto(f"{server.url}/admin/audit?subject=first-try")
    for words in ("start training", "promote despite cautions", "Knows our own cases", "upload model"):
        expect(page.get_by_role("cell", name=words).first).to_be_visible()
