"""`python -m darkroom.sleep`: put an idle RayService to sleep. A CronJob runs it.

Exit status 0 whether it sleeps now or not; 1 if something did not answer, and it stays awake.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from kubernetes import client

from darkroom.errors import ClusterError, ServeSilent
from darkroom.kuberay import KubeRay, connect
from darkroom.observed import Observed
from darkroom.serve_state import Deployment, deployments
from darkroom.sleeper import Sleeper, Verdict
from darkroom.workloads import Workloads
from jobs.environment import BadSetting, number, required
from records.aws import SqsQueue
from records.connect import connect as connect_aws
from records.errors import RecordsError
from records.queue import Queue


@dataclass(frozen=True, kw_only=True)
class SleepSettings:
    """What a sleeper is told. All times are seconds."""

    namespace: str
    service: str
    #: One for each queue; Deployment and ScaledObject are of one name.
    bridges: tuple[str, ...]
    queue_urls: tuple[str, ...]
    dashboard_url: str
    ray_token: str | None
    idle_s: float
    samples: int
    over_s: float

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read and check all of them; `BadSetting` names the variable."""
        place = required(environ, "DARKROOM_RAYSERVICE")
        namespace, slash, service = place.partition("/")
        if not (namespace and slash and service):
            raise BadSetting(f"DARKROOM_RAYSERVICE must be <namespace>/<name>, not {place!r}")
        return cls(
            namespace=namespace,
            service=service,
            bridges=tuple(required(environ, "DARKROOM_BRIDGES").split()),
            queue_urls=tuple(required(environ, "DARKROOM_QUEUE_URLS").split()),
            dashboard_url=environ.get("DARKROOM_DASHBOARD_URL")
            or f"http://{service}-head-svc.{namespace}:8265",
            ray_token=environ.get("RAY_AUTH_TOKEN") or None,
            # Half an hour: to come back costs a minute or two.
            idle_s=number(environ, "DARKROOM_SLEEP_AFTER_S", 1800),
            # SQS's counts are approximate: several looks, over longer than they lag.
            samples=int(number(environ, "DARKROOM_SLEEP_SAMPLES", 3, least=2)),
            over_s=number(environ, "DARKROOM_SLEEP_OVER_S", 90),
        )


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The surroundings as they are."""

    settings: SleepSettings
    kuberay: KubeRay
    workloads: Workloads
    queues: Sequence[Queue]

    @classmethod
    def of(cls, settings: SleepSettings, api: client.ApiClient, queues: Sequence[Queue]) -> Self:
        """Over one connection."""
        return cls(
            settings=settings,
            kuberay=KubeRay(api, settings.namespace),
            workloads=Workloads(api, settings.namespace),
            queues=queues,
        )

    def service(self) -> Observed:
        return self.kuberay.service(self.settings.service)

    def messages(self) -> int:
        return sum(sum(queue.depth()) for queue in self.queues)

    def bridges(self) -> int:
        return sum(self.workloads.replicas_wanted(name) for name in self.settings.bridges)

    def deployments(self) -> list[Deployment]:
        return deployments(self.settings.dashboard_url, self.settings.ray_token)

    def gpu_workers(self) -> int:
        return len(self.workloads.worker_pods(self.settings.service))

    def last_active(self) -> datetime | None:
        seen = (self.workloads.last_active(name) for name in self.settings.bridges)
        return max(filter(None, seen), default=None)

    def suspend(self, seen: Observed) -> None:
        self.kuberay.suspend(seen)


def run(settings: SleepSettings) -> Verdict:
    """One run against the cluster that we are in."""
    sqs = connect_aws("sqs")
    queues = [SqsQueue(sqs, url) for url in settings.queue_urls]
    sleeper = Sleeper(
        around=Cluster.of(settings, connect(), queues),
        samples=settings.samples,
        over_s=settings.over_s,
        idle=timedelta(seconds=settings.idle_s),
        pause=time.sleep,
    )
    return sleeper.run()


def main() -> int:
    """The process's exit status."""
    try:
        verdict = run(SleepSettings.from_env(os.environ))
    except BadSetting as error:
        sys.stderr.write(f"sleep: {error}\n")
        return 2
    except (ClusterError, ServeSilent, RecordsError) as error:
        # Who cannot see everything lets it be awake.
        sys.stderr.write(f"sleep: awake, because blind: {error}\n")
        return 1
    sys.stderr.write(f"sleep: {'asleep' if verdict.asleep else 'awake'}: {verdict.reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
