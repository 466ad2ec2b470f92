"""The viewer by keyboard, mouse and touch; assertions are about displayed pixels."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import chromium
import cv2
import numpy as np
import pytest
import steps
from axe import violations
from playwright.sync_api import Browser, Locator, Page, expect
from server import Server
from stored_states import store_ai_marks

from birads_app.imaging.decode import decode
from birads_app.model.marks import Mark
from tests.support import factories

EXAM_URL = re.compile(r"/exams/[0-9a-f]{32}$")
SPACING_MM = 0.07
# The left breast is the mirror image of the right one: what moves both shows it.
RIGHT = np.ascontiguousarray(factories.breast(1300, 1037, seed=5)[:, ::-1])


def view(side: str, position: str) -> bytes:
    """Build a view with three windows, the last of them almost black."""
    dataset = factories.dicom(RIGHT if side == "R" else np.ascontiguousarray(RIGHT[:, ::-1]))
    dataset.ImageLaterality, dataset.ViewPosition = side, position
    dataset.WindowCenter, dataset.WindowWidth = [30000, 22000], [50000, 9000]
    dataset.PixelSpacing = [SPACING_MM, SPACING_MM]
    return factories.dicom_bytes(dataset)


@pytest.fixture(scope="module")
def reader(signed_in: dict, browser: Browser) -> Iterator[Page]:
    """Open one page as the administrator for all tests of this module; fail on any logged error."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, storage_state=signed_in)
    page = context.new_page()
    found = chromium.complaints(page)
    yield page
    context.close()
    assert found == []


@pytest.fixture(scope="module")
def exam(reader: Page, server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of an exam of four views."""
    folder = tmp_path_factory.mktemp("views")
    files = []
    for name in ("R-CC", "L-CC", "R-MLO", "L-MLO"):
        files.append(folder / f"{name}.dcm")
        files[-1].write_bytes(view(*name.split("-")))
    steps.upload(reader, server, *map(str, files))
    reader.wait_for_url(EXAM_URL, timeout=60_000)
    return reader.url


@pytest.fixture
def room(reader: Page, exam: str) -> Page:
    """Open the exam and wait until its tiles are loaded."""
    reader.goto(exam)
    _settle(reader)
    return reader


def _settle(page: Page) -> None:
    """Wait until every displayed view is drawn from its tiles."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator(".cell:visible:not([aria-busy=false])")).to_have_count(0)


def _press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    _settle(page)


def _cell(page: Page, label: str) -> Locator:
    return page.locator(".cell").filter(has=page.locator("figcaption", has_text=re.compile(rf"^{label}")))


def _shown(page: Page, label: str = "RCC") -> np.ndarray:
    """Return a view's canvas: uint8 array of shape (height, width, 3)."""
    canvas = _cell(page, label).locator("canvas")
    address = canvas.evaluate("(canvas) => canvas.toDataURL('image/png')")
    data = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _grey(page: Page, label: str = "RCC") -> np.ndarray:
    return _shown(page, label)[..., 0].astype(int)


def _readout(page: Page, label: str = "RCC") -> str:
    return _cell(page, label).locator(".readout").inner_text()


def test_one_to_one_shows_the_image_s_own_pixels(room: Page):
    _press(room, "z")
    assert "Zoom 100%" in _readout(room)
    shown = _grey(room).astype(np.float32)[40:-120, 40:-40]
    expected = (decode(view("R", "CC")).pixels / 257).astype(np.float32)
    _, _, place, _ = cv2.minMaxLoc(cv2.matchTemplate(expected, shown, cv2.TM_SQDIFF))
    found = expected[place[1] : place[1] + shown.shape[0], place[0] : place[0] + shown.shape[1]]
    assert np.ptp(shown) > 60
    assert np.abs(found - shown).max() <= 1


def test_views_are_back_to_back_and_synchronised_mirrored(room: Page):
    before = _grey(room)
    assert before[:, -1].max() > 60 and before[:, 0].max() < 5  # the chest wall is in the middle
    for keys in ((), ("+", "+", "+"), ("ArrowLeft", "ArrowDown"), ("z",)):
        _press(room, *keys)
        assert np.abs(_grey(room) - _grey(room, "LCC")[:, ::-1]).mean() < 4
        assert np.abs(_grey(room) - _grey(room, "RMLO")).mean() < 1
    other = _grey(room, "LCC")
    _press(room, "y", "ArrowUp")
    assert np.array_equal(_grey(room, "LCC"), other)
    _press(room, "Backspace")
    assert np.array_equal(_grey(room), before)


def test_the_window_changes_by_keys_and_by_drag(room: Page):
    before = _grey(room)
    _press(room, "i")
    inside = before > 5
    assert np.abs(255 - before - _grey(room))[inside].max() <= 1
    _press(room, "i", "w")
    assert "Window 2" in _readout(room) and "WL 22000, WW 9000" in _readout(room)
    assert np.abs(_grey(room) - before).mean() > 3
    _press(room, "Backspace", "Shift+ArrowUp")
    assert _grey(room).mean() > before.mean() + 1
    _press(room, "Backspace")
    box = _cell(room, "RCC").bounding_box()
    assert box
    room.mouse.move(box["x"] + 200, box["y"] + 150)
    room.mouse.down(button="right")
    room.mouse.move(box["x"] + 120, box["y"] + 150)
    room.mouse.up(button="right")
    _settle(room)
    found = re.search(r"WL (\d+), WW (\d+)", _readout(room))
    assert found and int(found[1]) == 30000 and int(found[2]) < 45000
    assert "Zoom" in _readout(room, "LCC") and f"WW {found[2]}" in _readout(room, "LCC")


@pytest.mark.slow
def test_the_header_s_windows_are_shown_chosen_and_set(room: Page):
    presets, level, width = (
        room.locator(f"[data-window-tools] [data-{name}]") for name in ("presets", "centre", "width")
    )
    expect(presets.locator("option")).to_have_text(["Window 1", "Window 2", "Full range"])
    expect(level).to_have_value("30000")
    expect(width).to_have_value("50000")
    _press(room, "w")
    expect(level).to_have_value("22000")
    expect(width).to_have_value("9000")
    presets.select_option("Window 1")
    level.fill("25000")
    width.fill("20000")
    width.press("Enter")
    _settle(room)
    assert [_readout(room, label).split("\n")[-1] for label in ("RCC", "LMLO")] == 2 * ["WL 25000, WW 20000"]
    top, place = np.unravel_index(_grey(room).argmax(), _grey(room).shape)
    assert _grey(room)[top, place] == 255  # of a window whose white is at 35000
    _press(room, "Backspace")
    expect(level).to_have_value("30000")


@pytest.mark.slow
def test_a_view_is_turned_mirrored_and_reset_and_says_so(room: Page):
    before, said = _grey(room), _cell(room, "RCC").locator("[data-orientation]")
    other = _grey(room, "LCC")
    expect(said).to_have_text("")
    _press(room, "k")
    expect(said).to_have_text("Mirrored")
    mirrored = _grey(room)
    _press(room, "q", "q")
    expect(said).to_have_text("Turned 180°. Mirrored")
    assert (
        np.abs(_grey(room)[::-1] - before).mean() < 4
    )  # upside down: the fitted breast is as high above as below
    _press(room, "k")
    expect(said).to_have_text("Turned 180°")
    assert np.abs(_grey(room)[::-1] - mirrored).mean() < 4
    _press(room, "q")
    expect(said).to_have_text("Turned 90° anticlockwise")
    shown = _grey(room) > 25
    assert np.ptp(np.flatnonzero(shown.any(axis=1))) < np.ptp(np.flatnonzero(shown.any(axis=0)))
    assert np.array_equal(_grey(room, "LCC"), other)
    _press(room, "Backspace")
    expect(said).to_have_text("")
    assert np.array_equal(_grey(room), before)


@pytest.mark.slow
def test_the_viewer_fills_the_screen(room: Page):
    button = room.get_by_title("Full screen")
    room.keyboard.press("Shift+F")
    expect(button).to_have_attribute("aria-pressed", "true")
    viewer, window = room.locator("[data-viewer]").bounding_box(), room.viewport_size
    assert viewer and window and viewer["width"] == window["width"]
    room.keyboard.press("Shift+F")
    expect(button).to_have_attribute("aria-pressed", "false")


def test_wheel_drag_and_double_click_zoom_pan_and_reset(room: Page):
    before, zoom = _grey(room), _readout(room)
    box = _cell(room, "RCC").bounding_box()
    assert box
    room.mouse.move(box["x"] + 150, box["y"] + 250)
    room.mouse.wheel(0, -400)
    _settle(room)
    near = _grey(room)
    assert _readout(room) != zoom and np.abs(near - before).mean() > 3
    room.mouse.down()
    room.mouse.move(box["x"] + 110, box["y"] + 230)
    room.mouse.up()
    _settle(room)
    assert np.abs(_grey(room)[: -30 - 20, :-50] - near[20:-30, 40:-10]).mean() < 2
    room.mouse.dblclick(box["x"] + 150, box["y"] + 250)
    _settle(room)
    assert "Zoom 100%" in _readout(room)
    room.mouse.dblclick(box["x"] + 150, box["y"] + 250)
    _settle(room)
    assert np.array_equal(_grey(room), before)


@pytest.mark.slow
def test_the_breast_fills_its_cell_and_cannot_be_lost(room: Page):
    fitted = _grey(room)
    columns = np.flatnonzero((fitted > 20).any(axis=0))
    assert columns[-1] == fitted.shape[1] - 1 and columns[0] < 0.1 * fitted.shape[1]
    _press(room, "f")
    whole = np.flatnonzero((_grey(room) > 20).any(axis=0))
    assert len(whole) < 0.8 * len(columns)
    _press(room, "f")
    assert np.array_equal(_grey(room), fitted)
    for direction in ("Left", "Right", "Up", "Down"):
        for zoom in ((), ("+",) * 6):
            _press(room, *zoom, *[f"Arrow{direction}"] * 40)
            assert _all_in_sight(room)
            _press(room, "Backspace")


def _all_in_sight(page: Page, *labels: str) -> bool:
    """Return True if a part of the breast is left in each view, of the four unless others are named."""
    return all((_grey(page, label) > 20).mean() > 0.02 for label in labels or ("RCC", "LCC", "RMLO", "LMLO"))


@pytest.mark.slow
def test_no_drag_loses_a_breast_be_it_turned_or_magnified(room: Page):
    box = _cell(room, "LMLO").bounding_box()
    assert box
    for keys in ((), ("z", "q")):
        for across, down in ((-2, -2), (2, 2), (-2, 2), (2, -2)):
            _press(room, "Backspace", *keys)
            for _ in range(3):
                x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
                room.mouse.move(x, y)
                room.mouse.down()
                room.mouse.move(x + across * box["width"], y + down * box["height"])
                room.mouse.up()
            _settle(room)
            assert _all_in_sight(room), (keys, across, down)
    _press(room, "Backspace")


@pytest.mark.slow
def test_linked_views_come_back_together(room: Page):
    before = [_grey(room, label) for label in ("RCC", "LCC")]
    _press(room, *["ArrowLeft"] * 20, *["ArrowRight"] * 3)
    assert np.abs(_grey(room) - _grey(room, "LCC")[:, ::-1]).mean() < 4
    _press(room, "Backspace")
    assert all(map(np.array_equal, before, [_grey(room, label) for label in ("RCC", "LCC")]))


@pytest.mark.slow
def test_padded_and_cropped_images_hang_back_to_back(reader: Page, server: Server, tmp_path: Path):
    names = []
    for side, padding in (("R", ((150, 400), (600, 250))), ("L", ((0, 0), (0, 0)))):
        left = factories.breast(1300, 1037, seed=5)[90:-60]
        pixels = np.pad(
            left[:, ::-1] if side == "R" else left, padding, constant_values=int(np.percentile(left, 1))
        )
        dataset = factories.dicom(np.ascontiguousarray(pixels))
        dataset.ImageLaterality, dataset.ViewPosition = side, "CC"
        dataset.StudyInstanceUID, dataset.PixelSpacing = "1.2.3", [0.07, 0.07]
        names.append(str(tmp_path / f"{side}.dcm"))
        Path(names[-1]).write_bytes(factories.dicom_bytes(dataset))
    steps.upload(reader, server, *names)
    reader.wait_for_url(EXAM_URL, timeout=60_000)
    _settle(reader)
    right, left = _grey(reader, "RCC"), _grey(reader, "LCC")
    assert right[:, -3:].max() > 40 and left[:, :3].max() > 40  # chest walls meet
    tip = [np.flatnonzero((each > 25).any(axis=0)) for each in (right[:, ::-1], left)]
    assert tip[0][-1] == pytest.approx(tip[1][-1], abs=0.02 * len(left))  # same scale
    rows = [np.flatnonzero(each[:, tip[1][-1] - 4] > 25).mean() for each in (right[:, ::-1], left)]
    assert rows[0] == pytest.approx(rows[1], abs=0.02 * len(left))  # nipples level
    for keys in (["ArrowRight"] * 10, ["+"] * 4 + ["ArrowLeft"] * 25, ["ArrowDown"] * 20):
        _press(reader, *keys)  # of linked views that have different margins
        assert _all_in_sight(reader, "RCC", "LCC")


@pytest.fixture(scope="module")
def faulty(reader: Page, server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of an exam: RCC upside down, and LCC on a film with a name and a side marker beside it."""
    folder = tmp_path_factory.mktemp("faulty")
    left = factories.breast(1300, 1037, seed=5)
    ink = np.zeros(left.shape, np.uint8)
    cv2.putText(ink, "DOE JANE", (560, 110), cv2.FONT_HERSHEY_SIMPLEX, 2.4, 255, 7)
    cv2.putText(ink, "L CC", (780, 1240), cv2.FONT_HERSHEY_SIMPLEX, 2.4, 255, 7)
    for name, pixels in (("R", RIGHT[::-1, ::-1]), ("L", np.maximum(left, ink.astype(np.uint16) * 250))):
        dataset = factories.dicom(np.ascontiguousarray(pixels))
        dataset.ImageLaterality, dataset.ViewPosition = name, "CC"
        dataset.StudyInstanceUID, dataset.PixelSpacing = "1.2.4", [SPACING_MM, SPACING_MM]
        if name == "L":
            dataset.BurnedInAnnotation = "YES"
        (folder / f"{name}.dcm").write_bytes(factories.dicom_bytes(dataset))
    steps.upload(reader, server, *map(str, folder.iterdir()))
    reader.wait_for_url(EXAM_URL, timeout=60_000)
    return reader.url


@pytest.mark.slow
def test_an_image_upside_down_is_noticed_and_turned_on_request(reader: Page, faulty: str):
    reader.goto(faulty)
    _settle(reader)
    right = _cell(reader, "RCC")
    expect(reader.locator(".proposal")).to_have_count(1)
    expect(right.locator(".proposal")).to_contain_text("It would be usual turned by 180°.")
    before = _grey(reader, "RCC") > 20
    right.get_by_role("button", name="Turn").click()
    expect(reader.get_by_text("Orientation set.")).to_be_visible()
    _settle(reader)
    expect(reader.locator(".proposal")).to_have_count(0)
    expect(right.locator("[data-orientation]")).to_have_text("Turned 180°")
    after = _grey(reader, "RCC") > 20
    assert after[:, -1].mean() > 0.5 > 0.1 > before[:, -1].mean()  # the chest wall is where the other one is
    _press(reader, "q", "Backspace")
    expect(right.locator("[data-orientation]")).to_have_text("Turned 180°")  # as it was set
    reader.reload()
    _settle(reader)
    assert np.abs(_grey(reader, "RCC") - _grey(reader, "LCC")[:, ::-1]).mean() < 8


@pytest.mark.slow
def test_a_marker_that_was_blanked_is_drawn_again_beside_the_breast(reader: Page, faulty: str):
    reader.goto(faulty)
    _settle(reader)
    expect(reader.locator(".side-marker")).to_have_count(1)
    marker = _cell(reader, "LCC").locator(".side-marker")
    expect(marker).to_have_text("LCC")
    expect(_cell(reader, "LCC")).to_contain_text("marks blanked, marker drawn")
    expect(reader.locator(".caveats")).to_contain_text("Text or marks beside the breast were blanked")
    _press(reader, "f")  # all of the image
    whole = _grey(reader, "LCC")
    assert (whole[:, -whole.shape[1] // 5 :] < 25).all()  # neither name nor marker
    _cell(reader, "LCC").focus()
    for keys, side in (((), "right"), (("k",), "left"), (("k",), "right")):
        _press(reader, *keys)
        box, cell = marker.bounding_box(), _cell(reader, "LCC").bounding_box()
        assert box and cell
        left, top = box["x"] - cell["x"], box["y"] - cell["y"]
        assert (left > cell["width"] / 2) == (side == "right") and top < cell["height"] / 8
        under = np.s_[round(top) : round(top + box["height"]), round(left) : round(left + box["width"])]
        assert (_grey(reader, "LCC")[under] < 25).all()
    reader.emulate_media(media="print")
    expect(marker).to_be_visible()
    reader.emulate_media(media="screen")


def test_pinching_zooms(room: Page):
    box = _cell(room, "RCC").bounding_box()
    assert box
    x, y = box["x"] + 300, box["y"] + 150
    session = room.context.new_cdp_session(room)

    def touch(kind: str, *distances: int) -> None:
        points = [{"x": x + distance, "y": y, "id": number} for number, distance in enumerate(distances)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = int(re.findall(r"\d+", _readout(room))[0])
    touch("touchStart", -20, 20)
    touch("touchMove", -60, 60)
    touch("touchEnd")
    _settle(room)
    assert int(re.findall(r"\d+", _readout(room))[0]) == pytest.approx(3 * before, rel=0.1)


def test_distances_are_in_millimetres(room: Page):
    _press(room, "z", "x", " ", *["ArrowLeft"] * 10, " ")
    expect(room.locator("[data-status]")).to_have_text(f"Distance: {100 * SPACING_MM:.0f} mm")
    assert (_shown(room)[..., 2].astype(int) - _shown(room)[..., 0]).max() > 60  # a line in colour
    _press(room, "Backspace")
    assert np.ptp(_shown(room).astype(int), axis=2).max() == 0


def test_the_magnifier_enlarges_the_area_under_it(room: Page):
    _press(room, "v", "v")  # two views, whose cells are broad enough
    before = _grey(room)
    _press(room, "g")
    changed = np.argwhere(_grey(room) != before)
    assert len(changed) > 5000
    _press(room, "ArrowLeft", "ArrowLeft")
    moved = np.argwhere(_grey(room) != before)
    assert moved[:, 1].min() == pytest.approx(changed[:, 1].min() - 20, abs=3)
    _press(room, "Escape")
    assert np.array_equal(_grey(room), before)


def test_the_heat_map_is_loaded_on_demand(room: Page):
    def colour() -> int:
        return int(np.ptp(_shown(room).astype(int), axis=2).sum())

    assert colour() == 0
    assert not room.get_by_label("Heat map", exact=True).is_checked()
    _press(room, "h")
    room.wait_for_load_state("networkidle")
    _settle(room)
    half = colour()
    assert half > 0
    shown = _shown(room)
    _press(room, "<", "<")
    assert 0 < colour() < half
    _press(room, ">", ">", "]")
    room.wait_for_load_state("networkidle")
    _settle(room)
    assert not np.array_equal(_shown(room), shown)
    _press(room, "[")
    assert np.array_equal(_shown(room), shown)
    _press(room, "h")
    assert colour() == 0


@pytest.mark.slow
def test_heat_maps_reach_the_chest_wall(room: Page):
    breast = _grey(room) > 20
    coloured = np.zeros_like(breast)
    _press(room, "h")
    for _ in range(5):  # each map leaves out where it has less evidence than on average
        _press(room, "]")
        room.wait_for_load_state("networkidle")
        _settle(room)
        coloured |= np.ptp(_shown(room).astype(int), axis=2) > 4
    wall = np.s_[:, -3:]
    assert breast[wall].any(axis=1).sum() > 100
    assert coloured[wall][breast[wall]].mean() > 0.9


def test_layouts_and_navigation_between_views(room: Page):
    shown = room.locator(".cell:visible figcaption")
    expect(shown).to_have_count(4)
    in_a_row = {_cell(room, label).bounding_box()["y"] for label in ("RCC", "LCC", "RMLO", "LMLO")}
    assert len(in_a_row) == 1  # the window is broad
    _press(room, "v")
    expect(shown).to_have_count(4)
    rows = [_cell(room, label).bounding_box()["y"] for label in ("RCC", "LCC", "RMLO", "LMLO")]
    assert rows[0] == rows[1] < rows[2] == rows[3]
    room.set_viewport_size({"width": 1000, "height": 1400})
    _press(room, "Backspace")
    rows = [_cell(room, label).bounding_box()["y"] for label in ("RCC", "LCC", "RMLO", "LMLO")]
    assert rows[0] == rows[1] < rows[2] == rows[3]
    room.set_viewport_size({"width": 1280, "height": 800})
    _press(room, "v")
    expect(shown).to_have_text([re.compile("^RCC"), re.compile("^LCC")])
    _press(room, ".", ".")
    expect(shown).to_have_text([re.compile("^RMLO"), re.compile("^LMLO")])
    _press(room, "v")
    expect(shown).to_have_text([re.compile("^RMLO")])
    _press(room, ".")
    expect(shown).to_have_text([re.compile("^LMLO")])
    _press(room, ",", "v")
    expect(shown).to_have_count(4)
    assert len({each.bounding_box()["y"] for each in room.locator(".cell").all()}) == 1
    expect(_cell(room, "RMLO")).to_have_class(re.compile(r"\bactive\b"))


def test_keys_are_listed_and_ignored_in_form_fields(room: Page):
    room.keyboard.press("?")
    dialog = room.get_by_role("dialog", name="Shortcuts")
    expect(dialog).to_contain_text("magnifier")
    room.keyboard.press("i")  # does nothing while the list is open
    room.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    before = _grey(room)
    room.evaluate("document.querySelector('.panel').prepend(document.createElement('textarea'))")
    room.locator(".panel textarea").first.focus()
    _press(room, "i", "z", "Backspace")
    assert np.array_equal(_grey(room), before)
    expect(room.locator(".panel textarea").first).to_have_value("i")


def test_marks_are_drawn_and_shown(room: Page):
    room.evaluate(
        """() => {
            const room = document.querySelector("[data-reading-room]");
            room.addEventListener("birads:marked", (event) => (window.marked = event.detail));
            room.dispatchEvent(new CustomEvent("birads:mark-mode", { detail: { on: true } }));
        }"""
    )
    cell = _cell(room, "LCC")
    cell.click(position={"x": 60, "y": 150})
    marked = room.evaluate("window.marked")
    assert marked["image"] == cell.get_attribute("data-image")
    box = cell.bounding_box()
    zoom = int(re.findall(r"\d+", _readout(room, "LCC"))[0]) / 100
    assert box
    # The chest wall is at the edge of the cell, the nipple in the middle of its height.
    assert marked["x"] == pytest.approx(60 / (zoom * 1037), abs=0.02)
    assert marked["y"] == pytest.approx(0.5 + (150 - box["height"] / 2) / (zoom * 1300), abs=0.02)
    room.evaluate(
        """(mark) => {
            const room = document.querySelector("[data-reading-room]");
            const marks = [{ ...mark, number: 1, current: true }];
            room.dispatchEvent(new CustomEvent("birads:marks", { detail: { marks } }));
        }""",
        marked,
    )
    _press(room, "z")
    room.evaluate(
        """(mark) => document.querySelector("[data-reading-room]").dispatchEvent(
            new CustomEvent("birads:show", { detail: mark }))""",
        marked,
    )
    _settle(room)
    ring = np.argwhere(np.ptp(_shown(room, "LCC").astype(int), axis=2) > 60)
    assert len(ring) > 50
    assert np.abs(ring.mean(axis=0) - np.array(_shown(room, "LCC").shape[:2]) / 2).max() < 15


def _ring(page: Page, label: str = "RCC") -> tuple[int, int, int]:
    """Return the lowest row and first column of a view's pink pixels, and their number; the label is above the ring."""
    shown = _shown(page, label).astype(int)
    pink = np.argwhere((shown[..., 0] - shown[..., 1] > 60) & (shown[..., 2] - shown[..., 1] > 50))
    return (int(pink[:, 0].max()), int(pink[:, 1].min()), len(pink)) if len(pink) else (0, 0, 0)


@pytest.mark.slow
def test_ai_marks_are_shown_on_request_follow_the_image_and_are_announced(
    room: Page, server: Server, exam: str, plain_page: Page
):
    switch, said = room.get_by_label("AI marks", exact=True), room.locator("[data-status]")
    expect(switch).to_have_count(0)
    store_ai_marks(server, exam, Mark(0.6, 0.3, 0.125, 0.1, 0.73))
    room.reload()
    _settle(room)
    assert not switch.is_checked() and _ring(room)[2] == 0
    _press(room, "Shift+H")
    assert switch.is_checked()
    height, width = _grey(room).shape
    bottom, left, number = _ring(room)
    zoom = int(re.findall(r"\d+", _readout(room))[0]) / 100
    assert number > 100
    # The chest wall is at the edge of the cell, the nipple in the middle of its height.
    assert left == pytest.approx(width - (0.4 + 0.0625) * 1037 * zoom, abs=8)
    assert bottom == pytest.approx(height / 2 + (0.05 - 0.2) * 1300 * zoom, abs=8)
    assert _ring(room, "LCC")[0] == pytest.approx(bottom, abs=1)
    _press(room, "q")
    assert _ring(room)[1] > width / 2  # what was above the nipple is on its right now
    _press(room, "q", "q", "q", "+", "+")
    assert _ring(room)[1] < left and _ring(room)[2] > number
    _press(room, "Backspace")  # as at first: off
    assert not switch.is_checked() and _ring(room)[2] == 0

    before = _grey(room, "RMLO")
    for label in (
        "Right breast, craniocaudal",
        "Left breast, craniocaudal",
        "Right breast, mediolateral oblique",
    ):
        _press(room, "Shift+G")
        expect(said).to_contain_text(
            re.compile(f"^{label}.* AI mark 1 of 1: AI 73%. .* third, above the nipple")
        )
    assert switch.is_checked() and _cell(room, "RMLO").get_attribute("class") == "cell drawn active"
    assert np.abs(_grey(room, "RMLO") - before).mean() < 4  # in sight, so nothing has moved
    _press(room, *["+"] * 6, *["ArrowLeft"] * 20)
    room.locator("#ai-marks summary").click()
    assert violations(room) == []
    room.get_by_role("button", name="Show AI mark 1, LMLO").click()
    _settle(room)
    zoom = int(re.findall(r"\d+", _readout(room, "LMLO"))[0]) / 100
    assert _ring(room, "LMLO")[0] == pytest.approx(height / 2 + 0.05 * 1300 * zoom, abs=8)
    assert _ring(room, "LMLO")[1] == pytest.approx(width / 2 - 0.0625 * 1037 * zoom, abs=8)
    room.emulate_media(media="print")
    expect(room.locator(".ai-ring:visible")).to_have_count(4)
    room.emulate_media(media="screen")

    plain_page.goto(exam)
    rings = plain_page.locator(".ai-ring:visible")
    expect(rings).to_have_count(0)
    plain_page.get_by_label("AI marks", exact=True).check()
    expect(rings).to_have_count(4)
    picture, ring = (
        plain_page.locator(each).first.bounding_box() for each in (".display", ".ai-ring ellipse")
    )
    assert picture and ring
    scale = min(picture["height"] / 1300, picture["width"] / 1037)
    assert ring["x"] + ring["width"] / 2 == pytest.approx(
        picture["x"] + picture["width"] - 0.4 * 1037 * scale, abs=3
    )
    store_ai_marks(server, exam)


@pytest.mark.slow
def test_points_keep_their_place_on_a_turned_image(room: Page):
    room.evaluate(
        """() => {
            const room = document.querySelector("[data-reading-room]");
            room.addEventListener("birads:marked", (event) => (window.marked = event.detail));
            const image = document.querySelector(".cell").dataset.image;
            const marks = [{ image, x: 0.8, y: 0.3, number: 1, current: true }];
            room.dispatchEvent(new CustomEvent("birads:marks", { detail: { marks } }));
            room.dispatchEvent(new CustomEvent("birads:mark-mode", { detail: { on: true } }));
        }"""
    )
    room.keyboard.press("Escape")
    _press(room, "q", "k", "q")
    ring = np.argwhere(np.ptp(_shown(room).astype(int), axis=2) > 60).mean(axis=0)
    room.evaluate(
        """() => document.querySelector("[data-reading-room]").dispatchEvent(
            new CustomEvent("birads:mark-mode", { detail: { on: true } }))"""
    )
    _cell(room, "RCC").click(position={"x": float(ring[1]) - 5, "y": float(ring[0]) + 5})
    marked = room.evaluate("window.marked")
    assert marked["x"] == pytest.approx(0.8, abs=0.03) and marked["y"] == pytest.approx(0.3, abs=0.03)


def test_without_tiles_the_display_image_is_shown(reader: Page, exam: str):
    reader.route("**/tiles", lambda route: route.fulfill(status=404, body=""))
    reader.goto(exam)
    _settle(reader)
    reader.unroute("**/tiles")
    assert "Reduced resolution" in _readout(reader)
    assert np.ptp(_grey(reader)) > 60
    _press(reader, "+", "+")
    assert np.ptp(_grey(reader)) > 60


def test_the_layout_does_not_shift_while_the_page_loads(room: Page):
    shift = room.evaluate(
        """() => new Promise((done) => new PerformanceObserver((list) => done(
            list.getEntries().reduce((sum, entry) => sum + entry.value, 0)
        )).observe({ type: "layout-shift", buffered: true }) || setTimeout(() => done(0), 300))"""
    )
    assert shift < 0.005


def test_images_and_heat_maps_work_without_javascript(plain_page: Page, exam: str):
    plain_page.goto(exam)
    boxes = [each.bounding_box() for each in plain_page.locator(".display").all()]
    assert len(boxes) == 4 and all(box and box["width"] > 300 for box in boxes)
    heat = plain_page.locator(".heat:visible")
    expect(heat).to_have_count(0)
    plain_page.get_by_label("Heat map", exact=True).check()
    plain_page.locator(".heat-code[value='2']").check()
    expect(heat).to_have_count(4)
    expect(heat.first).to_have_attribute("data-code", "2")
    assert heat.first.bounding_box() == plain_page.locator(".display").first.bounding_box()


def test_an_exam_of_one_image_fills_the_viewer(reader: Page, server: Server, tmp_path: Path):
    path = tmp_path / "one.png"
    path.write_bytes(factories.mammogram_png(3))
    steps.upload(reader, server, str(path))
    reader.wait_for_url(EXAM_URL, timeout=60_000)
    _settle(reader)
    box, light_box = reader.locator(".cell").bounding_box(), reader.locator(".light-box").bounding_box()
    assert box == light_box
    label = reader.locator("figcaption b").inner_text()
    assert "Not calibrated" in _readout(reader, label) and "As stored" in _readout(reader, label)
    _press(reader, "z", "x", " ", *["ArrowLeft"] * 5, " ")
    expect(reader.locator("[data-status]")).to_have_text("Distance: 50 px")
