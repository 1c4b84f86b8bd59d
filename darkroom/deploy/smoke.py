"""One job through the installation, and every promise about it looked at."""

import hashlib
import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import httpx

from client.client import Client
from client.errors import Refused, Unreachable
from darkroom.deploy.by_topic import ByTopic
from darkroom.deploy.errors import SmokeFailed
from darkroom.deploy.inbox import Inbox
from darkroom.deploy.step import Standing
from darkroom.names import GPU_NODES
from darkroom.screen import timeline
from jobs.notice import Notice
from jobs.view import JobView
from records.aws import SqsQueue
from records.errors import translated

#: Seconds: a cold start without a snapshot, with an hour's worst spot market.
_JOB_S, _NOTICE_S = 900, 120
#: From the last job to no node: replica 2 min, worker 1, node 1, and some for the instance.
_TO_ZERO_S = 900
#: For so long SQS may still count our own job; no node goes before that.
_OWN_S = 120
_LOOK_S = 5
_TRIES = 5
#: What a gateway answers for an app that is not awake yet.
_PASSING = frozenset({429, 502, 503, 504})


class Nodes(Protocol):
    """The nodes of one kind, as the smoke test looks at them."""

    @property
    def kind(self) -> str:
        """GPU_NODES or CPU_NODES."""
        ...

    def left(self) -> list[str]:
        """Names of those that are there for jobs, or for nothing."""
        ...

    def pulled(self, since: datetime) -> list[str]:
        """Images that younger ones pulled: none, if they were in the snapshot."""
        ...

    def cached(self, since: datetime) -> list[str]:
        """Images that were on younger ones already: those of the snapshot."""
        ...


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the smoke test saw. Seconds and USD."""

    view: JobView
    to_notice_s: float
    to_zero_s: float | None
    split: list[tuple[str, float]]
    usd: float | None
    warnings: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people."""
        [output, *_] = self.view.outputs
        shown = [f"image: {output.bytes} bytes, sha256 {output.sha256[:12]}..., as recorded"]
        shown += [f"  {name:<12} {took:7.1f} s" for name, took in self.split]
        shown.append(f"from POST to notice: {self.to_notice_s:.1f} s")
        if self.to_zero_s is not None:
            shown.append(f"no node of this job again after {self.to_zero_s:.0f} s")
        if self.usd is not None:
            shown.append(f"cost of this job, its cold start and cooldown: {self.usd:.4f} USD")
        return shown + [f"note: {warning}" for warning in self.warnings]


@dataclass(frozen=True, kw_only=True)
class SmokeTest:
    """A job from POST to notice, its image by hash and size, the node by its cache, then nothing.

    Its subscriber's queue has the name of the installation and is gone afterwards.
    """

    api_url: Callable[[], str]
    api_key: Callable[[], str]
    sqs: Any
    sns: Any
    notices_topic: Callable[[], str]
    installation: str
    model: str | None
    say: Callable[[str], None]
    #: In the place of the API, where none is open.
    by_topic: ByTopic | None = None
    #: None: no cluster to look at.
    nodes: Nodes | None = None
    #: URLs of the queues of jobs, of all runtimes.
    queues: Callable[[], Sequence[str]] = tuple
    #: Whether GPU nodes start from a snapshot.
    cached: Callable[[], bool] = lambda: False
    #: Of the node that Karpenter takes first.
    hour_usd: float | None = None
    job_s: float = _JOB_S
    own_s: float = _OWN_S
    to_zero_s: float = _TO_ZERO_S
    seen: list[Findings] = field(default_factory=list)

    name = "smoke test: one job, from POST to nothing"
    takes = "2 to 15 minutes"

    def check(self) -> Standing:
        """Never done: what worked yesterday is to be seen again."""
        return Standing(done=False)

    def apply(self) -> None:
        """Post, wait, look; `SmokeFailed` says what is not as it should be."""
        inbox = Inbox(
            sqs=self.sqs, sns=self.sns, topic=self.notices_topic(), installation=self.installation
        )
        # Of this installation nobody tests longer than that: whoever made it was killed.
        for name in inbox.clear(older_than_s=self.job_s + 2 * _NOTICE_S):
            self.say(f"removed {name}: a smoke test that was killed had left it")
        with inbox.opened() as url:
            view, to_notice_s = self._job(url)
        self._image(view)
        warnings = self._cache(view.times.accepted)
        to_zero_s = self._until_zero()
        if self.nodes is not None and to_zero_s is None:
            warnings += ("not seen: whether nodes go, and what this job cost. Others are at work",)
        findings = Findings(
            view=view,
            to_notice_s=to_notice_s,
            to_zero_s=to_zero_s,
            split=_split(view),
            usd=self._usd(to_notice_s, to_zero_s),
            warnings=warnings,
        )
        self.seen.append(findings)
        for line in findings.lines():
            self.say(line)

    def undo(self) -> None:
        """Nothing: a queue that a killed test has left is removed by the next, or a leftover."""

    def _job(self, inbox: str) -> tuple[JobView, float]:
        wanted = {"task": "text-to-image", "prompt": "a red circle on a blue background", "seed": 7}
        # An id of ours: posted again it is the same job.
        request: dict[str, Any] = {"id": f"smoke-{uuid.uuid4()}", "input": wanted} | (
            {"model": self.model} if self.model else {}
        )
        posted = time.monotonic()
        if self.by_topic is not None:
            self.say("the job goes to the input topic: in China no API answers without a licence")
            accepted = self.by_topic.send(request)
            notice = self._notice(inbox, request["id"], self.job_s)
            return self.by_topic.view(notice, accepted), time.monotonic() - posted
        with Client(self.api_url(), api_key=self.api_key()) as client:
            job = _posted(client, request)
            for view in client.watch(job.uid, timeout_s=self.job_s):
                job = view
            if job.error is not None or not job.outputs:
                why = job.error.message if job.error else "it has no image"
                raise SmokeFailed(f"the job {job.uid} is {job.status}: {why}")
            self._notice(inbox, job.id, _NOTICE_S)
            return client.job(job.uid), time.monotonic() - posted

    def _notice(self, inbox: str, job: str, within_s: float) -> Notice:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with translated("SQS ReceiveMessage"):
                received = self.sqs.receive_message(
                    QueueUrl=inbox, WaitTimeSeconds=2, MaxNumberOfMessages=10
                )
            for message in received.get("Messages", ()):
                notice = Notice.model_validate_json(message["Body"])
                if notice.id != job:
                    continue
                if notice.status != "completed" or not notice.result:
                    why = (notice.job["error"] or {}).get("message", "no reason")
                    raise SmokeFailed(f"the notice of job {job} says {notice.status}: {why}")
                return notice
        raise SmokeFailed(f"no notice of job {job} came within {within_s:g} s")

    def _image(self, view: JobView) -> None:
        for output in view.outputs:
            if output.url is None:
                raise SmokeFailed(f"{output.key} has no address to fetch it from")
            content = httpx.get(output.url, timeout=60).raise_for_status().content
            digest = hashlib.sha256(content).hexdigest()
            if (digest, len(content)) != (output.sha256, output.bytes):
                raise SmokeFailed(
                    f"{output.key} has {len(content)} bytes and sha256 {digest}; recorded are "
                    f"{output.bytes} and {output.sha256}"
                )

    def _cache(self, accepted: datetime) -> tuple[str, ...]:
        """What nodes tell of the snapshot; older ones were not made of this one."""
        if self.nodes is None:
            return ("no cluster was looked at: nothing was seen of nodes and snapshots",)
        if self.nodes.kind != GPU_NODES:
            return ()
        pulled = self.nodes.pulled(accepted)
        if not pulled:
            # No pull is no proof: of a node that is gone, or is older than its events, nothing is.
            return (
                ()
                if self.nodes.cached(accepted)
                else ("not seen: whether a GPU node had the images",)
            )
        told = f"a GPU node pulled {', '.join(pulled)}"
        if self.cached():
            raise SmokeFailed(f"{told}, although its snapshot should have it")
        return (f"{told}: there is no snapshot with it",)

    def _until_zero(self) -> float | None:
        """Seconds until no node is left; None if other jobs keep them."""
        if self.nodes is None:
            return None
        began = time.monotonic()
        while names := self.nodes.left():
            waited = time.monotonic() - began
            if waited >= self.own_s and self._others():
                return None
            if waited > self.to_zero_s:
                raise SmokeFailed(
                    f"{', '.join(names)} still there {self.to_zero_s:g} s after the job: it costs "
                    "money while nothing runs. `darkroom status` says what holds it"
                )
            time.sleep(_LOOK_S)
        return time.monotonic() - began

    def _others(self) -> int:
        """Jobs that are queued or in work."""
        return sum(sum(SqsQueue(self.sqs, url).depth()) for url in self.queues())

    def _usd(self, job_s: float, to_zero_s: float | None) -> float | None:
        if self.hour_usd is None or to_zero_s is None:
            return None
        return (job_s + to_zero_s) / 3600 * self.hour_usd


def _posted(client: Client, request: dict[str, Any]) -> JobView:
    """A Lambda that wakes may be slower than the gateway waits: asked again it is awake."""
    for _ in range(_TRIES - 1):
        try:
            return client.submit(request)
        except Unreachable:
            pass
        except Refused as refused:
            if refused.problem.status not in _PASSING:
                raise
        time.sleep(_LOOK_S)
    return client.submit(request)


def _split(view: JobView) -> list[tuple[str, float]]:
    """What each point took since the one before."""
    points = timeline(view)
    return [(name, at - before) for (_, before), (name, at) in itertools.pairwise(points)]
