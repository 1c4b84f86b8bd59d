"""Work of a job that is not a denoising step: done off the tick's thread, one module at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A call of an encoder, an autoencoder or an image processor."""

    stage: str
    call: Callable[[], Any]
    #: Diffusers' modules are not made for two threads; calls of one module take turns.
    lock: threading.Lock

    def run(self) -> Any:
        """Do it. Autograd's switch is per thread: a new thread would keep graphs."""
        with self.lock, torch.no_grad():
            return self.call()


class AsidePool:
    """The threads that do asides; `done` is called in theirs."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="aside")

    def submit(self, aside: Aside, done: Callable[[Future[Any]], None]) -> None:
        """Start it, or let it wait for a thread."""
        self._pool.submit(aside.run).add_done_callback(done)

    def close(self) -> None:
        """Wait for what runs; drop what waits."""
        self._pool.shutdown(cancel_futures=True)
