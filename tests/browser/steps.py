"""Steps of a user on the pages."""

from playwright.sync_api import Page, expect
from server import Server

NAME = "admin"
PASSWORD = "a quiet reading room"


def set_up(page: Page, server: Server, title: str = "Exams") -> None:
    """Create the administrator with the token from the console; ``title`` is the title of the next page."""
    page.goto(f"{server.url}/")
    expect(page).to_have_url(f"{server.url}/setup")
    page.locator("[name=token]").fill(server.setup_token())
    page.locator("[name=name]").fill(NAME)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=confirm]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def sign_in(page: Page, server: Server, name: str = NAME) -> None:
    """Sign in, as the administrator unless another is named."""
    page.goto(f"{server.url}/login")
    page.locator("[name=name]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Exams")


def upload(page: Page, server: Server, *files: str) -> None:
    """Send files as one exam."""
    page.goto(f"{server.url}/upload")
    page.locator("#files").set_input_files(list(files))
    page.locator("#upload button[type=submit]").click()
