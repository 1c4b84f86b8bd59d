"""HTTP in front of the generator. Imports neither torch nor diffusers: it runs on the head."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from jobs.catalogue import Catalogue
from jobs.errors import Fault, InvalidJob, NewerSchema, UnknownRuntime
from jobs.job import Job
from jobs.logs import configure_logs, job_log
from jobs.stream import ALONE_HEADER, Capacity
from serve_app.capacity import Controller
from serve_app.errors import Unavailable
from serve_app.first_replica import first_replica
from serve_app.problem import invalid, problem

#: A slot comes free within a step or a picture; a replica within minutes.
OVERLOADED_RETRY_S = 1
UNAVAILABLE_RETRY_S = 5
#: How often a job that waits for a first replica looks whether one can come at all.
LOOK_INTERVAL_S = 1.0


@serve.ingress()
class Ingress:
    """Takes a job, streams what becomes of it; closing the stream cancels the job."""

    def __init__(
        self,
        name: str,
        catalogue: Catalogue,
        generator: Any,
        *,
        start_timeout_s: float,
        policy_s: float,
    ) -> None:
        configure_logs(os.environ, process="serve")
        self._name = name
        self._catalogue = catalogue
        self._generate = generator.generate.options(stream=True)
        self._start_timeout_s = start_timeout_s
        self._policy_s = policy_s
        self._controller = Controller(serve.get_replica_context().app_name, "generator")
        self._in_flight = 0

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The routes. Built here rather than above the class, where Serve would pickle them."""
        api = FastAPI(title="Darkroom generator", docs_url=None, redoc_url=None, openapi_url=None)
        api.get("/healthz")(self.healthz)
        api.get("/capacity")(self.capacity)
        api.post("/generate")(self.generate)
        return api

    async def healthz(self) -> Response:
        """Whether this process answers."""
        return PlainTextResponse("ok")

    async def capacity(self) -> Capacity:
        """What a bridge takes its credit from."""
        replicas = await self._controller.replicas()
        return Capacity(
            replicas_ready=replicas.ready,
            replicas_wanted=replicas.wanted,
            admit_window=self._catalogue.runtime(self._name).replicas.admit_window,
            in_flight=self._in_flight,
            load_error=replicas.load_error,
        )

    async def generate(self, request: Request) -> Response:
        """Run a job: 200 and its events, or why it was not taken."""
        try:
            job = self._job(await request.body())
        except InvalidJob as error:
            return invalid(error)
        except NewerSchema as error:
            # A newer release of this app will take it, and is probably being rolled out.
            return _later(str(error))
        self._in_flight += 1
        # One patience for both waits: who waits for this answer has no second one.
        until = asyncio.get_running_loop().time() + self._start_timeout_s
        alone = request.headers.get(ALONE_HEADER) == "1"
        events = None
        try:
            await first_replica(
                self._controller, policy_s=self._policy_s, start_timeout_s=self._start_timeout_s
            )
            events = self._generate.remote(job.encode().decode(), alone=alone)
            # Before the headers: what is known by then has a status of its own.
            first = await self._first(events, until)
        # Also a client that has gone: its place and its call must be given up all the same.
        except BaseException as error:
            refusal = _refusal(error)
            # A call that Serve refused has nothing to cancel: trying raises the refusal again.
            self._leave(None if refusal and not isinstance(error, Unavailable) else events)
            if refusal is None:
                raise
            job_log(job).info("refused", status=refusal.status_code)
            return refusal
        return StreamingResponse(self._lines(first, events), media_type="application/x-ndjson")

    def _job(self, body: bytes) -> Job:
        job = Job.decode(body)
        if job.runtime != self._name:
            raise UnknownRuntime([Fault(pointer="/runtime", detail=f"this is {self._name}")])
        model = self._catalogue.model(job.runtime, job.model)
        return job.model_copy(update={"input": model.resolve(job.input)})

    async def _first(self, events: Any, until: float) -> dict[str, Any]:
        """The first event; `Unavailable` once it is clear that none will come."""
        loop = asyncio.get_running_loop()
        first = asyncio.ensure_future(anext(events))
        try:
            while not (await asyncio.wait({first}, timeout=LOOK_INTERVAL_S))[0]:
                reason = (await self._controller.replicas()).load_error
                if reason is None and loop.time() > until:
                    reason = f"no replica within {self._start_timeout_s:.0f} s"
                if reason is not None:
                    raise Unavailable(reason)
            event: dict[str, Any] = await first
            return event
        finally:
            first.cancel()

    async def _lines(self, first: dict[str, Any], events: Any) -> AsyncIterator[str]:
        """The stream. If the replica dies it breaks off: no last line is invented for it."""
        try:
            yield _line(first)
            async for event in events:
                yield _line(event)
        finally:
            self._leave(events)

    def _leave(self, events: Any) -> None:
        self._in_flight -= 1
        if events is not None:
            events.cancel()  # nothing, if it has ended


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":")) + "\n"


def _refusal(error: BaseException) -> Response | None:
    """The answer to a job that got no first event; None for what is nobody's answer."""
    if isinstance(error, BackPressureError):
        return problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            code="overloaded",
            detail="every slot is taken and enough jobs wait",
            retry_after_s=OVERLOADED_RETRY_S,
        )
    if isinstance(error, Unavailable | DeploymentUnavailableError):
        return _later(str(error))
    if isinstance(error, RayActorError):
        return _later("the replica died before it had taken the job")
    return None


def _later(detail: str) -> Response:
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        code="unavailable",
        detail=detail,
        retry_after_s=UNAVAILABLE_RETRY_S,
    )
