"""The deployment that paints: a replica is one engine, and its jobs share each step."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ray import serve

from jobs.catalogue import Runtime
from jobs.job import Job
from jobs.logs import configure_logs, job_log
from jobs.stream import Accepted, Event, Image, Progress, Result
from serve_app import media, promise
from serve_app.errors import JobFault
from serve_app.settings import ServeSettings


class Generator:
    """A replica: the models of one runtime, on one device."""

    def __init__(
        self, name: str, runtime: Runtime, settings: ServeSettings, *, replica: str | None = None
    ) -> None:
        """In Serve, which knows the replica's name; elsewhere `replica` says it."""
        # Once more, on this node's disk, before the imports that take seconds.
        promise.check(name, runtime, settings.models_root)
        # Imported here: whoever only deploys this class has neither torch nor the time for it.
        import torch  # noqa: PLC0415

        from serve_app import generation  # noqa: PLC0415
        from serve_app.engine.engine import Engine, EngineSettings  # noqa: PLC0415
        from serve_app.pipelines import LoadedModel, quiet  # noqa: PLC0415

        configure_logs(os.environ, process="serve")
        quiet()
        # More threads than cores spin against each other: measured ten times slower.
        threads = max(1, int(runtime.replicas.num_cpus))
        torch.set_num_threads(threads)
        self._generation = generation
        self._models = {
            model: LoadedModel.load(spec, settings) for model, spec in runtime.models.items()
        }
        self._engine = Engine(
            EngineSettings.of_replica(
                policy=settings.policy, device=settings.device, threads=threads
            )
        )
        for loaded in self._models.values():
            for module in loaded.to_compile:
                self._engine.compile(module)
        self._replica: str = replica or serve.get_replica_context().replica_id.unique_id

    async def generate(
        self, body: str, *, alone: bool = False
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The events of the job in `body`, as they happen; `alone` shares the device with nobody.

        Closing the iterator cancels the job, which ends with the step that it is in. There is
        no `canceled` event then, because nobody is left to read it.
        """
        job = Job.decode(body)
        log = job_log(job).bind(model=job.model, replica=self._replica)
        log.info("accepted")
        yield Accepted(replica=self._replica).model_dump(mode="json")
        try:
            async with aclosing(self._events(job, alone=alone)) as events:
                async for event in events:
                    if isinstance(event, Progress) and event.stage == "encode":
                        log.info("started")
                    yield event.model_dump(mode="json")
                    if isinstance(event, Result):
                        log.info("finished", **event.timings)
        except (asyncio.CancelledError, GeneratorExit):
            log.info("canceled")
            raise
        except JobFault as fault:
            log.warning("failed", code=fault.code, cause=type(fault.__cause__).__name__)
            yield fault.event.model_dump(mode="json")
        # An error of our own ends this job and is told as such; the replica lives on.
        except Exception as error:  # noqa: BLE001
            event = self._generation.fault_of(error, job).event
            log.error("failed", code=event.code, cause=type(error).__name__)
            yield event.model_dump(mode="json")

    async def _events(self, job: Job, *, alone: bool) -> AsyncGenerator[Event, None]:
        model = self._models[job.model]
        # Before the turn: a bad picture is told at once, and the device never waits for one.
        given = await asyncio.to_thread(media.sources, job.input, model.spec.limits)
        ordered = self._made(job, model, given, alone=alone)
        painted = None
        async with aclosing(ordered) as making:
            async for event in making:
                if isinstance(event, Progress):
                    yield event
                else:
                    painted = event
        assert painted is not None  # or `_made` had raised
        start = asyncio.get_running_loop().time()
        for index, image in enumerate(painted.images):
            # Off the engine: the others have the device while this one's files are written.
            file = await asyncio.to_thread(media.encode, image, job.input.output_format)
            yield Image(
                index=index,
                media_type=file.media_type,
                width=file.width,
                height=file.height,
                seed=job.seed + index,
                sha256=file.sha256,
                data=file.base64,
            )
        image_s = round(asyncio.get_running_loop().time() - start, 4)
        yield Result(
            images=len(painted.images),
            warnings=painted.warnings,
            timings=painted.timings | {"image_s": image_s},
        )

    async def _made(
        self, job: Job, model: Any, given: Any, *, alone: bool
    ) -> AsyncGenerator[Any, None]:
        """Progress while the engine has the job, then what it painted."""
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[Progress | None] = asyncio.Queue()

        def tell(progress: Progress | None) -> None:
            loop.call_soon_threadsafe(told.put_nowait, progress)

        order = self._generation.order_of(job, model, given, tell, alone=alone)
        ticket = self._engine.submit(order)
        ticket.future.add_done_callback(lambda _: tell(None))
        try:
            while (progress := await told.get()) is not None:
                yield progress
        finally:
            ticket.cancel()
        yield await asyncio.to_thread(self._generation.painted, job, model, ticket.future.result())

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What is admitted and not yet painted; Serve asks for it under this name."""
        backlog = self._engine.backlog()
        return {"row_steps": float(backlog.row_steps), "seconds": backlog.seconds}
