"""Compiled twins of denoisers: made beside the work, used once they are warm.

A twin is the same module with the same weights, its repeated blocks compiled. Compiling takes
from seconds to minutes, so the plain module serves until the twin has run once with every
number of rows that it will be given; numbers in between are padded up to the next.
"""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
import torch

from serve_app.engine import forward
from serve_app.engine.forward import Forward, Key

#: Numbers of rows that are compiled for. Powers of two: padding never doubles the work.
BUCKETS = (1, 2, 4, 8, 16, 32, 64)
#: PyTorch gives a block up after eight shapes, and says nothing.
_SHAPES_PER_BLOCK = 256


class Compiled:
    """Which forwards have a warm twin. `of` is for the tick; the rest happens in a thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._twins: dict[int, Any] = {}
        #: Keys that were begun, and those whose twins are warm.
        self._begun: set[Key] = set()
        self._warm: set[Key] = set()

    def add(self, module: Any) -> None:
        """Have a twin of `module` made when its first forward comes."""
        torch._dynamo.config.recompile_limit = _SHAPES_PER_BLOCK
        # The weights and buffers are the module's own: no second copy on the device.
        shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
        twin = copy.deepcopy(module, shared)
        twin.compile_repeated_blocks()
        self._twins[id(module)] = twin

    def of(self, call: Forward) -> Any | None:
        """The warm twin of the call's module; None if there is none (yet)."""
        twin = self._twins.get(id(call.module))
        if twin is None:
            return None
        if call.key in self._warm:
            return twin
        if call.key not in self._begun:
            self._begun.add(call.key)
            self._pool.submit(self._warm_up, twin, call)
        return None

    def close(self) -> None:
        """Do not begin another warm-up; one that runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _warm_up(self, twin: Any, call: Forward) -> None:
        log = structlog.get_logger().bind(module=type(call.module).__name__)
        try:
            with torch.no_grad():
                for rows in BUCKETS:
                    if rows >= call.rows:
                        forward.run([call], to_rows=rows, module=twin)
        # Whatever the compiler raises: the plain module goes on serving.
        except Exception as error:  # noqa: BLE001
            log.warning("not compiled", kind=type(error).__name__)
            return
        self._warm.add(call.key)
        log.info("compiled", rows=BUCKETS[-1])


def bucket(rows: int, buckets: Sequence[int] = BUCKETS) -> int:
    """The smallest number of rows that was compiled for and is enough; else `rows` itself."""
    return next((size for size in buckets if size >= rows), rows)
