"""What can go wrong between the bridge and Serve.

BridgeError
├── Overloaded        Serve has no room now (429): wait here, keep the message
├── ServeUnavailable  nothing can run the job now (503, no connection, a stream that broke off)
└── JobRefused        Serve refused the job itself: another attempt would end the same
"""

from jobs.status import ErrorCode


class BridgeError(Exception):
    """Base of everything that `bridge` raises."""


class Overloaded(BridgeError):
    """Serve has no room now: wait for `retry_after_s`, keep the message."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"Serve asks to wait {retry_after_s:g} s")


class ServeUnavailable(BridgeError):
    """Nothing can run the job now; give the message back and try later."""


class JobRefused(BridgeError):
    """Serve refused the job itself: another attempt would end the same."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)
