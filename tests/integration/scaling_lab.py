"""Everything that scales, on one machine: queue, bridges, KEDA's rules, Serve, Ray's autoscaler.

`Scales.scaled` divides every time of the scaling by one factor. Leases and visibility timeouts stay
as they are: they are there for a process that is slow, and this machine does not become faster.
"""

import json
import re
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from darkroom import emulator
from darkroom.cloud import create_cloud
from darkroom.ports import HOST, Ports
from darkroom.process import StackProcess
from jobs.catalogue import Catalogue
from jobs.inputs import TextToImage
from jobs.job import Job
from jobs.message import Message
from jobs.uid import new_uid
from records.accept import accept
from records.aws import S3Store, SqsQueue
from records.clock import now_ms
from records.dynamo import DynamoTable
from records.record import Record, job_key
from serve_app.settings import ServeSettings
from tests.integration.gpu_cluster import MARK, kill_marked
from tests.integration.keda import Keda, ScaledObject

ROOT = Path(__file__).resolve().parents[2]
#: Seconds. Half a minute on an idle machine; only a hang is to end here.
READY_S = 480
NODES = 2
#: As the worker pods have it: less than a spot instance's notice of two minutes.
DRAIN_S = 100
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


@dataclass(frozen=True, kw_only=True)
class Scales:
    """The times of the scaling as shipped, in seconds."""

    serve_idle: float = ServeSettings().idle_s
    depth_poll: float = ServeSettings().depth_poll_s
    keda_poll: float = ScaledObject().polling_s
    keda_cooldown: float = ScaledObject().cooldown_s
    hpa_window: float = ScaledObject().stabilization_s
    node_idle: float = 60
    autoscaler_tick: float = 5

    def scaled(self, factor):
        """All of them shorter."""
        return replace(self, **{f.name: getattr(self, f.name) / factor for f in fields(self)})


class ScalingLab:
    """Use `ScalingLab.running`."""

    def __init__(self, home, scales, *, policy, autoscaled, job_s):
        self.home = home
        self.scales = scales
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
        self.uids = []
        self._done = 0
        self._stop = threading.Event()

    @classmethod
    @contextmanager
    def running(cls, scales, *, policy="ours", autoscaled=True, job_s=0.4):
        """A lab at rest, from here to the end of the block.

        Not `autoscaled`, its nodes are those that `start_worker` starts.
        """
        with tempfile.TemporaryDirectory(prefix="scaling-", dir="/tmp") as home:
            lab = cls(Path(home), scales, policy=policy, autoscaled=autoscaled, job_s=job_s)
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
        self.notices = SqsQueue(self.client("sqs"), self.cloud.notice_queues["checker"])
        self.keda = Keda(
            spec=ScaledObject(
                polling_s=self.scales.keda_poll,
                cooldown_s=self.scales.keda_cooldown,
                stabilization_s=self.scales.hpa_window,
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
            NODE_IDLE_S=str(self.scales.node_idle),
            # Whole seconds only.
            AUTOSCALER_UPDATE_INTERVAL_S=str(max(1, round(self.scales.autoscaler_tick))),
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
            RAY_AUTH_MODE="token",
            **{MARK: self.mark},
            RAY_AUTH_TOKEN=self.mark,
            RAY_USAGE_STATS_ENABLED="0",
            DARKROOM_GCS_PORT=str(self._gcs_port),
            DARKROOM_CLIENT_PORT=str(self._client_port),
            DARKROOM_SERVE_PORT=str(self.ports.serve),
            DARKROOM_RUNTIMES=str(self.home / "runtimes.yaml"),
            DARKROOM_IDLE_S=str(self.scales.serve_idle),
            DARKROOM_QUEUE_URL=self.cloud.queues["demo"].jobs,
            DARKROOM_DEPTH_POLL_S=str(self.scales.depth_poll),
        )
        try:
            cluster.wait_until(lambda: cluster.ready_line() is not None, timeout_s=READY_S)
        except BaseException:
            cluster.stop(grace_s=20)
            raise
        return cluster

    def start_worker(self, name):
        """A node as KubeRay's worker pods are: `ray start --block`. `name` is 56 hex digits."""
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
            RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=str(DRAIN_S),
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

    def submit(self, jobs):
        """Accept so many jobs, then have them in the queue all at once."""
        table = DynamoTable(self.client("dynamodb"), self.cloud.table)
        store = S3Store(self.client("s3"), self.cloud.bucket)
        model = Catalogue.from_yaml(CATALOGUE).model("demo", "tiny")
        entries = []
        for seed in range(1, jobs + 1):
            uid = new_uid()
            job = Job(
                uid=uid,
                id=uid,
                runtime="demo",
                model="tiny",
                input=model.resolve(TextToImage(prompt="a red circle", seed=seed)),
                prefix="default",
                created_at=datetime.now(UTC),
            )
            accept(table, store, job, fingerprint=uid, republish_at=now_ms() + 10**9)
            entries.append({"Id": str(seed), "MessageBody": Message(uid=uid, job=job).encode()})
            self.uids.append(uid)
        sqs, url = self.client("sqs"), self.cloud.queues["demo"].jobs
        for start in range(0, jobs, 10):
            sqs.send_message_batch(QueueUrl=url, Entries=entries[start : start + 10])

    def records(self):
        """What has become of the jobs."""
        table = DynamoTable(self.client("dynamodb"), self.cloud.table)
        return [Record.from_item(table.get(job_key(uid))) for uid in self.uids]

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
            for notice in self.notices.receive(limit=10, wait_s=0):
                self.notices.delete(notice)
                self._done += 1
            self.samples.append(self.sample())

    def sample(self):
        """What there is now."""
        cluster = (self.home / "cluster.jsonl").read_text().splitlines()[-1:]
        there = json.loads(cluster[0]) if cluster else {"nodes": 0, "replicas": 0, "wanted": 0}
        return {
            **there,
            "at": time.time(),
            "depth": sum(self.queue.depth()),
            "bridges": sum(bridge.running for bridge in self.bridges),
            "done": self._done,
        }

    def nodes_ordered(self, *, before):
        """How many nodes Ray's autoscaler had ordered before that moment."""
        return sum(
            n for what, n, at in self._autoscaler_events() if what == "Adding" and at < before
        )

    def nodes_removed(self):
        """How many nodes it has taken away because they were idle, or for another reason."""
        events = self._autoscaler_events()
        return sum(number for what, number, _ in events if what == "Removing")

    def _autoscaler_events(self):
        files = (self.home / "ray" / "session_latest" / "logs" / "events").glob("*AUTOSCALER*")
        for line in [line for file in files for line in file.read_text().splitlines()]:
            event = json.loads(line)
            if found := re.match(r"(Adding|Removing) (\d+) node", event["message"]):
                yield found[1], int(found[2]), float(event["timestamp"])

    def replicas_added(self):
        """By how many replicas of the generator Serve's controller went up, each time."""
        logs = (self.home / "ray" / "session_latest" / "logs" / "serve").glob("controller_*.log")
        line = r"Adding (\d+) replicas? to Deployment\(name='generator'"
        return [int(n) for log in logs for n in re.findall(line, log.read_text())]
