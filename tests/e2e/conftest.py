"""The whole system, started once for all of these tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, sync_playwright

from client.client import Client
from darkroom.stack import Stack, StackOptions
from jobs.samples import sample_request

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
#: Nothing of the browser's own housekeeping, which would look for the outside world.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Seconds, short, so that a killed bridge's job is seen again within a test.
VISIBILITY_S = 6
LEASE_S = 5


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion with random weights: quick, and another picture for every prompt."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    subprocess.run(
        [sys.executable, str(ROOT / "models/build_tiny.py"), str(path)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    return path


@pytest.fixture(scope="session")
def stack_environ(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a stack with two runtimes, `first` and `second`.

    Both have a tiny model with random weights, the first one also the bundled model.
    """
    model = {
        "path": str(tiny_model),
        "defaults": {"width": 64, "height": 64, "num_inference_steps": 4, "guidance_scale": 5.0},
        "limits": {"max_side": 256, "max_pixels": 65536, "max_num_inference_steps": 900},
        "schedulers": ["DDIMScheduler", "EulerDiscreteScheduler"],
    }
    demo = {
        **model,
        "path": str(ROOT / "models/demo"),
        "defaults": {"width": 64, "height": 64, "num_inference_steps": 20, "guidance_scale": 5.0},
    }
    runtimes = {
        name: {"models": {f"tiny-{name}": model}, "replicas": {"max": 1, "admit_window": 4}}
        for name in ("first", "second")
    }
    runtimes["first"]["models"]["demo"] = demo
    runtimes["first"]["default_model"] = "tiny-first"
    path = tmp_path_factory.mktemp("catalogue") / "runtimes.yaml"
    path.write_text(yaml.safe_dump({"runtimes": runtimes}))
    return {"DARKROOM_RUNTIMES": str(path), "DARKROOM_LEASE_S": str(LEASE_S)}


@pytest.fixture(scope="session")
def stack(stack_environ: dict[str, str]) -> Iterator[Stack]:
    """The running stack."""
    options = StackOptions(
        environ=stack_environ,
        visibility_s=VISIBILITY_S,
        subscribers=("demo", "loadtest"),
        idle_s=600,
    )
    with Stack.running(options) as running:
        yield running


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[Client]:
    """A client of the stack's API."""
    with Client(stack.api_url, api_key=stack.api_key) as connected:
        yield connected


@pytest.fixture(scope="session")
def slow_request() -> Callable[..., dict[str, object]]:
    """A job that runs for some seconds: long enough to do something to it."""

    def make(**changed: object) -> dict[str, object]:
        return sample_request(num_inference_steps=900, **changed)

    return make


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Where everything must run, its absence is a failure."""
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is missing: apt-get install chromium"
        if os.environ.get("CI") == "true" or os.environ.get("DARKROOM_STRICT") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
