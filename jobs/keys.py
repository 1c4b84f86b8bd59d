"""Names of a job's objects in the bucket: one pattern for all jobs, the guidance's."""

import hashlib


def attempt_suffix(uid: str, attempt: int) -> str:
    """Four hex digits that tell apart the objects of different jobs and attempts."""
    return hashlib.sha256(f"{uid}:{attempt}".encode()).hexdigest()[:4]


def output_key(prefix: str, job_id: str, suffix: str, number: int, extension: str) -> str:
    """`<prefix>/<id>/<id>-<4 hex>-<n>.<ext>`; images count from 1."""
    return f"{_folder(prefix, job_id)}/{job_id}-{suffix}-{number}.{extension}"


def document_key(prefix: str, job_id: str, suffix: str) -> str:
    """`<prefix>/<id>/<id>-<4 hex>.out`, the document beside the images."""
    return f"{_folder(prefix, job_id)}/{job_id}-{suffix}.out"


def attempt_keys(
    prefix: str, job_id: str, suffix: str, *, images: int, extension: str
) -> list[str]:
    """All objects that one attempt may have written."""
    numbers = range(1, images + 1)
    keys = [output_key(prefix, job_id, suffix, number, extension) for number in numbers]
    return [*keys, document_key(prefix, job_id, suffix)]


def request_key(uid: str) -> str:
    """Where a job lies that is too large for its record or its message."""
    return f"requests/{uid}.json"


def _folder(prefix: str, job_id: str) -> str:
    prefix = prefix.strip("/")
    return f"{prefix}/{job_id}" if prefix else job_id
