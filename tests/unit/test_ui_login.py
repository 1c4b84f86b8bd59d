"""The page with a password: who gets in, and what is answered to the others."""

import httpx
import pytest

from gradio_ui.login import USER, Login, asked
from gradio_ui.settings import Settings
from jobs.environment import BadSetting
from tests.guarded_page import PASSWORD, guarded_page

ENVIRON = {"DARKROOM_API_URL": "http://127.0.0.1:9"}
#: What shows or does something, each as far as it gets without a login.
CLOSED = (
    ("GET", "/config"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/file=/etc/passwd"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/run/predict"),
    ("GET", "/gradio_api/queue/data?session_hash=a"),
)


@pytest.mark.parametrize(
    ("user", "password", "opens"),
    [
        (USER, PASSWORD, True),
        (USER, PASSWORD + "s", False),
        (USER, "", False),
        ("somebody", PASSWORD, False),
        (USER, "corr\u00e8ct", False),
    ],
)
def test_one_user_with_one_password_gets_in(user, password, opens):
    """Whatever characters the others try."""
    assert Login(PASSWORD)(user, password) is opens


def test_without_a_password_there_is_no_login():
    """On loopback, and behind a forwarded port."""
    assert asked(None) == {}


def test_a_password_is_not_shown_when_it_is_logged():
    """Neither with the settings nor with the login."""
    settings = Settings.from_env(ENVIRON | {"DARKROOM_UI_PASSWORD": PASSWORD})
    assert PASSWORD not in repr(settings) + repr(Login(PASSWORD))


@pytest.mark.parametrize("given", [{}, {"DARKROOM_UI_PASSWORD": ""}])
def test_exposed_without_a_password_it_does_not_start(given):
    """The message names the variable."""
    with pytest.raises(BadSetting, match="DARKROOM_UI_PASSWORD"):
        Settings.from_env(ENVIRON | {"DARKROOM_UI_EXPOSED": "1"} | given)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A page with a password, in a process of its own."""
    with guarded_page(tmp_path_factory.mktemp("ui")) as url:
        yield url


def test_a_health_check_without_a_login_is_answered_and_shows_nothing_of_the_page(url):
    """By the load balancer and by Kubernetes, at the same path."""
    answer = httpx.get(f"{url}/")
    assert answer.status_code == 200
    assert "auth_required" in answer.text
    assert "Words in, a picture develops" not in answer.text


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_nothing_else_is_answered_without_a_login(url, method, path):
    """401, whatever is asked."""
    assert httpx.request(method, url + path, json={}).status_code == 401


def test_with_the_password_the_page_is_there(url):
    """By a cookie that no script can read."""
    with httpx.Client(base_url=url) as visitor:
        wrong = visitor.post("/login", data={"username": USER, "password": "guessed"})
        assert wrong.status_code == 400
        assert visitor.get("/config").status_code == 401
        right = visitor.post("/login", data={"username": USER, "password": PASSWORD})
        assert right.status_code == 200
        assert all("HttpOnly" in each for each in right.headers.get_list("set-cookie"))
        assert visitor.get("/config").status_code == 200
