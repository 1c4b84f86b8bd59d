"""Work of a job that is not a denoising step: done beside the tick, one module at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

T = TypeVar("T")


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
    """The threads that do asides; `done` is called where it was done.

    With 0 threads an aside is done at once, on the tick's. That is for a CPU that has several
    threads in each forward: a second team of OpenMP's threads, and it stays as long as its
    master does, stops the first from waiting actively (more threads than cores), which makes
    small forwards a fifth slower. And nothing is lost: the aside would take the same cores.
    """

    def __init__(self, threads: int) -> None:
        self._pool: Executor = AtOnce()
        if threads:
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="aside")

    def submit(self, aside: Aside, done: Callable[[Future[Any]], None]) -> None:
        """Start it, or let it wait for a thread."""
        self._pool.submit(aside.run).add_done_callback(done)

    def close(self) -> None:
        """Wait for what runs; drop what waits."""
        self._pool.shutdown(cancel_futures=True)


class AtOnce(Executor):
    """Does on the caller's thread whatever it is given."""

    def submit(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """What came of it, already."""
        future: Future[T] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # whoever asks for the result gets it
            future.set_exception(error)
        return future
