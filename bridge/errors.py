"""What can go wrong between the bridge and Serve, and between it and the rest of the world.

BridgeError
├── Overloaded        Serve has no room now (429): wait here, keep the message
├── ServeUnavailable  nothing can run the job now (503, no connection, a stream that broke off)
├── OutOfMemory       the job did not fit onto the device beside others: once more alone
├── JobRefused        the job itself is at fault: another attempt would end the same
├── BadPicture        what should be a picture is none that we take
├── EgressRefused     a client's URL may not be called, or its server refuses
├── EgressFailed      the server of a client's URL does not answer now
└── ClusterUnavailable  Kubernetes does not answer, or refuses
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


class OutOfMemory(BridgeError):
    """The job did not fit onto the device beside others; try it once more alone."""


class JobRefused(BridgeError):
    """The job itself is at fault: another attempt would end the same."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


class BadPicture(BridgeError):
    """What should be a picture is none that we take; the message says why."""


class EgressRefused(BridgeError):
    """A client's URL may not be called, or its server refuses; the message says why."""


class EgressFailed(BridgeError):
    """The server of a client's URL does not answer now; try again a little later."""


class ClusterUnavailable(BridgeError):
    """Kubernetes does not answer, or refuses; the message says what was asked of it."""
