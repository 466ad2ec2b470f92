"""Upload, reading and deletion in a real browser."""

import re
import shutil
from pathlib import Path

import chromium
import numpy as np
import pytest
import steps
from mammograms import gen_cases
from playwright.sync_api import Browser, Page, expect
from server import Server

from tests.support import factories

EXAM_URL = re.compile(r"/exams/[0-9a-f]{32}(\?known=1)?$")  # the tests upload the same image
CASE = next(iter(gen_cases()))
RIGHT_CC = str(CASE["rcc"])


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    path = tmp_path / "letter.dcm"
    path.write_text("Dear colleague, this is a letter and not an image.")
    return str(path)


def test_an_exam_from_set_up_to_deletion(fresh_server: Server, browser: Browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    found = chromium.complaints(page)
    steps.set_up(page, fresh_server)
    page.get_by_role("button", name="Sign out").click()
    steps.sign_in(page, fresh_server)
    expect(page.get_by_text("No exams yet")).to_be_visible()

    steps.upload(page, fresh_server, RIGHT_CC)
    expect(page).to_have_url(EXAM_URL, timeout=60_000)
    expect(page.locator(".ai-result .category")).to_have_text(re.compile(r"BI-RADS [1-5] \w+"))
    expect(page.get_by_text("Management:").first).to_be_visible()
    expect(page.get_by_text("Research use only. Not a medical device")).to_be_visible()
    expect(page.get_by_role("complementary", name="Demonstration model")).to_be_visible()
    expect(page.get_by_role("img", name="Probability of each category")).to_be_visible()

    page.get_by_role("link", name="Delete exam").click()
    page.get_by_label("Reason").fill("Uploaded by mistake.")
    page.get_by_role("button", name="Delete exam").click()
    expect(page.get_by_role("status").first).to_have_text("Exam moved to the bin.")
    expect(page.get_by_text("No exams yet")).to_be_visible()
    context.close()
    assert found == []


def test_refused_files_are_named_and_the_others_stay_selected(page: Page, server: Server, text_file: str):
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    steps.upload(page, server, RIGHT_CC, text_file)
    problems = page.get_by_role("alert")
    expect(problems).to_contain_text("letter.dcm", timeout=60_000)
    expect(problems).not_to_contain_text(Path(RIGHT_CC).name)
    assert "POST" not in sent  # it is named before anything is sent
    rows = page.get_by_role("list", name="Selected files").get_by_role("listitem")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="letter.dcm")).to_contain_text("not accepted")
    page.get_by_role("button", name="Remove letter.dcm").click()
    page.get_by_role("button", name="Analyse images").click()
    expect(page).to_have_url(EXAM_URL, timeout=60_000)
    expect(page.locator(".cell")).to_have_count(1)


def test_files_can_be_dropped(page: Page, server: Server):
    page.goto(f"{server.url}/upload")
    page.evaluate(
        """() => {
            const carried = new DataTransfer();
            for (const name of ["one.dcm", "two.dcm"]) carried.items.add(new File(["x"], name));
            const event = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
            document.getElementById("drop").dispatchEvent(event);
        }"""
    )
    expect(page.locator("#chosen li")).to_have_count(2)
    expect(page.get_by_role("button", name="Analyse 2 images")).to_be_enabled()
    page.get_by_role("button", name="Remove one.dcm").click()
    expect(page.locator("#chosen li")).to_have_count(1)


def _disc(folder: Path) -> Path:
    """Write a disc of two studies with two images each, an index and a text."""
    for study, patient in (("1.1", "A"), ("1.2", "B")):
        (folder / "cd" / patient).mkdir(parents=True)
        for number in (1, 2):
            made = factories.dicom(factories.breast(seed=number))
            made.StudyInstanceUID, made.PatientID = study, patient
            made.SOPInstanceUID = f"{study}.{number}"
            (folder / "cd" / patient / f"IMG{number}").write_bytes(factories.dicom_bytes(made))
    (folder / "cd" / "DICOMDIR").write_bytes(b"index")
    (folder / "cd" / "readme.txt").write_text("what is on this disc")
    return folder / "cd"


def _listen(page: Page) -> list[str]:
    """Return a list that grows with what a screen reader announces."""
    heard: list[str] = []
    page.expose_function("hear", lambda text: heard.append(text))
    page.add_init_script(
        """document.addEventListener("DOMContentLoaded", () => {
            const place = document.getElementById("announce");
            if (place) new MutationObserver(() => window.hear(place.textContent)).observe(place, {childList: true});
        })"""
    )
    return heard


def test_a_folder_of_two_studies_becomes_two_exams(page: Page, server: Server, tmp_path: Path):
    disc, heard = _disc(tmp_path), _listen(page)
    page.goto(f"{server.url}/upload")
    page.get_by_label("Choose folder").set_input_files(disc)
    expect(page.locator("#chosen li")).to_have_count(4)
    expect(page.locator("#plan")).to_contain_text("2 exams recognised.")
    page.get_by_role("button", name="Analyse 4 images").click()
    expect(page.get_by_role("status").filter(has_text="2 exams added")).to_be_visible(timeout=60_000)
    counts = [text for text in heard if text.startswith("Exam ")]
    assert counts == ["Exam 1 of 2: reading", "Exam 2 of 2: reading"]

    # The same studies again, now packed: they are recognised before they are sent.
    packed = shutil.make_archive(str(tmp_path / "studies"), "zip", disc)
    sent: list[str] = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    page.goto(f"{server.url}/upload")
    page.locator("#files").set_input_files(packed)
    expect(page.locator("#chosen li")).to_have_count(4)
    expect(page.locator("#plan")).to_contain_text("2 exams are already stored.")
    expect(page.get_by_role("link", name="already stored")).to_have_count(4)
    page.get_by_role("button", name="Analyse 4 images").click()
    expect(page.get_by_role("status").filter(has_text="2 exams are already stored")).to_be_visible()
    assert sent and all(url.endswith("/upload/check") for url in sent)

    # A tar archive is not opened before it is sent.
    page.wait_for_url(re.compile(r"known=2"))
    page.goto(f"{server.url}/upload")
    page.locator("#files").set_input_files(shutil.make_archive(str(tmp_path / "more"), "tar", disc))
    expect(page.locator("#chosen li")).to_contain_text(["archive, not opened yet"])
    expect(page.locator("#plan")).to_contain_text("are checked and counted after the upload.")
    expect(page.get_by_role("button", name="Analyse images", exact=True)).to_be_visible()


def test_a_refused_exam_keeps_no_other_from_being_stored(page: Page, server: Server, tmp_path: Path):
    for study, data in (("1.3", None), ("1.4", factories.breast(seed=9))):
        noise = np.random.default_rng(1).integers(0, 4096, (600, 500), np.uint16)
        made = factories.dicom(noise if data is None else data)
        made.StudyInstanceUID, made.PatientID, made.SOPInstanceUID = study, study, f"{study}.1"
        (tmp_path / f"{study}.dcm").write_bytes(factories.dicom_bytes(made))
    steps.upload(page, server, *(str(path) for path in sorted(tmp_path.glob("*.dcm"))))
    problems = page.get_by_role("alert")
    expect(problems).to_contain_text("1 of 2 exams stored", timeout=60_000)
    expect(problems).to_contain_text("1.3.dcm")
    rows = page.get_by_role("list", name="Selected files").get_by_role("listitem")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("not accepted")
    problems.get_by_role("link", name="Open worklist").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Exams")


def test_side_and_view_are_set_with_the_file(page: Page, server: Server, tmp_path: Path):
    path = tmp_path / "scan.png"
    path.write_bytes(factories.mammogram_png(5))
    page.goto(f"{server.url}/upload")
    page.locator("#files").set_input_files(path)
    page.get_by_label("Side, scan.png").select_option("R")
    page.get_by_label("View, scan.png").select_option("MLO")
    page.get_by_role("button", name="Analyse images").click()
    expect(page).to_have_url(EXAM_URL, timeout=60_000)
    expect(page.locator("figcaption").first).to_contain_text("RMLO")
    page.locator("#views > summary").click()
    expect(page.locator("#views").get_by_text("Set by admin,")).to_be_visible()


def test_too_many_files_are_not_sent(page: Page, server: Server):
    page.goto(f"{server.url}/upload")
    file = {"mimeType": "image/png", "buffer": b"x"}
    page.locator("#files").set_input_files([{"name": f"{number}.png", **file} for number in range(65)])
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.get_by_role("button", name="Analyse 65 images").click()
    expect(page.get_by_role("alert")).to_contain_text("65 files selected; the limit is 64")
    expect(page.locator("#chosen li")).to_have_count(65)
    assert sent == []


def test_an_upload_after_the_session_ended_keeps_the_files(page: Page, server: Server):
    page.goto(f"{server.url}/upload")
    page.locator("#files").set_input_files(RIGHT_CC)
    page.context.clear_cookies()
    page.get_by_role("button", name="Analyse images").click()
    expect(page.get_by_role("alert")).to_contain_text("session has ended")
    other = page.context.new_page()
    steps.sign_in(other, server)
    page.get_by_role("button", name="Analyse images").click()
    expect(page).to_have_url(EXAM_URL, timeout=60_000)


def test_a_sample_exam_has_four_images(page: Page, server: Server):
    page.get_by_role("button", name="Try film exam 2").click()
    expect(page).to_have_url(EXAM_URL, timeout=90_000)
    expect(page.locator(".cell")).to_have_count(4)
    expect(page.locator(".view-result")).to_have_count(4)


def test_everything_works_without_javascript(plain_page: Page, server: Server, text_file: str):
    page = plain_page
    page.goto(f"{server.url}/upload")
    page.locator("#files").set_input_files([text_file])
    page.get_by_role("button", name="Analyse images").click()
    expect(page.get_by_role("alert")).to_contain_text("letter.dcm")
    page.locator("#files").set_input_files([RIGHT_CC])
    page.get_by_role("button", name="Analyse images").click()
    expect(page).to_have_url(EXAM_URL, timeout=60_000)
    expect(page.locator(".display")).to_be_visible()
    page.get_by_role("link", name="Delete exam").click()
    page.get_by_label("Reason").fill("Uploaded by mistake.")
    page.get_by_role("button", name="Delete exam").click()
    expect(page.get_by_role("status").first).to_have_text("Exam moved to the bin.")


def test_category_names_do_not_overlap_their_probabilities(page: Page, server: Server):
    steps.upload(page, server, RIGHT_CC)
    expect(page).to_have_url(EXAM_URL, timeout=60_000)
    page.locator("#view-results > summary").click()
    gaps = page.evaluate(
        """() => [...document.querySelectorAll(".chart-row")].map((row) =>
            row.querySelector(".chart-figure").getBoundingClientRect().left
            - row.querySelector(".chart-label, .chart-track").getBoundingClientRect().right)"""
    )
    assert len(gaps) == 10 and min(gaps) > 2  # a small chart beside the images, and a large one
