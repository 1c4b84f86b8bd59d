"""The runtime's Serve app over HTTP. What httpx raises is translated here, once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Self

import httpx
from pydantic import ValidationError

from bridge.errors import JobRefused, Overloaded, ServeUnavailable
from jobs.job import Job
from jobs.status import ErrorCode
from jobs.stream import ALONE_HEADER, EVENT, LAST_EVENTS, Capacity, Event

#: Seconds to wait when a 429 does not say how long.
_RETRY_AFTER_S = 1.0
#: What the API knows and Serve does not is being rolled out.
_NOT_YET = frozenset({"unknown_model", "unknown_runtime"})


class ServeClient:
    """Capacity and generation of one runtime."""

    def __init__(
        self, url: str, *, start_timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        # Reading may take as long as the first GPU node; everything else is quick.
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            timeout=httpx.Timeout(5.0, read=start_timeout_s),
            limits=httpx.Limits(max_connections=None),
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def capacity(self) -> Capacity:
        """What Serve can take now; `ServeUnavailable` if it does not say."""
        with _translated():
            answer = await self._http.get("/capacity", timeout=5.0)
            answer.raise_for_status()
            return Capacity.model_validate_json(answer.content)

    @asynccontextmanager
    async def generate(
        self, job: Job, *, alone: bool = False
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of `job`. Leaving the block closes the stream, which cancels the job.

        `alone` asks for a device without other jobs, after one that had too little memory.

        Raises `Overloaded`, `ServeUnavailable` or `JobRefused` at once. Iterating raises
        `ServeUnavailable` if the stream ends without its last event.
        """
        headers = {"content-type": "application/json"}
        if job.trace:
            headers["traceparent"] = job.trace
        if alone:
            headers[ALONE_HEADER] = "1"
        with _translated():
            async with self._http.stream(
                "POST", "/generate", content=job.encode(), headers=headers
            ) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise _refusal(answer)
                yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    with _translated():
        async for line in answer.aiter_lines():
            event = EVENT.validate_json(line)
            yield event
            if isinstance(event, LAST_EVENTS):
                return
    raise ServeUnavailable("the stream ended without a last line: its replica died")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise ServeUnavailable(f"Serve: {type(error).__name__} {error}".strip()) from error
    except ValidationError as error:
        raise ServeUnavailable(f"Serve sent what is no event: {error.title}") from error


def _refusal(answer: httpx.Response) -> Exception:
    """The error that an answer other than 200 stands for."""
    try:
        problem = dict(answer.json())
    except (ValueError, TypeError):
        problem = {}
    detail = str(problem.get("detail", answer.reason_phrase))
    if answer.status_code == 429:
        return Overloaded(_seconds(answer.headers.get("retry-after")))
    if problem.get("code") in _NOT_YET:
        return ServeUnavailable(f"Serve does not have it: {detail}")
    if answer.status_code in (400, 413, 422):
        return JobRefused(ErrorCode.INVALID_INPUT, detail)
    return ServeUnavailable(f"Serve answered {answer.status_code}: {detail}")


def _seconds(text: str | None) -> float:
    try:
        return max(0.1, float(text or _RETRY_AFTER_S))
    except ValueError:
        return _RETRY_AFTER_S
