"""A Ray cluster on this machine whose GPU nodes are only numbers, but come and go for real.

As a program it starts one, deploys the runtime `demo` as we ship it but with a generator that
paints nothing, and writes down what there is, until it is told to end.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import ray
from ray import serve
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.cluster_utils import AutoscalingCluster

from bridge.scripted import success
from darkroom.ports import HOST
from jobs.environment import read_catalogue
from jobs.job import Job
from jobs.stream import Result
from serve_app import scaling
from serve_app.ingress import Ingress
from serve_app.settings import ServeSettings
from tests.integration.gpu_nodes import MARK, GpuNodes

_COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
_OBJECT_STORE = 80 * 1024 * 1024


class GpuCluster(AutoscalingCluster):
    """Ray's own, without its `ray stop`, which would end every Ray on this machine."""

    def __init__(self, folder, *, gcs_port, nodes, idle_s):
        self._folder = folder
        self._gcs_port = gcs_port
        self._nodes = nodes
        super().__init__(
            head_resources={},
            worker_node_types={
                "gpu": {
                    "resources": {"CPU": 1, "GPU": 1, "object_store_memory": _OBJECT_STORE},
                    "node_config": {},
                    "min_workers": 0,
                    "max_workers": nodes,
                }
            },
            autoscaler_v2=True,
            idle_timeout_minutes=idle_s / 60,
            # What KubeRay writes for its `Default` mode: pending nodes hold up no others.
            upscaling_speed=1000,
        )

    def _generate_config(self, head_resources, worker_node_types, *, autoscaler_v2, **changed):
        # Ray's own reads a file that its wheel lacks.
        return {
            "cluster_name": "darkroom-test",
            "max_workers": 8,
            "head_node_type": "ray.head.default",
            "provider": {
                # By its path: under a name, the autoscaler misses that file too.
                "type": "external",
                "module": f"{GpuNodes.__module__}.{GpuNodes.__name__}",
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
                "launch_multiple": autoscaler_v2,
                "head_node_id": FAKE_HEAD_NODE_ID,
                "gcs_address": f"{HOST}:{self._gcs_port}",
            },
            "available_node_types": {
                **worker_node_types,
                "ray.head.default": {
                    "resources": {"CPU": 0, **head_resources},
                    "node_config": {},
                    "max_workers": 0,
                },
            },
            # Nothing is set up on a node that is only a number.
            **{name: [] for name in _COMMANDS},
            "cluster_synced_files": [],
            "file_mounts": {},
            **changed,
        }

    def start(self):
        """The head and its autoscaler."""
        config = self._folder / "cluster.json"
        config.write_text(json.dumps(self._config))
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--head",
            "--block",
            # Without one, nodes are started by hand.
            *([f"--autoscaling-config={config}"] if self._nodes else []),
            f"--node-ip-address={HOST}",
            f"--port={self._gcs_port}",
            # Eight processes that nothing here asks anything.
            "--include-dashboard=false",
            f"--ray-client-server-port={os.environ['DARKROOM_CLIENT_PORT']}",
            "--dashboard-agent-listen-port=0",
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--num-cpus=0",
            f"--object-store-memory={_OBJECT_STORE}",
            f"--temp-dir={self._folder / 'ray'}",
        ]
        environ = {
            **os.environ,
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
        }
        # Ray gives itself 30 s; on a busy machine that may take another try.
        while not self._started(command, environ):
            kill_marked(os.environ[MARK])
        ray.init(
            address=f"{HOST}:{self._gcs_port}",
            log_to_driver=False,
            runtime_env={"worker_process_setup_hook": "serve_app.loopback.bind_replicas"},
        )

    def _started(self, command, environ):
        """Whether the head came up."""
        log = self._folder / "head.log"
        with log.open("w") as output:
            head = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
        while "Ray runtime started" not in (said := log.read_text()):
            if head.poll() is not None:
                assert "timed out during startup" in said, said
                return False
            time.sleep(0.2)
        return True

    def shutdown(self):
        """End the processes that have our mark, and no others."""
        ray.shutdown()
        kill_marked(os.environ[MARK])


def kill_marked(mark):
    """End every process with this mark but the one that asks."""
    marked = [each for each in psutil.process_iter() if _mark_of(each) == mark]
    for process in marked:
        if process.pid != os.getpid():
            process.kill()


def _mark_of(process):
    try:
        return process.environ().get(MARK)
    except psutil.Error:
        return None


class Painter:
    """In the place of the generator: takes as many jobs, one at a time on its device."""

    def __init__(self, job_s, log):
        self._device = asyncio.Lock()
        self._job_s = job_s
        self._log = log

    async def generate(self, body, *, alone=False):
        """The events of a job that goes well; its beginning is written down."""
        job = Job.decode(body)
        with self._log.open("a") as log:
            node = ray.get_runtime_context().get_node_id()
            begun = {"uid": job.uid, "node": node, "at": time.time()}
            log.write(json.dumps(begun) + "\n")
        for event in success(seed=job.seed):
            if isinstance(event, Result):
                async with self._device:
                    await asyncio.sleep(self._job_s)
            yield event.model_dump(mode="json")


def application(environ):
    """The runtime `demo` as `serve_app.app` has it; `POLICY=serve` takes ours out."""
    settings, catalogue = ServeSettings.from_env(environ), read_catalogue(environ)
    runtime = catalogue.runtime("demo")
    options = scaling.generator_options(runtime, settings)
    if environ.get("POLICY") == "serve":
        del options["autoscaling_config"]["policy"]
    generator = serve.deployment(Painter, **options)
    ingress = serve.deployment(Ingress, **scaling.ingress_options(runtime.replicas))
    return ingress.bind(
        "demo",
        catalogue,
        generator.bind(float(environ["JOB_S"]), Path(environ["GENERATIONS"])),
        start_timeout_s=settings.start_timeout_s,
        policy_s=scaling.policy_s(settings),
    )


def watch(file, done):
    """One line a second: GPU nodes, replicas that run, and replicas that are wanted."""
    with file.open("a", buffering=1) as out:
        while not done.wait(1):
            gpus = sum(node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"])
            deployments = serve.status().applications["demo"].deployments
            states = deployments["generator"].replica_states
            line = {
                "at": time.time(),
                "nodes": int(gpus),
                "replicas": states.get("RUNNING", 0),
                "wanted": sum(states.get(state, 0) for state in ("RUNNING", "STARTING")),
            }
            out.write(json.dumps(line) + "\n")


def main():
    """Start, watch, stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(sys.argv[1])
    cluster = GpuCluster(
        folder,
        gcs_port=int(os.environ["DARKROOM_GCS_PORT"]),
        nodes=int(os.environ["NODES"]),
        idle_s=float(os.environ["NODE_IDLE_S"]),
    )
    try:
        cluster.start()
        port = int(os.environ["DARKROOM_SERVE_PORT"])
        # On a cluster every node has a proxy. Here they would share one port, and get requests
        # before they are ready for any.
        serve.start(http_options={"host": HOST, "port": port}, proxy_location="HeadOnly")
        serve.run(application(os.environ), name="demo", route_prefix="/demo")
        done = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: done.set())  # Ray has put its own there
        watch(folder / "cluster.jsonl", done)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
