"""A start from zero is the policy's business, and a job must not get in its way."""

import asyncio
from typing import Protocol

from serve_app.capacity import Replicas
from serve_app.errors import Unavailable

#: Seconds between two looks at the replicas.
LOOK_S = 0.5


class Controller(Protocol):
    """Who knows how many replicas there are."""

    async def replicas(self) -> Replicas:
        """How many take jobs, and how many will."""


async def first_replica(
    controller: Controller, *, policy_s: float, start_timeout_s: float, look_s: float = LOOK_S
) -> None:
    """Wait for a first replica where there is a policy; nothing where `policy_s` is 0.

    While a job waits in Serve and nothing runs, Serve asks for one replica and does not ask the
    policy: a burst would wait for that one, then for the others. So the job waits here. If after
    `policy_s` none is wanted the policy is blind: the job goes on to Serve, which then decides.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while policy_s > 0 and (now := await controller.replicas()).ready == 0:
        waited_s = loop.time() - begun
        if now.load_error is not None or waited_s > start_timeout_s:
            raise Unavailable(now.load_error or f"no replica within {waited_s:.0f} s")
        if now.wanted == 0 and waited_s > policy_s:
            return
        await asyncio.sleep(look_s)
