"""A list of jobs, brought to its end: the same engine and the same outputs as by the queue.

Each job's document is written last, so a job whose document lies there is done. Begun again after
whatever interruption, a batch does what is left.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import ValidationError

from jobs.catalogue import Catalogue
from jobs.errors import InvalidJob
from jobs.job import Family, Job, JobRequest
from jobs.keys import attempt_suffix, document_key, output_key
from jobs.outcome import ImageOutput, Outcome
from jobs.status import ErrorCode, Status
from jobs.stream import EVENT, Error, Image, Result
from jobs.tally import Tally
from jobs.uid import derived_uid
from records.document import document, outcome_in
from records.errors import ObjectMissing
from serve_app.errors import BadPrompts

#: Of a job that failed by what may pass, such as memory.
TRIES = 3
#: There is one attempt as the keys count them: whoever does it again overwrites the same objects.
_ATTEMPT = 1


class Outputs(Protocol):
    """Where outputs go; `records.store.ObjectStore`, as far as a batch uses one."""

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        """Write an object; the same key is overwritten."""

    def get(self, key: str) -> bytes:
        """The object's bytes, or `ObjectMissing`."""


class Painter(Protocol):
    """What makes the events of a job: `serve_app.generator.Generator`."""

    def generate(self, body: str) -> AsyncGenerator[dict[str, Any], None]:
        """The events of the job in `body`."""


def read_prompts(lines: Iterable[str], catalogue: Catalogue, *, prefix: str) -> list[Job]:
    """The jobs of a file with a line for each: the body of `POST /v1/jobs`, or its input alone.

    A job's uid follows from its line, so the same file is the same jobs. Of equal lines each is a
    job of its own. `BadPrompts` names the line at fault.
    """
    seen: Counter[str] = Counter()
    jobs: dict[str, Job] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            request = _request(line)
            text = request.id or request.fingerprint()
            seen[text] += 1
            uid = derived_uid(f"{text}:{seen[text]}", 0)
            job = Job.of_request(
                request, uid=uid, tenant="default", family=Family.V1, catalogue=catalogue
            )
        except (ValueError, ValidationError, InvalidJob) as error:
            raise BadPrompts(f"line {number}: {error}") from error
        if job.id in jobs:
            raise BadPrompts(f"line {number}: there is a line with the id {job.id!r} above")
        jobs[job.id] = job.model_copy(update={"prefix": prefix})
    return list(jobs.values())


def _request(line: str) -> JobRequest:
    body = json.loads(line)
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")
    return JobRequest.model_validate(body if "input" in body else {"input": body})


@dataclass
class Batch:
    """Paints jobs, some at a time."""

    outputs: Outputs
    at_once: int
    _outcomes: Counter[Status] = field(default_factory=Counter)

    def left(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """The jobs that have no success yet; what failed is tried again."""
        for job in jobs:
            outcome = self._known(job)
            if outcome is not None and outcome.status is Status.SUCCEEDED:
                self._outcomes[Status.SUCCEEDED] += 1
            else:
                yield job

    async def run(self, jobs: list[Job], painter: Painter, tell: Callable[[Tally], None]) -> Tally:
        """Bring all jobs to their end; `tell` how far it is, at first and after each."""
        todo = iter(list(self.left(jobs)))

        def tally() -> Tally:
            won, lost = self._outcomes[Status.SUCCEEDED], self._outcomes[Status.FAILED]
            return Tally(total=len(jobs), succeeded=won, failed=lost)

        async def work() -> None:
            for job in todo:  # shared: each worker takes the next
                outcome = await self.paint(job, painter)
                self._outcomes[outcome.status] += 1
                tell(tally())

        tell(tally())
        async with asyncio.TaskGroup() as group:
            for _ in range(self.at_once):
                group.create_task(work())
        return tally()

    async def paint(self, job: Job, painter: Painter) -> Outcome:
        """One job to its end, its document last."""
        for _ in range(TRIES):
            outcome, again = await self._try(job, painter)
            if not again:
                break
        outcome = outcome.model_copy(update={"document_key": _key(job)})
        data = document(job, _ATTEMPT, outcome)
        await asyncio.to_thread(self.outputs.put, _key(job), data, media_type="application/json")
        return outcome

    async def _try(self, job: Job, painter: Painter) -> tuple[Outcome, bool]:
        """What came of it, and whether another try may end otherwise."""
        images: list[ImageOutput] = []
        outcome = Outcome.failed(ErrorCode.INTERNAL, "the painter stopped without a word")
        again = True
        async with aclosing(painter.generate(job.encode().decode())) as events:
            async for each in events:
                match event := EVENT.validate_python(each):
                    case Image():
                        images.append(await asyncio.to_thread(self._save, job, event))
                    case Result():
                        again = False
                        outcome = Outcome(
                            status=Status.SUCCEEDED,
                            outputs=tuple(images),
                            warnings=event.warnings,
                            timings=event.timings,
                        )
                    case Error():
                        again = event.retryable
                        outcome = Outcome.failed(event.code, event.message)
        return outcome, again

    def _save(self, job: Job, image: Image) -> ImageOutput:
        data = base64.b64decode(image.data)
        extension = job.input.output_format.extension
        suffix = attempt_suffix(job.uid, _ATTEMPT)
        key = output_key(job.prefix, job.id, suffix, image.index + 1, extension)
        self.outputs.put(key, data, media_type=image.media_type)
        return ImageOutput(
            key=key, bytes=len(data), **image.model_dump(exclude={"event", "index", "data"})
        )

    def _known(self, job: Job) -> Outcome | None:
        try:
            data = self.outputs.get(_key(job))
        except ObjectMissing:
            return None
        return outcome_in(data, job, _ATTEMPT, key=_key(job))


def _key(job: Job) -> str:
    return document_key(job.prefix, job.id, attempt_suffix(job.uid, _ATTEMPT))
