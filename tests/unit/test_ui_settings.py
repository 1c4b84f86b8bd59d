"""The variables that page and load test read."""

import pytest

from gradio_ui.settings import Settings as UiSettings
from jobs.environment import BadSetting
from loadtest.settings import Settings as LoadSettings


def test_the_page_needs_only_the_api_and_stays_on_loopback():
    """Everything else has a default."""
    settings = UiSettings.from_env({"DARKROOM_API_URL": "http://127.0.0.1:1"})
    assert (settings.host, settings.port, settings.api_key) == ("127.0.0.1", 7860, None)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "DARKROOM_API_URL"),
        ({"DARKROOM_API_URL": "http://x", "DARKROOM_UI_PORT": "http"}, "DARKROOM_UI_PORT"),
        ({"DARKROOM_API_URL": "http://x", "DARKROOM_UI_PORT": "0"}, "DARKROOM_UI_PORT"),
    ],
)
def test_a_wrong_variable_of_the_page_is_named(environ, name):
    """The message is enough to correct it."""
    with pytest.raises(BadSetting, match=name):
        UiSettings.from_env(environ)


def test_a_missing_variable_of_the_load_test_is_named():
    """Without a queue no job could be accounted for."""
    with pytest.raises(BadSetting, match="DARKROOM_NOTICE_QUEUE_URL"):
        LoadSettings.from_env({"DARKROOM_API_URL": "http://x"})


def test_a_key_is_not_shown_when_settings_are():
    """They may end in a log."""
    environ = {
        "DARKROOM_API_URL": "http://x",
        "DARKROOM_API_KEY": "secret",
        "DARKROOM_NOTICE_QUEUE_URL": "http://q",
    }
    assert "secret" not in repr(UiSettings.from_env(environ))
    assert "secret" not in repr(LoadSettings.from_env(environ))
