"""A batch by Ray Data: on each GPU an engine, as many as there is work for."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import ray

from jobs.catalogue import Runtime
from jobs.job import Job
from jobs.status import Status
from jobs.tally import Tally
from serve_app.batch import Batch
from serve_app.generator import Generator
from serve_app.place import outputs_at
from serve_app.settings import ServeSettings

#: Blocks per replica: the last ones are spread over all.
_BLOCKS = 8


class BlockPainter:
    """An actor: paints the jobs of one block, as many at once as a replica admits."""

    def __init__(self, name: str, runtime: Runtime, settings: ServeSettings, place: str) -> None:
        self._generator = Generator(name, runtime, settings, replica=f"batch-{os.getpid()}")
        self._place = place
        self._at_once = runtime.replicas.admit_window

    def __call__(self, block: dict[str, Any]) -> dict[str, list[Any]]:
        """The status of each job. Done again after its node was lost, it does what is left."""
        jobs = [Job.decode(body) for body in block["job"]]
        batch = Batch(outputs=outputs_at(self._place)[0], at_once=self._at_once)
        tally = asyncio.run(batch.run(jobs, self._generator, lambda _: None))
        lost, won = Status.FAILED.value, Status.SUCCEEDED.value
        return {"status": [lost] * tally.failed + [won] * tally.succeeded}


def run_on_ray(
    jobs: list[Job],
    name: str,
    runtime: Runtime,
    settings: ServeSettings,
    place: str,
    tell: Callable[[Tally], None],
) -> Tally:
    """Bring all jobs to their end on the Ray that is there."""
    replicas = runtime.replicas
    batch = Batch(outputs=outputs_at(place)[0], at_once=1)
    left = list(batch.left(jobs))
    tally = Tally(total=len(jobs), succeeded=len(jobs) - len(left))
    tell(tally)
    if not left:
        return tally
    most = min(replicas.max, len(left))
    rows = [{"job": job.encode().decode()} for job in left]
    blocks = ray.data.from_items(rows, override_num_blocks=min(len(rows), most * _BLOCKS))
    painted = blocks.map_batches(
        BlockPainter,
        fn_constructor_args=(name, runtime, settings, place),
        batch_size=None,  # a block at a time: what is lost with a node is one
        concurrency=(1, most),
        num_cpus=replicas.num_cpus or None,
        num_gpus=replicas.num_gpus or None,
        # Spot: an actor that is lost with its node begins its block again.
        max_restarts=-1,
        max_task_retries=-1,
    )
    for row in painted.iter_rows():
        won = row["status"] == Status.SUCCEEDED.value
        tally = Tally(
            total=tally.total,
            succeeded=tally.succeeded + won,
            failed=tally.failed + (not won),
        )
        tell(tally)
    return tally
