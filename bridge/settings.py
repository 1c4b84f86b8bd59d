"""What a bridge is told by its environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bridge.heartbeat import SQS_MOST_S
from jobs.catalogue import Catalogue
from jobs.environment import BadSetting, number, read_catalogue, required, switch
from records.queue import RETENTION_S

#: SQS's own bounds.
_MAX_LONG_POLL_S = 20
#: Seconds for fetching pictures before an attempt, and for uploads and records after it.
_AROUND_S = 300


@dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """A bridge's settings. All times are seconds."""

    name: str
    runtime: str
    catalogue: Catalogue
    queue_url: str
    #: Where messages go that nobody can read.
    parked_queue_url: str
    serve_url: str
    table: str
    bucket: str
    notices_topic_arn: str
    #: Buckets from which any job may take pictures.
    input_buckets: frozenset[str]
    #: Whether pictures may come over plain HTTP. Clients of the guidance send such URLs.
    http_inputs: bool
    #: How long the queue keeps a message.
    retention_s: float
    #: The queue's visibility timeout as we extend it.
    visibility_s: int
    heartbeat_s: float
    #: How long a record's lease lasts beyond its last tick.
    lease_s: float
    long_poll_s: int
    #: How long Serve may take to give the first sign of a job: a GPU node has to come.
    start_timeout_s: float
    #: How long a job may run in a replica.
    attempt_timeout_s: float
    #: What SIGTERM leaves for jobs in hand.
    grace_s: float
    max_in_hand: int
    #: `<namespace>/<name>` of a RayService that may be asleep; None where none ever is.
    wake: str | None = None

    @property
    def hold_s(self) -> float:
        """How long a message may be in hand: room, a start, an attempt, and what goes around."""
        return 2 * self.start_timeout_s + self.attempt_timeout_s + _AROUND_S

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read and check all of them; `BadSetting` names the variable."""
        catalogue = read_catalogue(environ)
        runtime = required(environ, "DARKROOM_RUNTIME")
        if runtime not in catalogue.runtimes:
            raise BadSetting(f"DARKROOM_RUNTIME: runtimes.yaml has no runtime {runtime!r}")
        visibility_s = int(number(environ, "DARKROOM_VISIBILITY_S", 120, least=1))
        # A quarter: three beats may fail before a message is visible again.
        heartbeat_s = number(environ, "DARKROOM_HEARTBEAT_S", visibility_s / 4, least=0.1)
        if heartbeat_s >= visibility_s / 3:
            raise BadSetting(
                f"DARKROOM_HEARTBEAT_S ({heartbeat_s:g}) must be below a third of "
                f"DARKROOM_VISIBILITY_S ({visibility_s})"
            )
        settings = cls(
            name=environ.get("HOSTNAME") or f"bridge-{os.getpid()}",
            runtime=runtime,
            catalogue=catalogue,
            queue_url=required(environ, "DARKROOM_QUEUE_URL"),
            parked_queue_url=required(environ, "DARKROOM_PARKED_QUEUE_URL"),
            serve_url=required(environ, "DARKROOM_SERVE_URL"),
            table=required(environ, "DARKROOM_JOB_TABLE"),
            bucket=required(environ, "DARKROOM_BUCKET"),
            notices_topic_arn=required(environ, "DARKROOM_NOTICES_TOPIC_ARN"),
            input_buckets=frozenset(environ.get("DARKROOM_INPUT_BUCKETS", "").split()),
            http_inputs=switch(environ, "DARKROOM_HTTP_INPUTS"),
            retention_s=number(environ, "DARKROOM_QUEUE_RETENTION_S", RETENTION_S, least=60),
            visibility_s=visibility_s,
            heartbeat_s=heartbeat_s,
            # Six ticks of five seconds: a pause of the process costs no lease.
            lease_s=number(environ, "DARKROOM_LEASE_S", 30, least=1),
            long_poll_s=min(
                _MAX_LONG_POLL_S, int(number(environ, "DARKROOM_LONG_POLL_S", _MAX_LONG_POLL_S))
            ),
            start_timeout_s=number(environ, "DARKROOM_START_TIMEOUT_S", 900, least=1),
            attempt_timeout_s=number(environ, "DARKROOM_ATTEMPT_TIMEOUT_S", 600, least=1),
            grace_s=number(environ, "DARKROOM_GRACE_S", 60),
            # Far above what one runtime's replicas admit; memory for the images is the limit.
            max_in_hand=int(number(environ, "DARKROOM_MAX_IN_HAND", 64, least=1)),
            wake=_place(environ),
        )
        if settings.hold_s + visibility_s > SQS_MOST_S:
            raise BadSetting(
                "DARKROOM_START_TIMEOUT_S and DARKROOM_ATTEMPT_TIMEOUT_S: a message would be in "
                f"hand for {settings.hold_s:g} s; SQS hides none for more than {SQS_MOST_S}"
            )
        return settings


def _place(environ: Mapping[str, str]) -> str | None:
    place = environ.get("DARKROOM_WAKE_RAYSERVICE", "").strip()
    if place and not re.fullmatch(r"[^/]+/[^/]+", place):
        raise BadSetting(f"DARKROOM_WAKE_RAYSERVICE must be <namespace>/<name>, not {place!r}")
    return place or None
