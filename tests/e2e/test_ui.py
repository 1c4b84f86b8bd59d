"""The page in a real browser, in front of the whole stack."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

#: For a stack whose generation starts at zero replicas. Waited for as an event.
COLD_START_MS = 120_000


@pytest.fixture
def page(stack, browser: Browser) -> Iterator[Page]:
    """The page with its models there. It may have asked for nothing outside of loopback."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(stack.ui_url)
    expect(page.locator("#model input")).not_to_have_value("")
    yield page
    page.close()
    hosts = {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def _status(page: Page, tone: str):
    return page.locator(f"#status .line.{tone}")


def _write(page: Page, prompt: str) -> None:
    page.locator("#prompt textarea").fill(prompt)


def test_a_prompt_becomes_a_picture(page: Page):
    """Typed, Generate clicked: the picture is there, the line says so and names the job."""
    _write(page, "a red circle on a blue background")
    page.locator("#generate").click()
    expect(_status(page, "done")).to_be_visible(timeout=COLD_START_MS)
    expect(_status(page, "done")).to_contain_text("Done")
    expect(page.locator("#status ul")).to_contain_text("job ")
    page.wait_for_function("document.querySelector('#gallery img')?.naturalWidth > 0")
    expect(page.locator("#seed textarea, #seed input")).not_to_have_value("")
    expect(page.locator("#generate")).to_be_enabled()


def test_enter_submits_the_prompt_and_stop_cancels_the_job(page: Page):
    """Generate becomes Stop while the job is there to be stopped."""
    _write(page, "a green square on a white background")
    # Long enough that it still runs when it is stopped.
    steps = page.locator("#num_inference_steps input[type=number]")
    steps.fill(page.locator("#num_inference_steps input[type=range]").get_attribute("max"))
    steps.blur()
    page.locator("#prompt textarea").press("Enter")
    page.locator("#stop").click(timeout=COLD_START_MS)
    expect(_status(page, "stopped")).to_be_visible(timeout=COLD_START_MS)
    expect(page.locator("#generate")).to_be_visible()


def test_an_empty_prompt_shows_what_the_api_says(page: Page):
    """The refusal names the field, and the page can be used again."""
    page.locator("#generate").click()
    expect(_status(page, "failed")).to_be_visible()
    expect(page.locator("#status ul")).to_contain_text("Prompt:")
    expect(page.locator("#generate")).to_be_enabled()


def test_a_prompt_that_is_too_long_for_the_model_is_refused_by_name(page: Page):
    """A limit of the model, which the page does not know of itself."""
    _write(page, "long " * 1000)
    page.locator("#generate").click()
    expect(_status(page, "failed")).to_be_visible()
    expect(page.locator("#status ul")).to_contain_text("Prompt:")


def test_the_task_decides_which_parameters_there_are(page: Page):
    """An image brings its own size; strength means something only with one."""
    expect(page.locator("#width")).to_be_visible()
    page.locator("#task label", has_text="Inpaint").click()
    expect(page.locator("#mask_image")).to_be_visible()
    expect(page.locator("#strength")).to_be_visible()
    expect(page.locator("#width")).to_be_hidden()
    page.locator("#task label", has_text="From words").click()
    expect(page.locator("#width")).to_be_visible()
    expect(page.locator("#mask_image")).to_be_hidden()


def test_an_uploaded_image_becomes_another_picture(page: Page, tmp_path: Path):
    """Scaled into the model's bounds by the page, so that any photograph will do."""
    from PIL import Image

    Image.new("RGB", (640, 480), (30, 60, 200)).save(tmp_path / "photo.jpg")
    page.locator("#task label", has_text="From an image").click()
    page.locator("#image input[type=file]").set_input_files(tmp_path / "photo.jpg")
    expect(page.locator("#image img")).to_be_visible()
    _write(page, "a yellow star on a blue background")
    page.locator("#generate").click()
    expect(_status(page, "done")).to_be_visible(timeout=COLD_START_MS)
    page.wait_for_function("document.querySelector('#gallery img')?.naturalWidth > 0")


def test_the_documentation_of_the_api_needs_no_other_server(stack, browser: Browser):
    """Whoever has no way out sees it too."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{stack.api_url}/docs")
    expect(page.get_by_text("/v1/jobs/{name}/cancel").first).to_be_visible()
    page.close()
    hosts = {urlsplit(url).hostname for url in asked if url.startswith("http")}
    assert hosts == {"127.0.0.1"}
