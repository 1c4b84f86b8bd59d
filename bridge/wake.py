"""Keeps the RayService awake while there is a bridge: a bridge is there because there are jobs."""

import asyncio
from typing import Protocol

import structlog

from bridge.errors import ClusterUnavailable

#: Seconds between two looks. Somebody may have put it to sleep after we looked.
LOOK_S = 15.0
#: After a call that failed.
AGAIN_S = 2.0


class Sleeper(Protocol):
    """What can be put to sleep."""

    async def asleep(self) -> bool:
        """Whether it is, or will be."""

    async def wake(self) -> None:
        """Have it come back, as soon as it has gone to sleep entirely."""


async def keep_awake(
    service: Sleeper, stop: asyncio.Event, *, look_s: float = LOOK_S, again_s: float = AGAIN_S
) -> None:
    """Wake it, then look again and again, until `stop`.

    The first time without a look: the write itself is what refuses a sleeper who has looked
    before us and has yet to write. While Serve is not back the bridge takes nothing, because
    Serve does not answer.
    """
    told = False
    while not stop.is_set():
        pause_s = look_s
        try:
            if not told or await service.asleep():
                await service.wake()
                structlog.get_logger().info("woken" if told else "awake")
                told = True
        except ClusterUnavailable as error:
            structlog.get_logger().warning("cluster unavailable", reason=str(error))
            pause_s = again_s
        try:
            await asyncio.wait_for(stop.wait(), pause_s)
        except TimeoutError:
            continue
