"""What the engine's tests share."""

from collections.abc import Iterator

import pytest
import torch

from serve_app.engine.engine import Engine, EngineSettings


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A fresh one for each test, on one thread: plain call and engine add up in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = Engine(EngineSettings(torch_threads=1))
    yield engine
    engine.close()
    torch.set_num_threads(threads)
