"""Trouble between boto3 and AWS: answers that are errors, and answers that are lost."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session


class _Empty:
    """The body of an answer that has none."""

    def stream(self) -> Iterator[bytes]:
        return iter(())

    def read(self, *_: object) -> bytes:
        return b""


@dataclass
class Weather:
    """How often calls fail, by a seed. Attach it to clients, or to all that are to come.

    Of a call that is `lost` AWS has done what was asked; only its answer never arrives.
    """

    seed: int
    errors: float = 0.0
    lost: float = 0.0
    status: int = 503
    #: `s3.PutObject` and so on; empty: all operations.
    operations: frozenset[str] = frozenset()
    #: Every call that was made, tries included.
    calls: dict[str, int] = field(default_factory=dict)
    #: What was done to which operation, counted.
    injected: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._lock = threading.Lock()
        self._wire = URLLib3Session(timeout=25, max_pool_connections=64)

    def attach(self, client: Any) -> Any:
        """Let it rain on this client."""
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-send.{service}.*", self._before_send)
        return client

    def over_all_clients(self) -> None:
        """Let it rain on every client that this process makes from here on."""
        made = boto3.session.Session.client

        def client(session: boto3.session.Session, *args: Any, **kwargs: Any) -> Any:
            return self.attach(made(session, *args, **kwargs))

        boto3.session.Session.client = client  # type: ignore[method-assign]

    def _before_send(
        self, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        operation = event_name.removeprefix("before-send.")
        with self._lock:
            self.calls[operation] = self.calls.get(operation, 0) + 1
        if self.operations and operation not in self.operations:
            return None
        with self._lock:
            cast = self._dice.random()
        if cast < self.errors:
            self._count(operation, str(self.status))
            return AWSResponse(request.url, self.status, {}, _Empty())
        if cast < self.errors + self.lost:
            self._count(operation, "lost")
            self._wire.send(request)
            raise ConnectionClosedError(request=request, endpoint_url=request.url)
        return None

    def _count(self, operation: str, what: str) -> None:
        with self._lock:
            name = f"{operation} {what}"
            self.injected[name] = self.injected.get(name, 0) + 1
