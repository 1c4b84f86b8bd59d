"""The page with a password, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from gradio_ui.login import USER
from tests.guarded_page import PASSWORD, guarded_page


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with a password."""
    with guarded_page(tmp_path_factory.mktemp("ui")) as url:
        yield url


@pytest.fixture
def page(url: str, browser: Browser) -> Iterator[Page]:
    """What a visitor sees first."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    expect(page.get_by_label("username")).to_be_visible(timeout=60_000)
    yield page
    page.close()


def enter(page: Page, password: str) -> None:
    page.get_by_label("username").fill(USER)
    page.get_by_label("password").fill(password)
    page.get_by_role("button", name="Login").click()


def test_a_visitor_is_asked_for_the_password_and_sees_nothing_else(page: Page):
    """Whose, is said; neither prompt nor button is there."""
    expect(page.get_by_text(f"user is {USER}")).to_be_visible()
    assert page.get_by_label("password").get_attribute("type") == "password"
    expect(page.locator("#generate")).to_have_count(0)


def test_a_wrong_password_is_told_and_lets_nobody_in(page: Page):
    """In words, on the same page."""
    enter(page, "guessed")
    expect(page.get_by_text("Incorrect Credentials")).to_be_visible()
    expect(page.locator("#generate")).to_have_count(0)


def test_the_right_password_opens_the_page(page: Page):
    """Until the browser forgets it."""
    enter(page, PASSWORD)
    expect(page.locator("#generate")).to_be_visible(timeout=60_000)
    page.reload()
    expect(page.locator("#generate")).to_be_visible(timeout=60_000)
