"""Accessibility (WCAG 2.2 AA), size and layout shift of every page."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pages
import pytest
import steps
import stored_states
from axe import violations
from chromium import MOST_SHIFT, SHIFT
from playwright.sync_api import Browser, Page, Response, expect
from server import Server
from slow_line import slow_line

from birads_app.model.marks import Mark
from tests.support import factories

ISO_DATES = """() => {
    const outside = (node) => !node.parentElement.closest("pre, code, script, style, textarea");
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode())
        if (outside(walker.currentNode))
            found.push(...(walker.currentNode.data.match(/\\b20\\d\\d-\\d\\d-\\d\\d/g) ?? []));
    return found;
}"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
GROUND = "() => getComputedStyle(document.documentElement).getPropertyValue('--ground')"

PHONE, NOTEBOOK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
HEAVIEST = 300_000  # bytes of a page with its styles and scripts, without images


@pytest.fixture(scope="module")
def exam(server: Server, signed_in: dict, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a signed exam of four views, each of which has a mark of the model."""
    page = browser.new_context(storage_state=signed_in).new_page()
    steps.upload(page, server, *map(str, four_views(tmp_path_factory.mktemp("views"))))
    expect(page).to_have_url(re.compile(r"/exams/[0-9a-f]{32}$"), timeout=90_000)
    address = page.url.removeprefix(server.url)
    page.wait_for_load_state()  # a page hears keys once its scripts are there
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_text("signed: BI-RADS 2.").first).to_be_visible()
    page.context.close()
    stored_states.store_ai_marks(server, address, Mark(0.6, 0.3, 0.125, 0.1, 0.73))
    return address


def four_views(folder: Path) -> list[Path]:
    """The files of an exam."""
    left = factories.breast(1300, 1037)
    paths = []
    for side, pixels in (("R", np.ascontiguousarray(left[:, ::-1])), ("L", left)):
        for position in ("CC", "MLO"):
            dataset = factories.dicom(pixels)
            dataset.ImageLaterality, dataset.ViewPosition = side, position
            paths.append(folder / f"{side}{position}.dcm")
            paths[-1].write_bytes(factories.dicom_bytes(dataset))
    return paths


def weighed(page: Page) -> Callable[[], int]:
    """Count the bytes loaded from now on, without images and tiles; each call returns the sum and resets it."""
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))

    def weight() -> int:
        kinds = ("document", "stylesheet", "script", "fetch", "xhr")
        bodies = [
            len(answer.body())
            for answer in answers
            if answer.request.resource_type in kinds and "/tiles/" not in answer.url and answer.status == 200
        ]
        answers.clear()
        return sum(bodies)

    return weight


@pytest.fixture(scope="module")
def places(server: Server, exam: str) -> dict[str, str]:
    """Store what the pages show, and return what fills their addresses."""
    return stored_states.store(server, exam)


@pytest.mark.slow
def test_every_page_meets_wcag_and_limits_of_size_and_width_and_has_one_format_of_dates(
    page: Page, server: Server, places: dict[str, str]
) -> None:
    weight = weighed(page)
    complaints: list[str] = []
    for name in pages.ADDRESSES:
        answer = page.goto(server.url + pages.address(name, places))
        assert answer and answer.status == (404 if name == "error" else 200), name
        page.wait_for_load_state("networkidle" if name == "exam" else "load")
        complaints += [f"{name}: {line}" for line in violations(page)]
        page.emulate_media(color_scheme="dark")
        complaints += [f"{name}, dark: {line}" for line in violations(page, "color-contrast")]
        page.emulate_media(color_scheme="light")
        if (shown := page.evaluate(GROUND)) != ("#0f1215" if name == "exam" else "#f6f8f9"):
            complaints.append(f"{name}: {shown} is the ground where the system asks for light")
        if (heavy := weight()) > HEAVIEST:
            complaints.append(f"{name}: {heavy} bytes without images")
        if (shift := page.evaluate(SHIFT)) > MOST_SHIFT:
            complaints.append(f"{name}: layout shift {shift:.3f}")
        if name != "outcomes" and (
            dates := page.evaluate(ISO_DATES)
        ):  # which shows how to write them in a table
            complaints.append(f"{name}: {dates} in another format than elsewhere")
        page.set_viewport_size(PHONE)
        if (beyond := page.evaluate(SIDEWAYS)) > 0:
            complaints.append(f"{name}: {beyond} pixels too broad for a phone")
        page.set_viewport_size(NOTEBOOK)
    assert complaints == []


@pytest.mark.slow
def test_a_page_that_arrives_in_pieces_does_not_shift(
    page: Page, server: Server, places: dict[str, str]
) -> None:
    complaints = []
    with slow_line(server.url) as slow:
        for name in pages.ADDRESSES:
            page.goto(slow + pages.address(name, places))
            if (shift := page.evaluate(SHIFT)) > MOST_SHIFT:
                complaints.append(f"{name}: layout shift {shift:.3f}")
    assert complaints == []


@pytest.mark.slow
def test_a_search_in_vain_shows_nothing_but_its_error(page: Page, server: Server, exam: str) -> None:
    page.goto(f"{server.url}/?list=all")
    expect(page.get_by_role("table")).to_be_visible()
    page.get_by_label("Patient").fill("nobody")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("alert")).to_have_text("No exams found for this ID or pseudonym.")
    expect(page.get_by_label("Patient")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("table").or_(page.locator(".empty, .sample-block, .list-foot"))).to_have_count(0)
    assert violations(page) == []
    page.goto(f"{server.url}/admin/audit?first=2026-02-01&last=2026-01-01")
    expect(page.get_by_role("alert")).to_have_text("The search is not valid. Correct the marked fields.")
    expect(page.get_by_role("table").or_(page.locator(".paging"))).to_have_count(0)
    page.goto(f"{server.url}/admin/log?request=none")
    expect(page.get_by_role("alert")).to_have_text("No warning or error with this request ID is kept.")
    expect(page.get_by_role("table")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("window", [(1440, 900), (2048, 2560), (390, 844)])
def test_the_answer_stands_beside_the_images_on_the_first_screen(
    page: Page, server: Server, exam: str, window: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": window[0], "height": window[1]})
    page.goto(server.url + exam)
    page.wait_for_load_state("networkidle")
    parts = {".cell": 4, ".answer .category": 1, ".breasts > div": 2, ".answer-view": 4, ".caveats": 1}
    for selector, count in parts.items():
        expect(page.locator(selector)).to_have_count(count)
        for part in page.locator(selector).all():
            box = part.bounding_box()
            assert box and box["height"] > 12 and box["width"] > 60, selector
            assert box["x"] >= 0 and box["x"] + box["width"] <= window[0], selector
            assert box["y"] >= 0 and box["y"] + box["height"] <= window[1], selector
    for drawn in page.locator(".answer-view text").all():
        assert drawn.evaluate("text => parseFloat(getComputedStyle(text).fontSize)") >= 10
    if window[0] > 1000:  # the keys of the assessment too
        box = page.locator(".assessment-breasts").bounding_box()
        assert box and box["y"] + box["height"] <= window[1]


@pytest.mark.slow
def test_dialogs_of_the_exam_page_meet_wcag(page: Page, server: Server, exam: str) -> None:
    page.goto(server.url + exam)
    page.wait_for_load_state("networkidle")
    page.locator("#ai-marks summary").click()
    for key in ("h", "Shift+H", "m", "?"):
        page.keyboard.press(key)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.wait_for_load_state("networkidle")  # its styles too
    assert violations(page) == []
    page.get_by_role("button", name="English").click()


def test_visitors_pages_meet_wcag(fresh_server: Server, browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{fresh_server.url}/setup")
    assert violations(page) == []
    steps.set_up(page, fresh_server)
    assert violations(page) == []  # a list without exams
    page.context.clear_cookies()
    page.goto(f"{fresh_server.url}/login")
    assert violations(page) == []
    page.context.close()
