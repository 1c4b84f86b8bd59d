"""How many replicas: Serve's autoscaler asks `SqsDepthPolicy` ten times a second.

It runs in Serve's controller, on the head, which must never wait for it. Serve pickles this
class by value; what it imports must be installed there.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from records.aws import SqsQueue
from records.connect import connect
from records.errors import translated
from serve_app.demand import Pace
from serve_app.depth import Depth


class SqsDepthPolicy:
    """Asks for as many replicas as the queue is worth, from zero as well as from some.

    Serve's own policy sees only the jobs that have reached it. From zero that is a single probe,
    so it starts one replica, and the others when this one runs: on a cluster a second node start.
    """

    def __init__(
        self,
        *,
        queue_url: str,
        job_row_steps: float,
        row_steps_per_s: float,
        boot_s: float,
        poll_s: float,
        max_age_s: float,
        depth: Depth | None = None,
    ) -> None:
        """All but `depth`, which tests give, come from the configuration as JSON."""
        self._queue_url = queue_url
        self._queue: SqsQueue | None = None
        self._depth = depth or Depth(self._read, poll_s=poll_s, max_age_s=max_age_s)
        self._pace = Pace(
            job_row_steps=job_row_steps, row_steps_per_s=row_steps_per_s, boot_s=boot_s
        )

    def __call__(self, ctx: Any) -> tuple[float, dict[str, Any]]:
        """The replicas to ask for; Serve adds delays and bounds. No state is handed on."""
        stats = ctx.aggregated_metrics or {}
        row_steps = _sum(stats, "row_steps")
        self._learn(row_steps, _sum(stats, "seconds"))
        depth = self._depth.jobs()
        wanted = self._pace.replicas(
            # A message in flight is also a request here: the greater, not the sum.
            jobs=max(depth or 0, ctx.total_num_requests),
            # A replica that tells nothing of its backlog has its jobs counted as waiting.
            admitted=ctx.total_running_requests if "row_steps" in stats else 0,
            row_steps=row_steps,
        )
        if depth is None:
            # Blind, nothing is taken away; the requests that Serve sees may still add.
            wanted = max(wanted, ctx.target_num_replicas)
        return float(wanted), {}

    def _learn(self, row_steps: float, seconds: float) -> None:
        """Take the replicas' own measure of their pace over the configured one."""
        if row_steps > 0 and seconds > 0 and math.isfinite(seconds):
            self._pace = replace(self._pace, row_steps_per_s=row_steps / seconds)

    def _read(self) -> tuple[int, int]:
        # Here, in the thread that looks: a client takes half a second to make.
        if self._queue is None:
            with translated("SQS"):
                self._queue = SqsQueue(connect("sqs"), self._queue_url)
        return self._queue.depth()


def _sum(stats: Mapping[str, Mapping[Any, float]], name: str) -> float:
    """One figure of all replicas together."""
    return sum(stats.get(name, {}).values())
