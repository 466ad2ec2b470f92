"""Measure the time to the first sharp image of an exam: ``python tests/browser/first_view.py [--rounds 7]``.

Four views of 13.6 megapixels each are read once, then opened again and again in a browser that keeps nothing.
Times count from the beginning of the navigation: until the browser painted the first view, until all four were
there, and until the tiles had taken their place; the first of the rounds has no tiles yet on the server's side.
After that, a zoom to 1:1. The server is the product as it is run; the peak memory of its workers meanwhile is
told as well.
"""

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

import chromium
import pydicom
import steps
from playwright.sync_api import Browser, Page
from server import ROOT, Server, serve

sys.path.insert(0, str(ROOT))

from bench import exam  # noqa: E402
from bench.worker import peak_mb  # noqa: E402

REQUIRED_S = 1.0
_VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
_LIMIT_MS = 60_000
# The largest picture that was painted first is a view: nothing else on the page is as large.
_FIRST = """() => new Promise((done) => new PerformanceObserver((list) => {
    const views = list.getEntries().filter((entry) => entry.element?.matches(".display"));
    if (views.length) done(views[0].startTime / 1000);
}).observe({ type: "largest-contentful-paint", buffered: true }))"""
_ALL = """async () => {
    await Promise.all([...document.querySelectorAll(".display")].map((image) => image.decode()));
    return performance.now() / 1000;
}"""
_SHARP = """async () => {
    const busy = () => document.querySelector(".cell:not([aria-busy=false])");
    while (busy()) await new Promise((done) => requestAnimationFrame(done));
    return performance.now() / 1000;
}"""
_TO_PIXELS = """async () => {
    const from = performance.now();
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "z", bubbles: true }));
    await frame();
    await frame();
    while (document.querySelector(".cell:not([aria-busy=false])")) await frame();
    return (performance.now() - from) / 1000;
}"""


@dataclass(frozen=True)
class Times:
    """Times in seconds: from the start of the navigation, and of a zoom from the key press."""

    first: float
    all: float
    sharp: float
    pixels: float


def main() -> int:
    """Measure and print; return 1 if the first view takes longer than required."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="the median counts")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, chromium.launch() as browser:
        address = _exam(browser, server, Path(folder))
        for process in _workers(server):  # from now on: taking the exam in has a peak of its own
            Path("/proc", process, "clear_refs").write_text("5")
        cold, *warm = [_measure(browser, server, address) for _ in range(rounds + 1)]
        peak = max(peak_mb(process) for process in _workers(server))
    print(f"four views of {exam.COLUMNS} x {exam.ROWS} pixels, median of {rounds} (first time)")
    for name, words in (
        ("first", "first view seen, s"), ("all", "all four seen, s"), ("sharp", "all at full depth, s"),
        ("pixels", "then to 1:1, s"),
    ):  # fmt: skip
        values = [getattr(one, name) for one in warm]
        print(f"  {words:<24}{median(values):6.2f}   ({getattr(cold, name):.2f})")
    print(f"  {'peak of a worker, MB':<24}{peak:6.0f}")
    return int(median(one.first for one in warm) > REQUIRED_S)


def _exam(browser: Browser, server: Server, folder: Path) -> str:
    """Upload four views and return the address of the exam."""
    data = exam.large_dicom()
    paths = []
    for side, view in _VIEWS:
        paths.append(folder / f"{side}-{view}.dcm")
        paths[-1].write_bytes(_labelled(data, side, view))
    page = browser.new_page()
    steps.set_up(page, server)
    steps.upload(page, server, *map(str, paths))
    page.wait_for_url(re.compile(r"/exams/[0-9a-f]{32}$"), timeout=_LIMIT_MS, wait_until="commit")
    address = page.url
    page.context.close()
    return address


def _labelled(data: bytes, side: str, view: str) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data))
    dataset.ImageLaterality, dataset.ViewPosition = side, view
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def _measure(browser: Browser, server: Server, address: str) -> Times:
    page: Page = browser.new_page(viewport={"width": 1280, "height": 800})
    steps.sign_in(page, server)
    page.goto(address, wait_until="commit")
    times = Times(*(page.evaluate(script) for script in (_FIRST, _ALL, _SHARP, _TO_PIXELS)))
    page.context.close()
    return times


def _workers(server: Server) -> list[str]:
    return re.findall(r"Booting worker with pid: (\d+)", server.console.read_text())


if __name__ == "__main__":
    raise SystemExit(main())
