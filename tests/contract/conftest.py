"""One world of table, bucket, topics and queues per test: in memory, on ministack, on moto."""

import itertools
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from darkroom.cloud import create_cloud
from darkroom.emulator import settings
from darkroom.ports import HOST, is_free
from jobs.catalogue import Catalogue
from jobs.inputs import TextToImage
from jobs.job import Job
from jobs.outcome import ImageOutput, Outcome
from jobs.status import Status
from jobs.uid import new_uid
from records.accept import Acceptance, accept
from records.aws import S3Reader, S3Store, SnsTopic, SqsQueue
from records.connect import connect
from records.dynamo import DynamoTable
from records.lease import Lease, lease, start
from records.memory import MemoryQueue, MemoryReader, MemoryStore, MemoryTable, MemoryTopic
from records.queue import Queue
from records.record import Record, job_key
from records.store import ObjectReader, ObjectStore
from records.sweep import Sweeper
from records.table import Table
from records.topic import Topic

#: The year 2100: no emulator takes a record of then for one past its time to live.
NOW = 4_102_444_800_000
#: How long the queues of a world keep a message.
RETENTION_MS = 1000_000
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that records work on, empty, and the first steps of a job in it."""

    backend: str
    table: Table
    store: ObjectStore
    objects: ObjectReader
    jobs: Topic
    notices: Topic
    #: The job queue of each runtime, and a subscriber's queue of notices.
    queues: dict[str, Queue]
    inbox: Queue
    webhooks: Queue
    now: int = NOW
    owners: itertools.count = field(default_factory=lambda: itertools.count(1))

    def job(self, **changed) -> Job:
        """A job that nobody has accepted yet."""
        uid = new_uid()
        job = Job(
            uid=uid,
            id=uid,
            runtime="demo",
            model="tiny",
            input=TextToImage(prompt="a lighthouse"),
            prefix="default",
            created_at=datetime.fromtimestamp(self.now / 1000, UTC),
        )
        return job.model_copy(update=changed)

    def accept(
        self, job: Job, *, body: str = "body", republish_at: int | None = None
    ) -> Acceptance:
        """Accept `job`; `body` stands for what the client posted."""
        due = self.now + 1000_000 if republish_at is None else republish_at
        return accept(self.table, self.store, job, fingerprint=body, republish_at=due)

    def queued(self, **changed) -> Job:
        """A job that was accepted."""
        job = self.job(**changed)
        self.accept(job)
        return job

    def leased(self, **changed) -> Lease:
        """A job that an owner has leased until a minute from now."""
        return self.lease(self.queued(**changed))

    def lease(self, job: Job, *, now: int | None = None) -> Lease:
        """`job` in the hands of a new owner."""
        now = self.now if now is None else now
        owner = f"bridge-{next(self.owners)}"
        held = lease(self.table, job.uid, owner=owner, now_ms=now, until_ms=now + 60_000)
        assert isinstance(held, Lease)
        return held

    def running(self, **changed) -> Lease:
        """A job that Serve has accepted."""
        return start(
            self.table, self.leased(**changed), now_ms=self.now, until_ms=self.now + 60_000
        )

    def record(self, uid: str) -> Record:
        """The record as it is now."""
        item = self.table.get(job_key(uid))
        assert item is not None
        return Record.from_item(item)

    def index(self, name: str) -> list[str]:
        """The uids that a sparse index holds."""
        return [item["pk"].removeprefix("job#") for item in self.table.query(name, "1").items]

    def succeeded(self, *keys: str, document: str | None = None) -> Outcome:
        """The outcome of a job with an image under each of `keys`."""
        outputs = tuple(
            ImageOutput(
                key=key,
                media_type="image/png",
                sha256="0" * 64,
                bytes=3,
                width=64,
                height=64,
                seed=1,
            )
            for key in keys
        )
        return Outcome(status=Status.SUCCEEDED, outputs=outputs, document_key=document)

    def sweeper(self) -> Sweeper:
        """The sweeper of this world."""
        return Sweeper(
            table=self.table,
            store=self.store,
            jobs=self.jobs,
            notices=self.notices,
            webhooks=self.webhooks,
            retention_ms=RETENTION_MS,
        )

    def receive(self, queue: Queue, count: int = 1) -> list[str]:
        """The bodies of `count` messages, which are then gone from the queue."""
        bodies: list[str] = []
        while len(bodies) < count:
            deliveries = queue.receive(limit=10, wait_s=5)
            assert deliveries, f"{len(bodies)} of {count} messages came"
            for delivery in deliveries:
                bodies.append(delivery.body)
                queue.delete(delivery)
        return bodies

    def without(self, **replaced) -> "World":
        """This world with some of its parts replaced, to let them fail."""
        return replace(self, **replaced)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Two runtimes, so that a message can go to the wrong one."""
    model = {
        "path": "tiny",
        "defaults": {"width": 64, "height": 64, "num_inference_steps": 4, "guidance_scale": 5.0},
        "limits": {"max_side": 256, "max_pixels": 65536},
    }
    runtime = {"models": {"tiny": model}}
    return Catalogue.model_validate({"runtimes": {"demo": runtime, "other": runtime}})


def _served(module, *arguments, port, folder, **environ):
    """A server process that answers on `port` until the session ends."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **environ},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while is_free(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def free_port():
    """A function that gives a port on which nobody listens."""

    def port():
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return probe.getsockname()[1]

    return port


@pytest.fixture(scope="session")
def ministack(tmp_path_factory, free_port):
    """The address of a ministack of this session's own."""
    folder, port = tmp_path_factory.mktemp("ministack"), free_port()
    yield from _served(
        "ministack",
        port=port,
        folder=folder,
        **settings(port, folder),
    )


@pytest.fixture(scope="session")
def moto(tmp_path_factory, free_port):
    """The address of a moto server of this session's own."""
    folder, port = tmp_path_factory.mktemp("moto"), free_port()
    yield from _served("moto.server", "-H", HOST, "-p", str(port), port=port, folder=folder)


@pytest.fixture(scope="session")
def clients():
    """A function that gives the boto3 client of a service at an address; each is made once."""
    made = {}

    def client(address, service):
        if (address, service) not in made:
            made[address, service] = connect(
                service,
                endpoint_url=address,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        return made[address, service]

    return client


@pytest.fixture(params=("fakes", "ministack", "moto"))
def world(request, catalogue) -> World:
    """An empty world on each backend in turn."""
    return _world(request, catalogue)


@pytest.fixture(params=("fakes", "ministack"))
def racing_world(request, catalogue) -> World:
    """An empty world for writers that race.

    moto is left out: it checks a condition and writes in two steps, so that of two writers
    at once both can win (seen here on 2026-11-21), where DynamoDB lets one.
    """
    return _world(request, catalogue)


def _world(request, catalogue):
    if request.param == "fakes":
        return _world_in_memory(catalogue)
    address = request.getfixturevalue(request.param)
    clients = request.getfixturevalue("clients")
    return _world_on_aws(request.param, catalogue, lambda service: clients(address, service))


def _world_in_memory(catalogue):
    queues = {runtime: MemoryQueue() for runtime in catalogue.runtimes}
    inbox, webhooks, store = MemoryQueue(), MemoryQueue(), MemoryStore()
    return World(
        backend="fakes",
        table=MemoryTable(),
        store=store,
        objects=MemoryReader(store),
        jobs=MemoryTopic([(queue, {"runtime": [name]}) for name, queue in queues.items()]),
        notices=MemoryTopic([(inbox, {}), (webhooks, {"webhook": ["yes"]})]),
        queues=queues,
        inbox=inbox,
        webhooks=webhooks,
    )


def _world_on_aws(backend, catalogue, client):
    cloud = create_cloud(
        catalogue, connect=client, subscribers=["client"], name=f"test-{next(_NUMBERS)}"
    )
    sns, sqs = client("sns"), client("sqs")
    return World(
        backend=backend,
        table=DynamoTable(client("dynamodb"), cloud.table),
        store=S3Store(client("s3"), cloud.bucket),
        objects=S3Reader(client("s3")),
        jobs=SnsTopic(sns, cloud.jobs_topic_arn),
        notices=SnsTopic(sns, cloud.notices_topic_arn),
        queues={name: SqsQueue(sqs, queues.jobs) for name, queues in cloud.queues.items()},
        inbox=SqsQueue(sqs, cloud.notice_queues["client"]),
        webhooks=SqsQueue(sqs, cloud.webhooks_queue),
    )
