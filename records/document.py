"""The `.out` document: what was asked and what came of it, beside the images of an attempt.

It is written when all images are in the bucket, so who finds it need not generate again.
"""

import json
from typing import Any

from pydantic import ValidationError

from jobs.job import Job
from jobs.outcome import Outcome
from records.record import shown_input


def document(job: Job, attempt: int, outcome: Outcome) -> bytes:
    """The document as it lies in the bucket."""
    content = {
        "uid": job.uid,
        "id": job.id,
        "runtime": job.runtime,
        "model": job.model,
        "attempt": attempt,
        "status": outcome.status.value,
        "input": shown_input(job) | {"seed": job.seed},
        "outputs": [output.model_dump(exclude={"url"}) for output in outcome.outputs],
        "error": outcome.error.model_dump(mode="json") if outcome.error else None,
        "warnings": list(outcome.warnings),
        "timings": outcome.timings,
        "metadata": job.metadata,
    }
    return json.dumps(content, indent=2).encode()


def outcome_in(data: bytes, job: Job, attempt: int, *, key: str) -> Outcome | None:
    """The outcome that the document under `key` tells of; None if it is another attempt's.

    Four hex digits tell attempts apart, so another job of the same id may have the same key.
    """
    try:
        content: Any = json.loads(data)
        if (content["uid"], content["attempt"]) != (job.uid, attempt):
            return None
        told = {name: content[name] for name in ("status", "outputs", "error", "warnings")}
        return Outcome.model_validate(told | {"document_key": key, "timings": content["timings"]})
    except (ValueError, KeyError, TypeError, ValidationError):
        return None
