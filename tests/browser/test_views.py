"""Side and view of an image are set on the exam's page, with and without scripts."""

import re
from pathlib import Path

import steps
from axe import violations
from playwright.sync_api import Page, expect
from server import Server

from tests.support import factories


def take_in(page: Page, server: Server, folder: Path) -> None:
    """Upload one image whose view nobody understands."""
    dataset = factories.dicom(factories.breast())
    dataset.ImageLaterality, dataset.ViewPosition = "L", "SONDER"
    path = folder / "one.dcm"
    path.write_bytes(factories.dicom_bytes(dataset))
    steps.upload(page, server, str(path))
    expect(page).to_have_url(re.compile(r"/exams/[0-9a-f]{32}"), timeout=90_000)


def set_view(page: Page, side: str, view: str) -> None:
    page.get_by_role("combobox", name="Side, image 1").select_option(side)
    page.get_by_role("combobox", name="View, image 1").select_option(view)
    page.get_by_role("button", name="Set Image 1").click()


def test_a_view_is_set_and_the_result_follows(page: Page, server: Server, tmp_path: Path) -> None:
    take_in(page, server, tmp_path)
    expect(page.get_by_text("No AI result for a breast")).to_be_visible()
    expect(page.locator("#views")).to_have_attribute("open", "")
    assert violations(page) == []
    set_view(page, "R", "CC")
    expect(page.get_by_text("View set.")).to_be_visible()
    expect(page.locator("figcaption b")).to_have_text("RCC")
    expect(page.locator(".breasts dt")).to_have_text("Right breast")
    page.locator("#views > summary").click()
    expect(page.locator("#views")).to_contain_text("Set by")
    assert violations(page) == []
    page.get_by_role("checkbox", name="Special Image 1").check()
    page.get_by_role("button", name="Set Image 1").click()
    expect(page.get_by_text("No AI result for a breast")).to_be_visible()


def test_the_form_works_without_scripts(plain_page: Page, server: Server, tmp_path: Path) -> None:
    take_in(plain_page, server, tmp_path)
    set_view(plain_page, "L", "MLO")
    expect(plain_page.locator("figcaption b")).to_have_text("LMLO")
