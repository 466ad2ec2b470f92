"""Signing in by Chromium: single sign-on at a real provider, two-step verification, accessibility of the pages."""

import re
from pathlib import Path

import chromium
import pyotp
import pytest
import steps
from axe import violations
from playwright.sync_api import Browser, Page, expect
from server import free_port, serve

from tests.support.oidc_provider import run_provider

pytestmark = pytest.mark.slow


def submit(page: Page) -> None:
    page.locator("main button[type=submit]").first.click()


def test_a_person_signs_on_at_the_provider_and_out_again(
    tmp_path: Path, empty_instance: Path, browser: Browser
) -> None:
    with run_provider(free_port()) as provider:
        settings = {**provider.settings(), "WEB_CONCURRENCY": "1"}
        with serve(tmp_path, empty_instance, **settings) as server:
            provider.enter("s-1", preferred_username="rita", groups=["birads-readers"])
            provider.enter("s-2", preferred_username="otto", groups=[])
            first = browser.new_page()
            steps.set_up(first, server)
            first.context.close()
            page = browser.new_page(locale="de-DE")
            found = chromium.complaints(page)
            page.goto(f"{server.url}/login")
            for subject, heading in (("s-2", "Anmelden"), ("s-1", "Untersuchungen")):
                expect(page.get_by_text("oder mit Passwort")).to_be_visible()
                assert violations(page) == []
                page.get_by_role("link", name="Mit Hospital anmelden").click()
                expect(page).to_have_url(re.compile(f"^{provider.issuer}/authorize"))
                page.get_by_label("Subject").fill(subject)
                page.get_by_role("button").click()
                expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            page.get_by_role("button", name="Abmelden").click()
            expect(page).to_have_url(f"{server.url}/login")  # by way of the provider
            expect(page.get_by_role("heading", level=1)).to_have_text("Anmelden")
            page.context.close()
            assert found == []

            page = browser.new_page(viewport={"width": 360, "height": 800})
            found = chromium.complaints(page)
            steps.sign_in(page, server)
            _two_step(page, server.url)
            page.context.close()
            assert found == []


def _two_step(page: Page, url: str) -> None:
    """Set two-step verification up, sign out, and sign in by both steps."""
    page.goto(f"{url}/account/two-step")
    assert violations(page) == []
    page.locator("[name=password]").fill(steps.PASSWORD)
    submit(page)
    assert page.locator(".qr-code svg").bounding_box()["width"] > 150
    assert violations(page) == []
    secret = page.locator(".token code").inner_text().replace(" ", "")
    page.locator("[name=code]").fill(pyotp.TOTP(secret).now())
    submit(page)
    codes = page.locator(".recovery-codes code")
    expect(codes).to_have_count(10)
    assert violations(page) == []
    code = codes.first.inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.locator("[name=name]").fill(steps.NAME)
    page.locator("[name=password]").fill(steps.PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Enter the code")
    assert violations(page) == []
    page.locator("[name=code]").fill(code)
    submit(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Exams")
