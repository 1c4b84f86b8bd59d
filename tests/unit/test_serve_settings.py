"""The Serve app's settings come from the environment, or say which variable is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.errors import InvalidSettings
from serve_app.settings import LocalSettings, ServeSettings

LOCAL = {
    "DARKROOM_SERVE_PORT": "8000",
    "DARKROOM_DASHBOARD_PORT": "8265",
    "DARKROOM_RAY_TEMP": "/tmp/darkroom/ray",
}


def test_an_empty_environment_gives_the_documented_defaults():
    """Nobody has to set anything to serve on a CPU."""
    settings = ServeSettings.from_env({})
    assert settings == ServeSettings()
    assert (settings.device, settings.dtype, settings.idle_s) == ("cpu", "float32", 300)


def test_every_variable_is_read():
    """Each variable reaches its field."""
    assert ServeSettings.from_env(
        {
            "DARKROOM_RUNTIMES": "/etc/runtimes.yaml",
            "DARKROOM_MODELS_ROOT": "/models",
            "DARKROOM_DEVICE": "cuda",
            "DARKROOM_DTYPE": "bfloat16",
            "DARKROOM_IDLE_S": "60",
            "DARKROOM_START_TIMEOUT_S": "30.5",
        }
    ) == ServeSettings(
        runtimes=Path("/etc/runtimes.yaml"),
        models_root=Path("/models"),
        device="cuda",
        dtype="bfloat16",
        idle_s=60,
        start_timeout_s=30.5,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_DTYPE", "int8"),
        ("DARKROOM_IDLE_S", "soon"),
        ("DARKROOM_IDLE_S", "-1"),
        ("DARKROOM_START_TIMEOUT_S", "inf"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variables_name(name, value):
    """The message names the variable and its value."""
    with pytest.raises(InvalidSettings, match=rf"{name} is '{value}'"):
        ServeSettings.from_env({name: value})


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_a_local_stack_needs_all_three_variables(name):
    """A missing variable is named."""
    with pytest.raises(InvalidSettings, match=rf"{name} is not set"):
        LocalSettings.from_env({key: value for key, value in LOCAL.items() if key != name})


def test_a_temp_directory_too_long_for_rays_sockets_is_refused():
    """Linux cuts a socket's path at 108 bytes; Ray fails obscurely there."""
    with pytest.raises(InvalidSettings, match=r"DARKROOM_RAY_TEMP"):
        LocalSettings.from_env({**LOCAL, "DARKROOM_RAY_TEMP": "/tmp/" + 60 * "x"})


def test_a_token_is_made_where_none_is_given():
    """The dashboard runs code for whoever may talk to it: never without a token."""
    first, second = (LocalSettings.from_env(LOCAL).token for _ in range(2))
    assert len(first) == 64
    assert first != second
    assert LocalSettings.from_env({**LOCAL, "RAY_AUTH_TOKEN": "abc"}).token == "abc"


def test_starting_without_settings_says_so_in_one_line():
    """A person sees a sentence, not a traceback."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "serve_app"],
        cwd=root,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "serve_app: DARKROOM_SERVE_PORT is not set\n"
