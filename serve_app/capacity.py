"""What the app can take: replicas as the controller sees them."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from ray import serve
from ray.serve.schema import DeploymentStatusTrigger, ReplicaState

#: A status costs the controller some 20 ms; many may ask at once.
MAX_AGE_S = 0.5
#: States in which a replica takes jobs or will.
_COMING = (ReplicaState.RUNNING, ReplicaState.STARTING, ReplicaState.UPDATING)


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """How many replicas take jobs, how many will, and why none can, if none can."""

    ready: int
    wanted: int
    load_error: str | None = None


class Controller:
    """Reads one deployment's state from Serve's controller."""

    def __init__(self, app: str, deployment: str) -> None:
        self._app = app
        self._deployment = deployment
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._replicas = Replicas(ready=0, wanted=0)

    async def replicas(self) -> Replicas:
        """The state, at most `MAX_AGE_S` old."""
        async with self._lock:
            if time.monotonic() - self._read_at > MAX_AGE_S:
                # In a thread: it is a blocking call to another process.
                status = await asyncio.to_thread(serve.status)
                self._replicas = self._of(status)
                self._read_at = time.monotonic()
            return self._replicas

    def _of(self, status: Any) -> Replicas:
        deployment = status.applications[self._app].deployments.get(self._deployment)
        if deployment is None:
            return Replicas(ready=0, wanted=0)
        states = deployment.replica_states
        ready = states.get(ReplicaState.RUNNING, 0)
        # The trigger tells more than the status: a deployment whose only replica was killed is
        # unhealthy too, but another is on its way.
        trigger = deployment.status_trigger
        failed = ready == 0 and trigger == DeploymentStatusTrigger.REPLICA_STARTUP_FAILED
        return Replicas(
            ready=ready,
            wanted=sum(states.get(state, 0) for state in _COMING),
            load_error=deployment.message if failed else None,
        )
