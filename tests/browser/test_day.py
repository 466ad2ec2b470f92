"""A reading day: accounts, four exams by keyboard only and read blinded, a prior, reports, and an auditor.

Meanwhile keys are mistaken, pages are loaded again, the connection is lost, and other pages load the server.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
import steps
from playwright.sync_api import Browser, Page, Response, expect
from pypdf import PdfReader
from server import Server, serve

from birads_app.terms.categories import CATEGORIES
from tests.support import factories, servers

EXAM_URL = re.compile(r"/exams/[0-9a-f]{32}(\?signed=\d+)?(#assessment)?$")
READER, AUDITOR = "anna", "otto"
# Counts the tones of refused keys.
COUNT_TONES = """() => {
    window.tones = 0;
    const { start } = OscillatorNode.prototype;
    OscillatorNode.prototype.start = function (...when) {
        window.tones += 1;
        return start.apply(this, when);
    };
}"""
READABLE = ("text/html", "application/json")
# Attributes and computed styles of all elements that contain one of the texts.
TELLING = """(texts) => [...document.querySelectorAll("*")].flatMap((element) => {
    const style = getComputedStyle(element);
    const drawn = ["color", "backgroundColor", "borderTopColor", "fill", "stroke"].map((name) => style[name]);
    const values = [...[...element.attributes].map((one) => one.value), ...drawn];
    return values.filter((value) => texts.some((text) => value.includes(text)));
})"""
# Loads exams and lists again and again.
LOAD = """(addresses) => {
    window.loading = true;
    for (const address of addresses) (async () => {
        while (window.loading) await (await fetch(address)).text();
    })();
}"""


def add_account(page: Page, server: Server, name: str, role: str) -> None:
    page.goto(f"{server.url}/admin/accounts")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Role").last.select_option(role)
    page.get_by_label("Password (", exact=False).fill(steps.PASSWORD)
    page.get_by_label("Repeat password").fill(steps.PASSWORD)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("table").get_by_text(name)).to_be_visible()


def take_in_exams(page: Page, server: Server, folder: Path) -> None:
    """Three exams of a view of each breast, two of them of one patient, then one of the right breast only."""
    for study, sides in (("1", "RL"), ("2", "RL"), ("3", "RL"), ("4", "R")):
        for seed, side in enumerate(sides):
            made = factories.dicom(factories.breast(320, 256, seed + 2 * int(study)))
            made.ImageLaterality, made.StudyInstanceUID, made.StudyDate = (
                side,
                f"1.2.{study}",
                f"202{study}0131",
            )
            made.PatientID = "ID 1" if study in "12" else f"ID {study}"
            (folder / f"{study}{side}.dcm").write_bytes(factories.dicom_bytes(made))
    steps.upload(page, server, *(str(path) for path in folder.glob("[123]*.dcm")))
    expect(page.get_by_text("3 exams added")).to_be_visible(timeout=60_000)
    steps.upload(page, server, str(folder / "4R.dcm"))
    expect(page.locator(".cell")).to_have_count(1, timeout=60_000)


def press(page: Page, *keys: str) -> None:
    page.wait_for_load_state()  # a page hears keys once its scripts are there
    for key in keys:
        page.keyboard.press(key)


def categories(page: Page) -> list[str]:
    """Return the chosen category of each breast, by side."""
    return page.eval_on_selector_all(
        "#assessment input[name^=category]:checked", "all => all.map((one) => one.name.slice(-1) + one.value)"
    )


def refuse_keys(page: Page) -> None:
    """Press keys that nothing takes, on an exam of the right breast: each is seen and heard, and nothing is signed."""
    here = page.url
    page.evaluate(COUNT_TONES)
    press(page, "r", "4", "b", "l", "2")
    expect(page.get_by_role("alert")).to_have_text("No breast is selected: press R, L or B.")
    assert page.evaluate("window.tones") == 2  # for L, and for 2
    press(page, "Enter", "d", "3", "7")  # neither signs, nor sets another field
    expect(page.get_by_role("alert")).to_have_text("7: no function here.")
    assert page.evaluate("window.tones") == 5
    assert page.url == here and categories(page) == ["R4B"]
    assert page.request.get(f"{here}/report").status == 404  # there is none


def lose_the_connection(page: Page) -> None:
    """Type while the connection is lost: the page says so, leaving asks, and nothing typed is lost."""
    page.context.set_offline(True)
    press(page, "t", "End")
    page.keyboard.type(", and the rest")
    expect(page.locator("[data-assessment-status]")).to_contain_text("Not kept: no connection.")
    with page.expect_event("dialog") as asked:
        page.evaluate("() => { setTimeout(() => location.assign('/')); }")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    expect(page.get_by_label("Comments")).to_have_value("Half a sentence, and the rest")
    page.context.set_offline(False)
    expect(page.locator("form[data-kept=yes]")).to_be_attached()
    page.reload()
    expect(page.get_by_label("Comments")).to_have_value("Half a sentence, and the rest")


def traces() -> list[str]:
    """The colours of the categories, as attributes and as computed styles have them."""
    colours = [one.colour for one in CATEGORIES.values()]
    shades = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours]
    return colours + [f"rgb({red}, {green}, {blue})" for red, green, blue in shades]


def search_for_the_result(page: Page, server: Server) -> None:
    """Load the page again, and search its words, attributes, styles and all answers for the AI result."""
    (exam,) = re.findall(r"exams/([0-9a-f]{32})", page.url)
    query = f"SELECT category, certainty FROM exams WHERE id = '{exam}'"
    ((category, probability),) = servers.query(server.console.parent / "instance", query)
    page.wait_for_load_state("networkidle")
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    page.reload()
    page.wait_for_load_state("networkidle")
    page.remove_listener("response", note)
    texts = [
        one.text()
        for one in answers
        if one.status == 200 and one.headers.get("content-type", "").startswith(READABLE)
    ]
    assert len(texts) > 2  # the page, descriptions of images, what is fetched ahead
    assert not [
        text for text in texts if re.search(r"heat-\d|compact-chart|model_category|probabilities", text)
    ]
    assert page.evaluate(TELLING, ["heat-", "data-code", *traces()]) == []
    assert not page.locator(".heat, .heat-tools, .answer, .compact-chart").count()
    words = page.inner_text(".panel")
    assert "hidden until you ask" in words and f"{probability:.0%}" not in words
    assert f"BI-RADS {category}" not in words and CATEGORIES[category].management not in words


def read_the_right_breast(page: Page, server: Server) -> None:
    """Read the exam of the right breast: refused keys, a reload in the middle, the AI result, an undone signature."""
    here = page.url
    refuse_keys(page)
    press(page, "t")
    page.keyboard.type("Half a sentence")
    expect(page.locator("form[data-kept=yes]")).to_be_attached()
    page.reload()
    expect(page.get_by_label("Comments")).to_have_value("Half a sentence")
    lose_the_connection(page)
    assert categories(page) == ["R4B"]
    search_for_the_result(page, server)
    press(page, "o")
    expect(page.locator(".answer .category")).to_be_visible()
    press(page, "h")
    expect(page.locator(".heat:visible").first).to_be_visible()
    expect(page.get_by_label("Comments")).to_have_value("Half a sentence, and the rest")
    press(page, "Enter")
    expect(page.get_by_text("signed: BI-RADS 4B. Next exam opened.")).to_be_visible()
    press(page, "u")
    expect(page.get_by_text("Signature withdrawn. The exam is not signed.")).to_be_visible()
    assert page.url.startswith(here) and categories(page) == ["R4B"]
    press(page, "Enter")
    expect(page.get_by_text("signed: BI-RADS 4B. Next exam opened.")).to_be_visible()


def compare_with_prior(page: Page) -> bool:
    """Look at the prior exam that hangs below this one, and at its report; return False if there is none."""
    if not page.locator(".hang-row[data-prior]").count():
        return False
    above, below = (
        page.locator(f".cell[aria-label='{name}Right breast, craniocaudal']") for name in ("", "Prior exam: ")
    )
    boxes = above.bounding_box(), below.bounding_box()
    assert boxes[0]["x"] == boxes[1]["x"] and boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
    press(page, "e")
    expect(below).to_be_hidden()
    assert above.bounding_box()["height"] > boxes[0]["height"]
    press(page, "e", "j")
    expect(below).to_be_visible()
    report = page.get_by_role("dialog", name="Report of the prior exam")
    expect(report).to_contain_text("12 months earlier")
    expect(report).to_contain_text(re.compile("BI-RADS|No report of this exam is stored here."))
    page.keyboard.press("Escape")
    expect(report).to_be_hidden()
    assert not page.locator(".ai-change, .heat").count()
    return True


def sign_under_load(page: Page) -> None:
    """Sign while another window of the reader loads the list and the page that comes next: the line is still there."""
    other = page.context.new_page()
    other.goto(page.url)
    following = page.locator("a[rel=next]").get_attribute("href")
    other.evaluate(LOAD, ["/", following, following, f"{following}/prefetch"])
    press(page, "Enter")
    expect(page.get_by_text("signed: BI-RADS 1. Next exam opened.")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    other.evaluate("() => { window.loading = false; }")
    other.close()


def read_by_keyboard_alone(page: Page, server: Server) -> str:
    """Read four exams from the worklist, one of which has a prior; return the address of the third."""
    assert page.evaluate(TELLING, ["suspicious", *traces()]) == []
    press(page, "ArrowDown", "Enter")
    expect(page).to_have_url(EXAM_URL)
    read_the_right_breast(page, server)
    with_prior = [compare_with_prior(page)]
    first = page.url.partition("?")[0]
    press(page, "1")
    sign_under_load(page)
    with_prior.append(compare_with_prior(page))
    second = page.url.partition("?")[0]
    assert second != first
    press(page, "r", "4", "b", "l", "2", "d", "c", "t")
    page.keyboard.type("Fine pleomorphic calcifications, biopsy advised.")
    press(page, "Escape", "Enter")
    expect(page.get_by_text("signed: BI-RADS 4B. Next exam opened.")).to_be_visible()
    with_prior.append(compare_with_prior(page))
    assert sorted(with_prior) == [False, False, True]
    third = page.url.partition("?")[0]
    assert third not in (first, second)
    press(page, "2", "p")  # back to have another look, and on again; what was entered comes back
    expect(page).to_have_url(second)
    press(page, "n")
    expect(page).to_have_url(third)
    page.wait_for_load_state()
    assert categories(page) == ["R2", "L2"]
    press(page, "Enter")
    expect(page.get_by_text("signed: BI-RADS 2. No unread exams left.")).to_be_visible()
    return second


def amend(page: Page, exam: str) -> None:
    """Sign an exam again with another category of the left breast."""
    page.goto(exam)
    press(page, "l", "3", "Enter")
    expect(page.get_by_text("signed: BI-RADS 4B.")).to_be_visible()
    page.goto(f"{exam}/report")
    expect(page.get_by_text("AMENDED", exact=True)).to_be_visible()
    expect(page.get_by_text("BI-RADS 2 → BI-RADS 3")).to_be_visible()
    pdf = PdfReader(io.BytesIO(page.request.get(f"{exam}/report.pdf").body())).pages[0].extract_text()
    assert "AMENDED" in pdf and "BI-RADS 2 → BI-RADS 3" in pdf
    assert page.request.get(f"{exam}/report.json").json()["amends"]


@pytest.fixture
def blinded_server(tmp_path: Path, empty_instance: Path) -> Iterator[Server]:
    """A server whose readers have to ask for the AI result."""
    with serve(tmp_path, empty_instance, WEB_CONCURRENCY="1", BIRADS_SHOW_OPINION="0") as server:
        yield server


@pytest.mark.slow
def test_a_reading_day(blinded_server: Server, browser: Browser, tmp_path: Path) -> None:
    server = blinded_server
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
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    second = read_by_keyboard_alone(page, server)
    asked = next(number for number, url in enumerate(requested) if url.endswith("/ai-result"))
    assert not [url for url in requested[:asked] if "/heat-" in url]
    assert [url for url in requested[asked:] if "/heat-" in url]
    amend(page, second)
    assert in_background and not [one.url for one in in_background if "set-cookie" in one.headers]
    page.goto(f"{second}/report")
    expect(page.get_by_text("biopsy advised")).to_be_visible()
    printed = page.pdf(prefer_css_page_size=True)
    assert len(PdfReader(io.BytesIO(printed)).pages) == 1
    page.get_by_role("link", name="Practice").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Practice audit")
    expect(page.get_by_text("4 exams").first).to_be_visible()
    page.goto(f"{server.url}/admin/")
    expect(page.get_by_text("Your account has no access to these pages.")).to_be_visible()

    page = auditor.new_page()
    complaints.append(chromium.complaints(page))
    steps.sign_in(page, server, AUDITOR)
    page.goto(f"{server.url}/?list=read")
    expect(page.get_by_text("BI-RADS 4B").first).to_be_visible()
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
