"""What integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from kubernetes import client

from serve_app.engine.engine import Engine, EngineSettings
from tests.integration.crd_server import connected, running_api_server
from tests.integration.serve_stack import ServeStack, running_stack


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Of a real API server for custom resources, one for all: it takes half a minute to start."""
    with running_api_server() as found:
        yield found


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    """A connection to it."""
    with connected(kubeconfig) as connection:
        yield connection


@pytest.fixture(scope="session")
def stack() -> Iterator[ServeStack]:
    """One Ray for the tests that speak with it; starting it takes half a minute."""
    with running_stack() as running:
        yield running


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A fresh one for each test, on one thread: plain call and engine add up in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = Engine(EngineSettings(torch_threads=1))
    yield engine
    engine.close()
    torch.set_num_threads(threads)
