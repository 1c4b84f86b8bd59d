"""What a bridge sees of Serve, without Ray, in front of the stub pipeline: it is up at once.

    python -m tests.faults.stub_serve PORT

STUB_WINDOW is how many jobs it takes at once.
"""

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from jobs.job import Job
from jobs.stream import Capacity
from tests.faults.stub_pipeline import StubPipeline


@dataclass
class StubServe:
    """One replica with a window."""

    pipeline: StubPipeline
    window: int = 8
    in_flight: int = field(default=0, init=False)

    def app(self) -> Starlette:
        """As HTTP."""
        return Starlette(
            routes=[
                Route("/capacity", self._capacity),
                Route("/generate", self._generate, methods=["POST"]),
            ]
        )

    async def _capacity(self, _: Request) -> Response:
        now = Capacity(
            replicas_ready=1,
            replicas_wanted=1,
            admit_window=self.window,
            in_flight=self.in_flight,
        )
        return JSONResponse(now.model_dump())

    async def _generate(self, request: Request) -> Response:
        if self.in_flight >= self.window:
            return JSONResponse({"detail": "full"}, 429, {"retry-after": "0.1"})
        job = Job.decode(await request.body())
        self.in_flight += 1
        return StreamingResponse(self._lines(job), media_type="application/x-ndjson")

    async def _lines(self, job: Job) -> AsyncIterator[bytes]:
        try:
            async for event in self.pipeline.events(job):
                yield event.model_dump_json().encode() + b"\n"
        finally:
            self.in_flight -= 1


def main() -> None:
    """Serve until killed."""
    window = int(os.environ.get("STUB_WINDOW", "8"))
    stub = StubServe(StubPipeline.from_env(os.environ), window)
    uvicorn.run(stub.app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
