"""The main job, whole: a stack, one job, its notice, its image, and an end to all of it."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from client.client import Client
from darkroom.download import download
from darkroom.errors import DarkroomError, JobFailed
from darkroom.screen import follow, timeline
from darkroom.stack import Stack
from jobs.view import JobView
from records.aws import SqsQueue
from records.queue import Queue

#: Seconds: on a machine that reads everything from disk for the first time.
_JOB_S = 120
_NOTICE_S = 30


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo showed. Times are seconds."""

    view: JobView
    images: list[Path]
    notice: dict[str, object]
    timeline: list[tuple[str, float]]
    #: From the POST to the notice in the subscriber's hands.
    post_to_notice_s: float


def run_demo(stack: Stack, *, prompt: str, out: Path) -> Demo:
    """One job through a running stack."""
    notices = SqsQueue(stack.connect("sqs"), stack.cloud.notice_queues["demo"])
    with Client(stack.api_url, api_key=stack.api_key) as client:
        posted = time.monotonic()
        job = client.submit({"input": {"task": "text-to-image", "prompt": prompt}})
        view = follow(client.watch(job.uid, timeout_s=_JOB_S))
        notice = await_notice(notices, job.uid, timeout_s=_NOTICE_S)
        took = time.monotonic() - posted
        if view.error is not None:
            raise JobFailed(f"the job has {view.status}: {view.error.message}")
        # Announcing is noted after it is done, so this look may be one too early; the
        # notice is here, so it is only a matter of moments.
        view = _noted(client, job.uid)
        images = download(client, view, out)
    return Demo(
        view=view,
        images=images,
        notice=notice,
        timeline=timeline(view),
        post_to_notice_s=took,
    )


def await_notice(queue: Queue, uid: str, *, timeout_s: float) -> dict[str, object]:
    """The notice of a job from a subscriber's queue."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for delivery in queue.receive(limit=10, wait_s=1):
            queue.delete(delivery)
            notice: dict[str, object] = json.loads(delivery.body)
            job = notice["job"]
            if isinstance(job, dict) and job["uid"] == uid:
                return notice
    raise DarkroomError(f"no notice of job {uid} came within {timeout_s:g} s")


def _noted(client: Client, uid: str) -> JobView:
    view = client.job(uid)
    for _ in range(20):
        if view.times.notified is not None:
            break
        time.sleep(0.1)
        view = client.job(uid)
    return view
