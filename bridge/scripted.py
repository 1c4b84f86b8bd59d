"""A Serve app that does what it is told, for tests: a transport that answers from a script."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from jobs.samples import sample_png
from jobs.stream import Accepted, Capacity, Image, Progress, Result


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Answer with a status instead of a stream."""

    status: int
    retry_after: str | None = None
    code: str = "as_told"


@dataclass(frozen=True)
class Hold:
    """Go on only when this is set."""

    event: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class BreakOff:
    """End the connection in mid stream, by this error of the transport."""

    error: httpx.TransportError = field(
        default_factory=lambda: httpx.RemoteProtocolError("peer closed connection")
    )


@dataclass(frozen=True)
class Raw:
    """A line as it stands here, whatever it is."""

    line: str


ROOM_FOR_FOUR = Capacity(replicas_ready=1, replicas_wanted=1, admit_window=4, in_flight=0)
Step = BaseModel | Refuse | Hold | BreakOff | Raw


@dataclass
class ScriptedServe(httpx.AsyncBaseTransport):
    """Answers each `POST /generate` by the next script, the last one for ever."""

    scripts: list[Sequence[Step]]
    #: What `GET /capacity` says; None: nobody listens.
    capacity: Capacity | None = field(default_factory=lambda: ROOM_FOR_FOUR)
    #: The jobs that were posted, decoded.
    posted: list[dict[str, object]] = field(default_factory=list)
    #: The headers that came with each of them.
    headers: list[dict[str, str]] = field(default_factory=list)
    #: How many streams were closed before their script had ended.
    closed_early: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        if request.url.path.endswith("/capacity"):
            return self._capacity()
        script = self.scripts[min(len(self.posted), len(self.scripts) - 1)]
        self.posted.append(json.loads(await request.aread()))
        self.headers.append(dict(request.headers))
        first = script[0] if script else None
        if isinstance(first, Refuse):
            headers = {"retry-after": first.retry_after} if first.retry_after else {}
            return httpx.Response(
                first.status, headers=headers, json={"detail": "as told", "code": first.code}
            )
        return httpx.Response(200, stream=_Stream(self, script))

    def _capacity(self) -> httpx.Response:
        if self.capacity is None:
            raise httpx.ConnectError("nobody listens")
        return httpx.Response(200, json=self.capacity.model_dump())


class _Stream(httpx.AsyncByteStream):
    def __init__(self, serve: ScriptedServe, script: Sequence[Step]) -> None:
        self._serve = serve
        self._script = script
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._script:
            if isinstance(step, Hold):
                await step.event.wait()
            elif isinstance(step, BreakOff):
                self._ended = True
                raise step.error
            elif isinstance(step, Raw):
                yield step.line.encode() + b"\n"
            elif isinstance(step, BaseModel):
                yield step.model_dump_json().encode() + b"\n"
        self._ended = True

    async def aclose(self) -> None:
        """The client has gone."""
        if not self._ended:
            self._serve.closed_early += 1


def success(*, images: int = 1, seed: int = 7) -> list[Step]:
    """The script of a job that goes well."""
    data = sample_png(64, (200, 30, 30))
    digest = hashlib.sha256(base64.b64decode(data)).hexdigest()
    pictures = [
        Image(
            index=index,
            media_type="image/png",
            width=64,
            height=64,
            seed=seed + index,
            sha256=digest,
            data=data,
        )
        for index in range(images)
    ]
    return [
        Accepted(replica="scripted"),
        Progress(stage="denoise", step=1, total=4),
        *pictures,
        Result(images=images, timings={"denoise_s": 0.1}),
    ]
