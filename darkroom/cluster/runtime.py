"""What the templates of one runtime are filled with: all of it follows from its entry."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import yaml

from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.names import CPU_NODES, GPU, GPU_NODES, NAMESPACE, bridges_of, queues_of
from jobs.catalogue import Catalogue, Runtime

#: Where the images have our code, the bundled model below it.
CODE = "/srv/darkroom"
CATALOGUE_FILE = "/etc/darkroom/runtimes.yaml"
#: A replica goes after so long without a job. Two minutes: bursts within it find a warm GPU,
#: and the bridge, whose cooldown is longer, always outlives the replica it fed.
IDLE_S = 120
#: For the first sign of a job: a spot node, its image and the weights take two minutes, and a
#: zone without capacity takes longer.
START_TIMEOUT_S = 900
#: What SIGTERM leaves a bridge: one whole attempt, so that a rollout repeats no generation.
BRIDGE_GRACE_S = 600
#: Ray's own shutdown of a worker, and the proxy's, which takes 30 s at least.
DRAIN_S = 100
#: Of a worker pod; with it the drain ends within the 120 s that a spot notice gives.
WORKER_GRACE_S = 115
#: The head costs a minute or two to come back, and a cent for each hour that it stays.
SLEEP_AFTER_S = 1800
#: SQS's counts lag by up to a minute: what was looked at for longer is so.
SLEEP_OVER_S = 90
#: Kept free on a GPU worker for the raylet and the pod's own processes, in cores.
_RAYLET_CPUS = 0.5


def catalogue_map(catalogue: Catalogue) -> tuple[str, str]:
    """Name and content of the ConfigMap with runtimes.yaml.

    The name has a hash: another content is another object, and whoever mounts it is rolled.
    """
    text = yaml.safe_dump(catalogue.model_dump(mode="json"), sort_keys=False, width=100)
    return f"runtimes-{hashlib.sha256(text.encode()).hexdigest()[:8]}", text


def variables(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A container's `env`, by name."""
    return [{"name": name, "value": str(value)} for name, value in sorted(given.items())]


@dataclass(frozen=True, kw_only=True)
class RuntimeValues:
    """The values of one runtime's objects."""

    name: str
    runtime: Runtime
    installation: Installation
    images: Images

    def of_serve(self) -> dict[str, Any]:
        """For the RayService."""
        replicas = self.runtime.replicas
        on_gpu = replicas.num_gpus > 0
        nodes = GPU_NODES if on_gpu else CPU_NODES
        return {
            "runtime": self.name,
            "serve_config": self.serve_config(),
            "serve_env": variables(self._serve_environment(on_gpu=on_gpu)),
            "drain_s": str(DRAIN_S),
            "worker_grace_s": WORKER_GRACE_S,
            "head": {"image": self.images.by_name["serve-cpu"]},
            "worker": {
                "group": nodes,
                "image": self.images.by_name["serve-gpu" if on_gpu else "serve-cpu"],
                "nodes": nodes,
                "max": replicas.max,
                # What Ray may give to actors; the raylet's own share is not among it.
                "cpus": str(self._worker_cpus()),
                "resources": self._worker_resources(),
                "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
                if on_gpu
                else None,
            },
        }

    def of_queues(self) -> Iterator[dict[str, Any]]:
        """For the bridge of each queue: the jobs that somebody waits for, and the others."""
        bridges = self.runtime.bridges
        for queue in queues_of(self.name):
            config = self.installation.config(f"bridge-{queue}")
            own = {
                "DARKROOM_SERVE_URL": f"http://{self.name}-serve-svc.{NAMESPACE}.svc:8000",
                "DARKROOM_START_TIMEOUT_S": START_TIMEOUT_S,
                "DARKROOM_GRACE_S": BRIDGE_GRACE_S,
            }
            yield {
                "runtime": self.name,
                "queue": queue,
                "image": self.images.by_name["bridge"],
                "env": variables(_needed_by_bridge(config) | self._process_environment() | own),
                "grace_s": BRIDGE_GRACE_S + 60,
                "keda": {
                    "min": bridges.min,
                    "max": bridges.max,
                    "cooldown_s": bridges.cooldown_s,
                    "queue_length": str(bridges.queue_length),
                    "queue_url": config["DARKROOM_QUEUE_URL"],
                    "region": self.installation.region,
                },
            }

    def of_dead_letters(self) -> dict[str, Any]:
        """For the worker that deals with what SQS took away."""
        config = self.installation.config(f"dead-letters-{self.name}")
        config.pop("DARKROOM_JOBS_TOPIC_ARN")
        return {
            "runtime": self.name,
            "image": self.images.by_name["bridge"],
            "env": variables(config | self._process_environment()),
        }

    def of_sleep(self) -> dict[str, Any]:
        """For the job that looks whether the runtime may sleep."""
        own = {
            "DARKROOM_RAYSERVICE": f"{NAMESPACE}/{self.name}",
            "DARKROOM_BRIDGES": " ".join(bridges_of(self.name)),
            "DARKROOM_QUEUE_URLS": " ".join(map(self._queue_url, queues_of(self.name))),
            "DARKROOM_SLEEP_AFTER_S": SLEEP_AFTER_S,
            "DARKROOM_SLEEP_OVER_S": SLEEP_OVER_S,
        }
        return {
            "runtime": self.name,
            "image": self.images.by_name["bridge"],
            "sleep_env": variables(self._process_environment() | own),
        }

    def _queue_url(self, queue: str) -> str:
        url: str = self.installation.config(f"bridge-{queue}")["DARKROOM_QUEUE_URL"]
        return url

    def serve_config(self) -> str:
        """The RayService's `serveConfigV2`.

        Only what the code cannot know: numbers of replicas, windows and delays are options of
        the deployments in the code, which reads the same entry of runtimes.yaml.
        """
        return yaml.safe_dump(
            {
                # A worker's proxy makes it ready, and lets it drain; see docs/operations.md.
                "proxy_location": "EveryNode",
                "http_options": {"host": "0.0.0.0", "port": 8000},  # noqa: S104  # within the pod
                "applications": [
                    {
                        "name": self.name,
                        "route_prefix": "/",
                        "import_path": "serve_app.app:build",
                        "args": {"runtime": self.name},
                    }
                ],
            },
            sort_keys=False,
        )

    def _process_environment(self) -> dict[str, Any]:
        region = self.installation.region
        return {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "DARKROOM_LOG": "json",
            "DARKROOM_RUNTIMES": CATALOGUE_FILE,
        }

    def _serve_environment(self, *, on_gpu: bool) -> dict[str, Any]:
        return self._process_environment() | {
            "DARKROOM_DEVICE": "cuda" if on_gpu else "cpu",
            "DARKROOM_DTYPE": "float16" if on_gpu else "float32",
            "DARKROOM_IDLE_S": IDLE_S,
            "DARKROOM_MODELS_ROOT": CODE,
            # How many wait there decides on replicas; batch jobs use what is there.
            "DARKROOM_QUEUE_URL": self._queue_url(self.name),
            # A head lives for weeks on a disk of 20 GiB that is not its own; Ray's usual half a
            # gigabyte is kept six times, of each of its logs.
            "RAY_ROTATION_MAX_BYTES": 16 * 1024**2,
            "RAY_ROTATION_BACKUP_COUNT": 2,
            "DARKROOM_START_TIMEOUT_S": START_TIMEOUT_S,
        }

    def _worker_resources(self) -> dict[str, Any]:
        replicas = self.runtime.replicas
        memory = f"{replicas.memory_gib}Gi"
        gpus = {GPU: str(ceil(replicas.num_gpus))} if replicas.num_gpus else {}
        # No limit of cores: work beside the device may use what the node has idle.
        return {
            "requests": {"cpu": str(self._worker_cpus()), "memory": memory} | gpus,
            "limits": {"memory": memory} | gpus,
        }

    def _worker_cpus(self) -> int:
        return ceil(self.runtime.replicas.num_cpus + _RAYLET_CPUS)


def _needed_by_bridge(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the topic of jobs: only the API and the sweeper publish there."""
    return {name: value for name, value in config.items() if name != "DARKROOM_JOBS_TOPIC_ARN"}
