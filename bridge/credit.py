"""How many messages a bridge may take: as many as Serve has room for."""

from collections.abc import Awaitable, Callable

from bridge.errors import ServeUnavailable
from jobs.stream import Capacity


class Credit:
    """The bridge's view of Serve's capacity."""

    def __init__(self, capacity: Callable[[], Awaitable[Capacity]]) -> None:
        self._capacity = capacity

    async def room(self, *, waiting: int, in_hand: int) -> int:
        """How many more messages to take now.

        `in_hand` are all that this bridge holds, `waiting` those of them that Serve does not
        know of yet. While nothing is ready one probe is enough to wake Serve, and the rest
        is safer in the queue. While Serve does not answer at all nothing is taken.
        """
        try:
            capacity = await self._capacity()
        except ServeUnavailable:
            return 0
        if capacity.replicas_ready == 0:
            return 0 if in_hand else 1
        return max(0, capacity.free - waiting)
