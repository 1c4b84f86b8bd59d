"""Bringing a job's images to this machine."""

import hashlib
from pathlib import Path

from client.client import Client
from client.errors import Unreachable
from jobs.view import JobView


def download(client: Client, view: JobView, into: Path) -> list[Path]:
    """Write the job's images below `into`, under the names that they have in the bucket.

    Raises `Unreachable` if one cannot be had or is not what the record says.
    """
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for output in view.outputs:
        if output.url is None:
            raise Unreachable(f"the API gave no URL for {output.key}")
        data = client.download(output.url)
        if hashlib.sha256(data).hexdigest() != output.sha256:
            raise Unreachable(f"{output.key} is not what the job's record says")
        path = into / Path(output.key).name
        path.write_bytes(data)
        written.append(path)
    return written
