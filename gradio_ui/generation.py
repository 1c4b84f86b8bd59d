"""One job from the click to the picture, as a series of moments to show."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from client import Client, ClientError
from gradio_ui.status import SENDING, StatusLine, of_error, of_view
from jobs.status import Status


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One finished picture, as the bucket has it."""

    data: bytes
    #: The last part of its key, which tells the job and the format.
    name: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What is to be seen now; `uid` once the API has accepted the job."""

    line: StatusLine
    uid: str | None = None
    pictures: tuple[Picture, ...] = ()


def generate(client: Client, request: Mapping[str, Any]) -> Iterator[Moment]:
    """Post the job, watch it, fetch its pictures. What goes wrong is the last moment."""
    uid = None
    began = time.monotonic()
    yield Moment(line=SENDING)
    try:
        view = client.submit(request)
        uid = view.uid
        yield Moment(line=of_view(view, elapsed_s=time.monotonic() - began), uid=uid)
        for view in client.watch(uid):
            if view.status is not Status.SUCCEEDED:
                yield Moment(line=of_view(view, elapsed_s=time.monotonic() - began), uid=uid)
        if view.status is Status.SUCCEEDED:
            # Fetched here rather than by the browser, which need not reach the bucket and
            # would lose the picture when its URL expires.
            pictures = tuple(
                Picture(
                    data=client.download(output.url),
                    name=output.key.rpartition("/")[2],
                    seed=output.seed,
                )
                for output in view.outputs
                if output.url
            )
            line = of_view(view, elapsed_s=time.monotonic() - began)
            yield Moment(line=line, uid=uid, pictures=pictures)
    except ClientError as error:
        yield Moment(line=of_error(error, uid=uid), uid=uid)
