"""The jobs of an installation that goes: waited for, as long as somebody works on them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.inbox import QUEUE_GONE
from darkroom.deploy.ownership import Names
from darkroom.deploy.step import Standing
from darkroom.names import NAMESPACE
from records.errors import ObjectMissing, translated

_LOOK_S = 10
_APP = "app.kubernetes.io/name"
_UNDONE = "nobody will do them (their records say `queued`)"


@dataclass(frozen=True, kw_only=True)
class DrainedJobs:
    """Jobs that are accepted end, as far as `wait_s` goes; the others are listed.

    KEDA is paused by now: where no bridge runs none will, and to wait would be in vain.
    """

    sqs: Any
    names: Names
    #: None: there is no cluster, and nobody at work.
    cluster: Cluster | None
    say: Callable[[str], None]
    wait_s: float
    sleep: Callable[[float], None] = time.sleep

    name = "drain the jobs"
    takes = "as long as they take, or --drain"

    def check(self) -> Standing:
        """Never done: to look takes as long as to do."""
        return Standing(done=False)

    def undo(self) -> None:
        """What was drained is done."""

    def apply(self) -> None:
        """Say at once what nobody works on; wait for the rest; say what then is left, and go on."""
        waited, told = 0.0, set[str]()
        while True:
            left = self.left()
            waiting = {queue for queue in left if queue not in self.names.aside_queues}
            idle = waiting - self._worked_on(waiting)
            for queue in sorted(idle - told):
                self.say(f"{queue}: {left[queue]} jobs, and no bridge is at work: {_UNDONE}")
            told |= idle
            if waiting <= idle or waited >= self.wait_s:
                break
            self.sleep(_LOOK_S)
            waited += _LOOK_S
        for queue in sorted(left.keys() - idle):
            fate = "jobs that were put aside; they go with the queue"
            if queue in waiting:
                fate = f"jobs; {_UNDONE}"
            self.say(f"{queue}: {left[queue]} {fate}")

    def left(self) -> Mapping[str, int]:
        """Queue of jobs -> its messages, of those that have any."""
        own = self.names.job_queues.keys() | self.names.dead_letter_queues.keys()
        own |= self.names.aside_queues
        with translated("SQS ListQueues"):
            pages = self.sqs.get_paginator("list_queues").paginate(
                QueueNamePrefix=f"{self.names.installation}-"
            )
            urls = [url for page in pages for url in page.get("QueueUrls", ())]
        named = {url.rpartition("/")[2]: url for url in urls}
        found = {queue: self._depth(url) for queue, url in named.items() if queue in own}
        return {queue: depth for queue, depth in found.items() if depth}

    def _worked_on(self, queues: set[str]) -> set[str]:
        """Those that somebody on the cluster takes from."""
        if self.cluster is None or not queues:
            return set()
        # Pods, not Deployments: one that is told to stop still ends its job.
        pods = self.cluster.items("pods", namespace=NAMESPACE)
        bridges = {
            pod["metadata"].get("labels", {}).get(_APP)
            for pod in pods
            if pod.get("status", {}).get("phase") in ("Pending", "Running")
        }
        jobs = self.cluster.items("cronjobs", namespace=NAMESPACE)
        workers = {each["metadata"]["name"] for each in jobs}
        at_work = {
            queue
            for queue, behind in self.names.job_queues.items()
            if f"bridge-{behind}" in bridges
        }
        at_work |= {
            queue
            for queue, runtime in self.names.dead_letter_queues.items()
            if f"dead-letters-{runtime}" in workers
        }
        return queues & at_work

    def _depth(self, url: str) -> int:
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        try:
            with translated("SQS GetQueueAttributes", missing=QUEUE_GONE):
                found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)
        except ObjectMissing:
            return 0
        return sum(int(each) for each in found.get("Attributes", {}).values())
