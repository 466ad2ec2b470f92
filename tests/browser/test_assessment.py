"""Assessment by keyboard, and without JavaScript."""

import re
from pathlib import Path

import pytest
import steps
from playwright.sync_api import Page, expect
from server import Server

from tests.support import factories

EXAM_URL = re.compile(r"/exams/[0-9a-f]{32}(\?signed=\d+)?$")
# What the viewer says when somebody has clicked on an image.
MARKED = """([image, x, y]) => (document.querySelector("[data-reading-room]") ?? document.documentElement)
    .dispatchEvent(new CustomEvent("birads:marked", { detail: { image, x, y } }))"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A view of each breast."""
    paths = []
    for seed, side in enumerate("RL"):
        made = factories.dicom(factories.breast(320, 256, seed))
        made.ImageLaterality = side
        path = tmp_path / f"{side}.dcm"
        path.write_bytes(factories.dicom_bytes(made))
        paths.append(str(path))
    return paths


def take_in(page: Page, server: Server, files: list[str]) -> str:
    """Upload an exam and return its address."""
    steps.upload(page, server, *files)
    expect(page).to_have_url(EXAM_URL, timeout=60_000)
    page.wait_for_load_state()  # a page hears keys once its scripts are there
    return page.url


def test_one_key_and_enter_sign_a_normal_exam_and_open_the_next(page: Page, server: Server, files: list[str]):
    first = take_in(page, server, files)
    take_in(page, server, files)
    page.goto(first)
    page.keyboard.press("1")
    expect(page.get_by_text("Right breast: BI-RADS 1. Left breast: BI-RADS 1")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("signed: BI-RADS 1. Next exam opened.")
    expect(page).to_have_url(EXAM_URL)
    assert page.url != first
    page.goto(first)
    expect(page.get_by_text("Signed by you on")).to_be_visible()
    waiting = page.get_by_role("link", name="Next", exact=True).get_attribute("href")
    page.keyboard.press("n")
    expect(page).to_have_url(server.url + waiting)


def test_an_assessment_is_entered_by_keyboard_and_stored(page: Page, server: Server, files: list[str]):
    take_in(page, server, files)
    images = page.locator("template[data-blank]").evaluate(
        "blank => [...blank.content.querySelectorAll('[data-image] option')].map((option) => option.value)"
    )
    for key in ("r", "4", "b", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("Left breast: choose a category before signing.")).to_be_visible()
    expect(page).to_have_url(EXAM_URL)
    for key in ("l", "2", "d", "Shift+C", "m"):
        page.keyboard.press(key)
    page.evaluate(MARKED, [images[1], 0.25, 0.5])
    row = page.locator("[data-finding]")
    expect(row.get_by_label("Finding", exact=True)).to_be_focused()
    page.keyboard.type("Mass")
    page.keyboard.press("Tab")
    page.keyboard.type("Irr")
    expect(row.get_by_label("Morphology")).to_be_hidden()
    row.get_by_label("Quadrant").select_option("upper-outer")
    row.get_by_label("Clock-face position").select_option("2")
    problem = row.locator("[data-problem]")
    expect(problem).to_have_text(
        re.compile("Finding 1: 2 o’clock is not in the chosen quadrant, .* 9–12 o’clock")
    )
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")  # signs nothing
    expect(page.locator("[data-assessment-status]")).to_have_text(
        re.compile("Finding 1: 2 o’clock is not in")
    )
    row.get_by_label("Side").select_option("L")
    expect(problem).to_have_text(re.compile("Finding 1: its side is not that of the marked image"))
    row.get_by_label("Side").select_option("R")
    row.get_by_label("Clock-face position").select_option("10")
    expect(problem).to_have_text("")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.type("1 mass, seen")
    page.keyboard.press("Escape")
    row.get_by_label("From nipple (mm)").fill("45")
    page.get_by_text("Indication, comparison, technique, management").click()
    page.get_by_label("Insert template").select_option(label="Screening, no finding")
    expect(page.get_by_label("Indication", exact=True)).to_have_value("Screening mammography. No symptoms.")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.get_by_role("status").first).to_have_text("Draft saved, not signed.")
    for name, value in (("category-R", "4B"), ("category-L", "2"), ("density", "C")):
        expect(page.locator(f"[name={name}][value='{value}']")).to_be_checked()
    expect(row).to_have_count(1)
    expect(row.get_by_label("Shape")).to_have_value("irregular")
    expect(row.get_by_label("Side")).to_have_value("R")
    expect(row.get_by_label("From nipple (mm)")).to_have_value("45")
    expect(page.get_by_label("Indication", exact=True)).to_have_value("Screening mammography. No symptoms.")
    expect(row.get_by_text("Marked on RCC")).to_be_visible()
    expect(page.get_by_label("Comments")).to_have_value("1 mass, seen")
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_keys_can_be_switched_off(page: Page, server: Server, files: list[str]):
    take_in(page, server, files)
    page.get_by_role("checkbox", name="Keyboard shortcuts").uncheck()
    page.reload()
    page.keyboard.press("1")
    expect(page.locator("#assessment input[type=radio]:checked")).to_have_count(0)


def test_the_form_works_without_javascript(plain_page: Page, server: Server, files: list[str]):
    page = plain_page
    here = take_in(page, server, files)
    for side in ("Right", "Left"):
        page.get_by_role("group", name=f"{side} breast").get_by_role("radio", name="BI-RADS 3,").check()
    page.locator("summary", has_text="Add finding").click()
    page.get_by_label("Finding", exact=True).select_option("asymmetry")
    page.get_by_label("Type of asymmetry").select_option("focal")
    page.get_by_role("button", name="Sign and open next").click()
    expect(page.get_by_role("status").first).to_contain_text("signed: BI-RADS 3.")
    page.goto(f"{here}/report")
    expect(page.get_by_text("Focal asymmetry")).to_be_visible()
    expect(page.get_by_text("Signed by admin")).to_be_visible()
