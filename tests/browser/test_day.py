"""A reading day: accounts, three exams by keyboard only, a report, and an auditor."""

import io
import re
from pathlib import Path

import chromium
import steps
from playwright.sync_api import Browser, Page, Response, expect
from pypdf import PdfReader
from server import Server

from tests.support import factories

EXAM_URL = re.compile(r"/exams/[0-9a-f]{32}$")
READER, AUDITOR = "anna", "otto"


def add_account(page: Page, server: Server, name: str, role: str) -> None:
    page.goto(f"{server.url}/admin/accounts")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Role").last.select_option(role)
    page.get_by_label("Password (", exact=False).fill(steps.PASSWORD)
    page.get_by_label("Repeat password").fill(steps.PASSWORD)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("table").get_by_text(name)).to_be_visible()


def take_in_exams(page: Page, server: Server, folder: Path) -> None:
    """Three exams of a view of each breast, in one upload."""
    paths = []
    for study in "123":
        for seed, side in enumerate("RL"):
            made = factories.dicom(factories.breast(320, 256, seed + 2 * int(study)))
            made.ImageLaterality, made.StudyInstanceUID, made.PatientID = side, f"1.2.{study}", f"ID {study}"
            paths.append(folder / f"{study}{side}.dcm")
            paths[-1].write_bytes(factories.dicom_bytes(made))
    steps.upload(page, server, *map(str, paths))
    expect(page.get_by_text("3 exams added")).to_be_visible(timeout=60_000)


def press(page: Page, *keys: str) -> None:
    page.wait_for_load_state()  # a page hears keys once its scripts are there
    for key in keys:
        page.keyboard.press(key)


def read_by_keyboard_alone(page: Page) -> str:
    """Read three exams from the worklist; return the address of the second."""
    press(page, "ArrowDown", "Enter")
    expect(page).to_have_url(EXAM_URL)
    first = page.url
    press(page, "1", "Enter")
    expect(page.get_by_text("Signed. Next exam opened.")).to_be_visible()
    second = page.url
    assert second != first
    press(page, "r", "4", "b", "l", "2", "d", "c", "t")
    page.keyboard.type("Fine pleomorphic calcifications, biopsy advised.")
    press(page, "Escape", "Enter")
    expect(page.get_by_text("Signed. Next exam opened.")).to_be_visible()
    assert page.url not in (first, second)
    press(page, "p")  # back to have another look, and on again
    expect(page).to_have_url(second)
    press(page, "n")
    expect(page).not_to_have_url(second)
    press(page, "2", "Enter")
    expect(page.get_by_text("Signed. No unread exams left.")).to_be_visible()
    return second


def test_a_reading_day(fresh_server: Server, browser: Browser, tmp_path: Path) -> None:
    server = fresh_server
    chief, reader, auditor = (browser.new_context(viewport={"width": 1280, "height": 800}) for _ in range(3))
    page = chief.new_page()
    complaints = [chromium.complaints(page)]
    steps.set_up(page, server)
    add_account(page, server, READER, "radiologist")
    add_account(page, server, AUDITOR, "auditor")
    take_in_exams(page, server, tmp_path)

    page = reader.new_page()
    complaints.append(chromium.complaints(page))
    in_background: list[Response] = []
    page.on(
        "response", lambda answer: answer.request.resource_type == "fetch" and in_background.append(answer)
    )
    steps.sign_in(page, server, READER)
    second = read_by_keyboard_alone(page)
    assert in_background and not [one.url for one in in_background if "set-cookie" in one.headers]
    page.goto(f"{second}/report")
    expect(page.get_by_text("biopsy advised")).to_be_visible()
    printed = page.pdf(prefer_css_page_size=True)
    assert len(PdfReader(io.BytesIO(printed)).pages) == 1
    page.get_by_role("link", name="Practice").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Practice audit")
    expect(page.get_by_text("3 exams").first).to_be_visible()
    page.goto(f"{server.url}/admin/")
    expect(page.get_by_text("Your account has no access to these pages.")).to_be_visible()

    page = auditor.new_page()
    complaints.append(chromium.complaints(page))
    steps.sign_in(page, server, AUDITOR)
    page.goto(f"{server.url}/?list=read")
    expect(page.get_by_text("BI-RADS 4B")).to_be_visible()
    page.get_by_role("table").get_by_role("link").first.click()
    expect(page).to_have_url(EXAM_URL)
    expect(page.get_by_role("button", name="Sign and open next")).to_have_count(0)
    page.get_by_role("link", name="Administration").click()
    page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("table").get_by_text("sign assessment").first).to_be_visible()
    assert page.request.post(f"{second}/assessments").status == 403
    for context in (chief, reader, auditor):
        context.close()
    assert complaints == [[], [], []]
