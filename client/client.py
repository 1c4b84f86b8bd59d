"""The API as Python calls: what command line, UI and load test share."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from client.errors import Refused, TimedOut, Unreachable
from jobs.view import JobPage, JobView, ModelPage, Problem

#: Seconds between two looks at a job. The server's `Retry-After` counts whole seconds, but a
#: person who watches wants to see steps.
POLL_S = 0.5
#: How often a look at a job is tried: an API that restarts is back by then.
_TRIES = 10
#: Refusals of the moment: too many requests, a gateway without its app, the API without AWS.
_PASSING = frozenset({429, 502, 503, 504})

_T = TypeVar("_T", bound=BaseModel)


class Client:
    """A connection to the API. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 30,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"x-api-key": api_key} if api_key else {}
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/"),
                headers=headers,
                timeout=timeout_s,
                transport=transport,
                trust_env=_may_have_proxy(url),
            )
        except httpx.InvalidURL as error:
            raise Unreachable(f"{url!r} is not an address: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, request: Mapping[str, Any]) -> JobView:
        """Post a job; the view tells its `uid`. Raises `Refused` with the faults."""
        return self._read(JobView, self._call("POST", "/v1/jobs", json=request))

    def job(self, name: str) -> JobView:
        """The job of that uid or of that id of yours."""
        return self._read(JobView, self._call("GET", _path(name)))

    def jobs(
        self, *, status: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> JobPage:
        """One page of your jobs, newest first."""
        wanted = {"status": status, "limit": limit, "cursor": cursor}
        params = {name: value for name, value in wanted.items() if value is not None}
        return self._read(JobPage, self._call("GET", "/v1/jobs", params=params))

    def watch(self, name: str, *, timeout_s: float | None = None) -> Iterator[JobView]:
        """The job as it is now and whenever it was looked at again, until it has ended.

        Raises `TimedOut` if it has not ended after `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            answer = self._patiently(_path(name))
            view = self._read(JobView, answer)
            yield view
            if view.done:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise TimedOut(f"job {name} is still {view.status} after {timeout_s:g} s")
            time.sleep(_pause_s(answer))

    def wait(self, name: str, *, timeout_s: float | None = None) -> JobView:
        """The job once it has ended."""
        for view in self.watch(name, timeout_s=timeout_s):
            last = view
        return last

    def cancel(self, name: str) -> JobView:
        """Ask for the job to stop; look at the answer's status for what became of it."""
        return self._read(JobView, self._call("POST", f"{_path(name)}/cancel"))

    def delete(self, name: str) -> None:
        """Remove the images of a job that has ended, and what it was asked."""
        self._call("DELETE", _path(name))

    def models(self) -> ModelPage:
        """The models, with a JSON Schema of the input that each takes."""
        return self._read(ModelPage, self._call("GET", "/v1/models"))

    def download(self, url: str) -> bytes:
        """The bytes behind an output's `url`, which carries its own permission."""
        try:
            # Not this client's connection: its key is no business of the bucket.
            answer = httpx.get(url, timeout=self._http.timeout, trust_env=_may_have_proxy(url))
            return answer.raise_for_status().content
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"cannot download the output: {error}") from error

    def _patiently(self, path: str) -> httpx.Response:
        """A GET that outlasts a moment without an answer: who watches has time."""
        for _ in range(_TRIES - 1):
            try:
                return self._call("GET", path)
            except Unreachable:
                pass
            except Refused as refused:
                if refused.problem.status not in _PASSING:
                    raise
            time.sleep(POLL_S)
        return self._call("GET", path)

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._http.base_url} does not answer: {error}") from error
        if answer.is_success:
            return answer
        raise Refused(_problem(answer))

    def _read(self, kind: type[_T], answer: httpx.Response) -> _T:
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            raise Unreachable(f"{self._http.base_url} does not answer as this API does") from error


def _may_have_proxy(url: str) -> bool:
    """Whether the environment's proxy is for this address too; never for this machine."""
    return httpx.URL(url).host not in ("127.0.0.1", "::1", "localhost")


def _pause_s(answer: httpx.Response) -> float:
    """What the server asks to wait, but no more than who watches steps would like."""
    try:
        return min(float(answer.headers["retry-after"]), POLL_S)
    except (KeyError, ValueError):
        return POLL_S


def _path(name: str) -> str:
    """A job's path. `name` is one part of it, whatever somebody typed."""
    return f"/v1/jobs/{quote(name, safe='')}"


def _problem(answer: httpx.Response) -> Problem:
    """The problem in an answer; a gateway's own refusals are not in our form."""
    try:
        return Problem.model_validate(answer.json())
    except (ValueError, ValidationError):
        reason = answer.reason_phrase or "refused"
        return Problem(
            title=reason, status=answer.status_code, detail=answer.text[:500], code="http_error"
        )
