"""A pipeline that takes as long, and fails as often, as it is told by STUB_* variables.

STUB_LOG gets a line for each generation that begins and ends: what a history checker needs to
tell whether a GPU would have worked twice.
"""

import asyncio
import base64
import ctypes
import hashlib
import json
import os
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from jobs.job import Job
from jobs.samples import sample_png
from jobs.status import ErrorCode
from jobs.stream import Accepted, Error, Event, Image, Progress, Result

_PNG = sample_png(8, (200, 30, 30))
_DIGEST = hashlib.sha256(base64.b64decode(_PNG)).hexdigest()


def hold_gil(seconds: float) -> None:
    """Let no other thread of this process run, as a long call into C does."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@dataclass
class StubPipeline:
    """One replica's; `step_s` per step, faults by a seed."""

    log: Path
    steps: int = 2
    step_s: float = 0.005
    out_of_memory: float = 0.0
    hold_gil_s: float = 0.0
    seed: int = 0
    name: str = field(default_factory=lambda: f"stub-{os.getpid()}")

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._file = self.log.open("a", buffering=1)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """As the variables say."""

        def number(name: str, default: float) -> float:
            return float(environ.get(f"STUB_{name}", default))

        return cls(
            Path(environ["STUB_LOG"]),
            steps=int(number("STEPS", 2)),
            step_s=number("STEP_S", 0.005),
            out_of_memory=number("OUT_OF_MEMORY", 0),
            hold_gil_s=number("HOLD_GIL_S", 0),
            seed=int(number("SEED", 0)),
        )

    async def events(self, job: Job) -> AsyncIterator[Event]:
        """The events of a job, with its first and last moment noted."""
        self._note(job, "began")
        how = "stopped"
        try:
            async for event in self._made(job):
                if isinstance(event, Result):
                    how = "completed"
                    self._note(job, how)
                yield event
        finally:
            if how != "completed":
                self._note(job, how)

    async def _made(self, job: Job) -> AsyncIterator[Event]:
        yield Accepted(replica=self.name)
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
