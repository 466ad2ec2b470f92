"""Debian's Chromium, driven by Playwright; without it tests are skipped, or fail under ``CI=true``."""

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

# Chromium's own pages, 200 files beside each new tab; then what Playwright disables, whose list this one replaces.
_DISABLED = (
    "PreloadTopChromeWebUI", "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose",
    "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "MediaRouter", "PaintHolding",
    "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints",
    "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
)  # fmt: skip
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(_DISABLED)}",
]
# Taken out of the environment: the product refuses variables of its prefix that it does not know.
REQUIRED = os.environ.pop("BIRADS_REQUIRE_BROWSER", "") == "1" or os.environ.get("CI") == "true"
# Chromium itself logs every answer from 400 on to the console; those are the pages' wording of a refusal.
ANSWERS = "Failed to load resource: the server responded with a status of 4"
# A test that takes the network away says so itself.
OFFLINE = "net::ERR_INTERNET_DISCONNECTED"
MOST_SHIFT = 0.02  # cumulative layout shift; 0.1 is called good (web.dev)
SHIFT = """() => new Promise((done) => {
    let sum = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
    setTimeout(() => done(sum), 50);
})"""


def path() -> str | None:
    """Return the path of Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def launch() -> Iterator[Browser]:
    """Start a headless Chromium; closed on leaving."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def complaints(page: Page) -> list[str]:
    """Collect errors that the page logs from now on: scripts, missing files, the content security policy."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        expected = message.text.startswith(ANSWERS) or OFFLINE in message.text
        if message.type in ("error", "warning") and not expected:
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: _note_failure(found, request))
    return found


def _note_failure(found: list[str], request: Request) -> None:
    """Ignore requests that were aborted by navigation, or found no network."""
    if request.failure not in ("net::ERR_ABORTED", OFFLINE):
        found.append(f"{request.url}: {request.failure}")
