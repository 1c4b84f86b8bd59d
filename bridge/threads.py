"""Calls that block, in threads, from tasks that may be told to stop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns. Told to stop meanwhile, wait for its end before stopping.

    A thread cannot be stopped. To leave one behind would be not to know whether its write was
    done: whoever goes on then goes on with an old fencing token.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # What came of it is in the record, and in what `call` has noted itself.
        with suppress(Exception):
            await running
        raise
