"""A Serve app whose pipeline takes as long, and fails as often, as it is told.

    python -m tests.faults.stub_serve PORT LOG

Settings come from STUB_* variables. LOG gets a line for each generation that begins and ends:
what a history checker needs to tell whether a GPU would have worked twice.
"""

import asyncio
import base64
import ctypes
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from jobs.job import Job
from jobs.samples import sample_png
from jobs.status import ErrorCode
from jobs.stream import Accepted, Capacity, Error, Event, Image, Progress, Result

_PNG = sample_png(8, (200, 30, 30))
_DIGEST = hashlib.sha256(base64.b64decode(_PNG)).hexdigest()


def hold_gil(seconds: float) -> None:
    """Let no other thread of this process run, as a long call into C does."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@dataclass
class StubServe:
    """One replica with a window; `step_s` per step, faults by a seed."""

    log: Path
    steps: int = 2
    step_s: float = 0.005
    window: int = 8
    out_of_memory: float = 0.0
    hold_gil_s: float = 0.0
    seed: int = 0
    in_flight: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._file = self.log.open("a", buffering=1)

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
        self._note(job, "began")
        how = "stopped"
        try:
            async for event in self._events(job):
                if isinstance(event, Result):
                    how = "completed"
                    self._note(job, how)
                yield event.model_dump_json().encode() + b"\n"
        finally:
            self.in_flight -= 1
            if how != "completed":
                self._note(job, how)

    async def _events(self, job: Job) -> AsyncIterator[Event]:
        yield Accepted(replica=f"stub-{os.getpid()}")
        for step in range(1, self.steps + 1):
            yield Progress(stage="denoise", step=step, total=self.steps)
            await asyncio.sleep(self.step_s)
            if self.hold_gil_s:
                hold_gil(self.hold_gil_s)
        if self._dice.random() < self.out_of_memory:
            yield Error(code=ErrorCode.OUT_OF_MEMORY, message="as told", retryable=True)
            return
        yield Image(
            index=0,
            media_type="image/png",
            width=8,
            height=8,
            seed=job.seed,
            sha256=_DIGEST,
            data=_PNG,
        )
        yield Result(images=1)

    def _note(self, job: Job, what: str) -> None:
        line = {"uid": job.uid, "what": what, "at": time.time(), "pid": os.getpid()}
        self._file.write(json.dumps(line) + "\n")


def main() -> None:
    """Serve until killed."""
    number = {
        name: float(os.environ.get(f"STUB_{name.upper()}", default))
        for name, default in (
            ("steps", 2),
            ("step_s", 0.005),
            ("window", 8),
            ("out_of_memory", 0),
            ("hold_gil_s", 0),
            ("seed", 0),
        )
    }
    whole = {name: int(number.pop(name)) for name in ("steps", "window", "seed")}
    stub = StubServe(Path(sys.argv[2]), **whole, **number)  # type: ignore[arg-type]
    uvicorn.run(stub.app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
