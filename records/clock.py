"""The time as records keep it."""

import time


def now_ms() -> int:
    """Milliseconds since the epoch. Leases compare it between machines that keep NTP time."""
    return int(time.time() * 1000)
