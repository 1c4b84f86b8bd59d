"""What KEDA and the HPA that it makes would do with a bridge's Deployment, by their own rules.

Of KEDA's documentation (ScaledObject, `aws-sqs-queue`): every `pollingInterval` the scaler says
Visible + NotVisible. Above `activationQueueLength` a workload at zero goes to one replica; once
nothing was active for `cooldownPeriod`, all replicas go in one step. In between the HPA keeps
ceil(messages / queueLength), within the bounds; it takes replicas away only when its wish has been
lower for the whole stabilisation window. A scaler that fails changes nothing.
"""

import math
import threading
import time
from dataclasses import dataclass, field

from records.errors import RecordsError


@dataclass(frozen=True, kw_only=True)
class ScaledObject:
    """The fields that we set; times in seconds."""

    queue_length: int
    max_replicas: int
    polling_s: float
    cooldown_s: float
    #: The HPA's own, of its scale-down.
    stabilization_s: float


@dataclass
class Keda:
    """Decides once per poll; `scale` makes it so."""

    spec: ScaledObject
    depth: object
    scale: object
    replicas: int = 0
    _active_at: float = float("-inf")
    _wishes: list = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def poll(self, now):
        """One look; the replicas from now on."""
        try:
            visible, in_flight = self.depth()
        except RecordsError:
            return self.replicas
        wanted = self._wanted(visible + in_flight, now)
        if wanted != self.replicas:
            self.scale(wanted)
            self.replicas = wanted
        return wanted

    def _wanted(self, messages, now):
        if messages > 0:
            self._active_at = now
        if self.replicas == 0:
            self._wishes.clear()
            return 1 if messages > 0 else 0
        if now - self._active_at >= self.spec.cooldown_s:
            return 0
        wish = max(1, min(self.spec.max_replicas, math.ceil(messages / self.spec.queue_length)))
        self._wishes.append((now, wish))
        since = now - self.spec.stabilization_s
        self._wishes = [(at, each) for at, each in self._wishes if at >= since]
        lately = max(each for _, each in self._wishes)
        return wish if wish > self.replicas else min(self.replicas, lately)

    def run(self):
        """Poll until `stop`."""
        while not self._stop.wait(self.spec.polling_s):
            self.poll(time.monotonic())

    def stop(self):
        """No more polls."""
        self._stop.set()
