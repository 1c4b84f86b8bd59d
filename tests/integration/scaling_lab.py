"""Everything that scales, on one machine: queue, bridges, KEDA's rules, Serve, Ray's autoscaler.

The times are those that ship, read from the rendered manifests (tests/timetable.py); those of the
scaling are divided by one factor. Leases and visibility timeouts stay as they are: they are there
for a process that is slow, and this machine does not become faster. So does what Serve averages
over, half a second and three: its controller could not follow any faster.
"""

import json
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from darkroom import emulator
from darkroom.cloud import create_cloud
from darkroom.cluster.timers import HPA_WINDOW_S
from darkroom.ports import HOST, Ports
from darkroom.process import StackProcess
from jobs.catalogue import Catalogue
from records.aws import SqsQueue
from tests.integration.gpu_cluster import MARK, kill_marked
from tests.integration.keda import Keda, ScaledObject
from tests.integration.lab_jobs import LabJobs
from tests.integration.ray_logs import RayLogs

ROOT = Path(__file__).resolve().parents[2]
#: Seconds. Half a minute on an idle machine; only a hang is to end here.
READY_S = 480
NODES = 2
#: A job is a second of work by these figures: the first ten messages are worth every node.
CATALOGUE = f"""
runtimes:
  demo:
    replicas: {{max: {NODES}, admit_window: 4, num_cpus: 1, num_gpus: 1, boot_s: 8,
      row_steps_per_s: 16}}
    models:
      tiny:
        path: tiny
        defaults: {{width: 64, height: 64, num_inference_steps: 8, guidance_scale: 5.0}}
        limits: {{max_side: 256, max_pixels: 65536}}
"""


#: The times of the scaling, by their names in `Timers`.
SCALED = ("to_zero", "depth_poll", "ray_tick", "ray_idle", "keda_poll", "keda_cooldown")


class ScalingLab:
    """Use `ScalingLab.running`."""

    def __init__(self, home, timers, factor, *, policy, autoscaled, job_s):
        self.home = home
        self.timers = replace(timers, **{name: getattr(timers, name) / factor for name in SCALED})
        self._hpa_window = HPA_WINDOW_S / factor
        self.policy = policy
        self.nodes = NODES if autoscaled else 0
        #: Seconds that a job has the stand-in's device.
        self.job_s = job_s
        self.generations = home / "generations.jsonl"
        self.workers = {}
        self.mark = uuid.uuid4().hex
        self.ports = Ports.free()
        spare = Ports.free()
        self._gcs_port, self._client_port = spare.api, spare.ui
        self.bridges = []
        self._spawned = 0
        self.samples = []
        self.logs = RayLogs(home / "ray")
        self._stop = threading.Event()

    @classmethod
    @contextmanager
    def running(cls, timers, factor, *, policy="ours", autoscaled=True, job_s=0.4):
        """A lab at rest, from here to the end of the block.

        `timers` as they ship, and what those of the scaling are divided by. Not `autoscaled`, its
        nodes are those that `start_worker` starts.
        """
        with tempfile.TemporaryDirectory(prefix="scaling-", dir="/tmp") as home:
            lab = cls(Path(home), timers, factor, policy=policy, autoscaled=autoscaled, job_s=job_s)
            processes, threads = [], []
            try:
                processes.append(lab._start_aws())
                processes.append(lab._start_cluster())
                threads += [threading.Thread(target=run) for run in (lab.keda.run, lab._sample)]
                for thread in threads:
                    thread.start()
                yield lab
            except BaseException as error:
                error.add_note(lab._why())
                raise
            finally:
                lab._stop.set()
                for thread in threads:
                    lab.keda.stop()
                    thread.join()
                for process in [*lab.bridges, *lab.workers.values(), *reversed(processes)]:
                    process.stop(grace_s=20)
                kill_marked(lab.mark)

    def client(self, service):
        """A boto3 client of the emulated AWS."""
        return emulator.client(self._aws_url, service)

    @property
    def _aws_url(self):
        return f"http://{HOST}:{self.ports.aws}"

    def _spawn(self, name, *command, **environ):
        environ = emulator.without_aws() | emulator.addressed(self._aws_url) | environ
        return StackProcess(
            name,
            [sys.executable, "-m", *command],
            env=environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            log=self.home / f"{name}.log",
        )

    def _start_aws(self):
        (self.home / "runtimes.yaml").write_text(CATALOGUE)
        (self.home / "cluster.jsonl").touch()
        settings = emulator.settings(self.ports.aws, self.home)
        aws = self._spawn("aws", "ministack", SERVICES="dynamodb,s3,sns,sqs", **settings)
        aws.wait_until(lambda: emulator.answers(self._aws_url), timeout_s=READY_S)
        catalogue = Catalogue.from_yaml(CATALOGUE)
        self.cloud = create_cloud(catalogue, connect=self.client, subscribers=["checker"])
        self.queue = SqsQueue(self.client("sqs"), self.cloud.queues["demo"].jobs)
        self.jobs = LabJobs(self.client, self.cloud)
        bridges = catalogue.runtime("demo").bridges
        self.keda = Keda(
            spec=ScaledObject(
                queue_length=bridges.queue_length,
                max_replicas=bridges.max,
                polling_s=self.timers.keda_poll,
                cooldown_s=self.timers.keda_cooldown,
                stabilization_s=self._hpa_window,
            ),
            depth=SqsQueue(self.client("sqs"), self.cloud.queues["demo"].jobs).depth,
            scale=self._scale,
        )
        return aws

    def _start_cluster(self):
        cluster = self._spawn(
            "cluster",
            "tests.integration.gpu_cluster",
            str(self.home),
            POLICY=self.policy,
            NODES=str(self.nodes),
            JOB_S=str(self.job_s),
            GENERATIONS=str(self.generations),
            NODE_IDLE_S=str(self.timers.ray_idle),
            # Whole seconds only.
            AUTOSCALER_UPDATE_INTERVAL_S=str(max(1, round(self.timers.ray_tick))),
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
            RAY_AUTH_MODE="token",
            **{MARK: self.mark},
            RAY_AUTH_TOKEN=self.mark,
            RAY_USAGE_STATS_ENABLED="0",
            DARKROOM_GCS_PORT=str(self._gcs_port),
            DARKROOM_CLIENT_PORT=str(self._client_port),
            DARKROOM_SERVE_PORT=str(self.ports.serve),
            DARKROOM_RUNTIMES=str(self.home / "runtimes.yaml"),
            DARKROOM_IDLE_S=str(self.timers.to_zero),
            DARKROOM_QUEUE_URL=self.cloud.queues["demo"].jobs,
            DARKROOM_DEPTH_POLL_S=str(self.timers.depth_poll),
        )
        try:
            # Its first line is what the first sample is.
            cluster.wait_until(lambda: self._watched() is not None, timeout_s=READY_S)
        except BaseException:
            cluster.stop(grace_s=20)
            raise
        return cluster

    def start_worker(self, name):
        """A node as KubeRay's worker pods are: `ray start --block`. `name` is 56 hex digits."""
        nodes = self.sample()["nodes"]

        def is_known(now):
            # Ray gives it 30 s, which a busy machine does not keep; a pod would be begun again.
            if not self.workers[name].running:
                self._start_ray(name)
            return now["nodes"] > nodes

        self._start_ray(name)
        self.until(is_known)

    def _start_ray(self, name):
        options = {
            "address": f"{HOST}:{self._gcs_port}",
            "node-ip-address": HOST,
            "num-cpus": 1,
            "num-gpus": 1,
            "object-store-memory": 80 * 1024 * 1024,
            "min-worker-port": 0,
            "max-worker-port": 0,
            "dashboard-agent-listen-port": 0,
        }
        command = ["tests.integration.ray_worker", "start", "--block"]
        self.workers[name] = self._spawn(
            f"worker-{name[-1]}",
            *command,
            *(f"--{option}={value}" for option, value in options.items()),
            **{MARK: self.mark},
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=self.mark,
            RAY_USAGE_STATS_ENABLED="0",
            RAY_OVERRIDE_NODE_ID_FOR_TESTING=name,
            RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=str(self.timers.drain),
            GENERATIONS=str(self.generations),
        )

    def generated(self):
        """What generations were begun, in order: the job and the node of each."""
        if not self.generations.exists():
            return []
        return [json.loads(line) for line in self.generations.read_text().splitlines()]

    def _scale(self, replicas):
        """Start or end bridges, as a Deployment would; those told to end drain by themselves."""
        running = [bridge for bridge in self.bridges if bridge.running]
        for _ in range(replicas - len(running)):
            self._spawned += 1
            self.bridges.append(self._bridge(f"bridge-{self._spawned}"))
        for bridge in running[replicas:]:
            threading.Thread(target=bridge.stop, kwargs={"grace_s": 60}).start()

    def _bridge(self, name):
        return self._spawn(
            name,
            "bridge",
            HOSTNAME=name,
            DARKROOM_RUNTIME="demo",
            DARKROOM_RUNTIMES=str(self.home / "runtimes.yaml"),
            DARKROOM_QUEUE_URL=self.cloud.queues["demo"].jobs,
            DARKROOM_PARKED_QUEUE_URL=self.cloud.queues["demo"].parked,
            DARKROOM_SERVE_URL=f"http://{HOST}:{self.ports.serve}/demo",
            DARKROOM_JOB_TABLE=self.cloud.table,
            DARKROOM_BUCKET=self.cloud.bucket,
            DARKROOM_NOTICES_TOPIC_ARN=self.cloud.notices_topic_arn,
            DARKROOM_LONG_POLL_S="1",
        )

    def until(self, condition, *, timeout_s=READY_S):
        """Wait until a sample is as `condition` wants it; that sample."""
        end = time.monotonic() + timeout_s
        while not condition(now := self.sample()):
            assert time.monotonic() < end, (now, self._why())
            time.sleep(1)
        return now

    def _why(self):
        """The last words of everybody, for whom has to find out."""
        logs = sorted(self.home.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()[-600:]}" for log in logs)

    def _sample(self):
        """A line a second of what there is, for assertions and for the picture."""
        while not self._stop.wait(1):
            self.jobs.hear()
            self.samples.append(self.sample())

    def sample(self):
        """What there is now."""
        return {
            **self._watched(),
            "at": time.time(),
            "depth": sum(self.queue.depth()),
            "bridges": sum(bridge.running for bridge in self.bridges),
            "done": self.jobs.done,
        }

    def _watched(self):
        """What the cluster last wrote down of itself; None before it has."""
        lines = (self.home / "cluster.jsonl").read_text().splitlines()
        return json.loads(lines[-1]) if lines else None
