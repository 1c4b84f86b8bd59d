"""What a Ray that was told to end leaves running."""

from collections.abc import Sequence
from contextlib import suppress

import psutil

#: Seconds in which processes that end by themselves have done so; two, as a rule.
GRACE_S = 5.0


def end(processes: Sequence[psutil.Process], *, grace_s: float = GRACE_S) -> None:
    """Return once all of them have ended; those that take longer than `grace_s` are killed."""
    _, left = psutil.wait_procs(processes, timeout=grace_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=grace_s)
