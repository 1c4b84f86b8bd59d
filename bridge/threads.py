"""Calls that block, in threads, from tasks that may be told to stop."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

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


async def abandonable(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns, from a thread that a process at its end does not wait for.

    For a long poll: whatever it might bring comes again, to somebody else.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(set_it: Callable[[Any], None], value: object) -> None:
        if not answer.done():
            set_it(value)

    def run() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            try:
                result = call(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  # handed on, not swallowed
                loop.call_soon_threadsafe(tell, answer.set_exception, error)
            else:
                loop.call_soon_threadsafe(tell, answer.set_result, result)

    threading.Thread(target=run, name="poll", daemon=True).start()
    return await answer
