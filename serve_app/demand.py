"""How many replicas so many jobs are worth."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a replica is, and how long another one takes to come."""

    #: Row-steps of a job that says nothing of its own (engine/work.py).
    job_row_steps: float
    row_steps_per_s: float
    #: Seconds from the wish for a replica to its first step: node, image, weights.
    boot_s: float

    def replicas(self, *, jobs: float, admitted: float = 0, row_steps: float = 0) -> int:
        """The replicas to ask for, at once.

        `jobs` there are in all; `admitted` of them are in replicas, with `row_steps` left to do.
        Another replica is worth its start if it spares half of that time: less, and the ones that
        run would be done before it paints. A job is never shared, so more replicas than jobs
        have nothing to do.
        """
        if jobs <= 0:
            return 0
        waiting = max(0.0, jobs - admitted)
        backlog_s = (waiting * self.job_row_steps + row_steps) / self.row_steps_per_s
        return max(1, min(math.ceil(backlog_s / (self.boot_s / 2)), math.ceil(jobs)))
