"""A bridge: `python -m bridge`. Only wiring, signals and the order of stopping are in here."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import structlog

from bridge.adapters import Adapters
from bridge.consumer import Consumer
from bridge.credit import Credit
from bridge.egress import Egress
from bridge.endings import Endings
from bridge.heartbeat import Heartbeat
from bridge.process import Processor
from bridge.rayservice import RayService
from bridge.serve_client import ServeClient
from bridge.settings import BridgeSettings
from bridge.sources import Sources
from bridge.taker import Taker
from bridge.wake import keep_awake
from jobs.environment import BadSetting
from jobs.errors import InvalidCatalogue
from jobs.logs import configure_logs

#: Threads for calls to AWS; `records.connect` keeps as many connections.
_THREADS = 32


async def consume(settings: BridgeSettings, on: Adapters) -> None:
    """Run a bridge until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    stop, hurry = asyncio.Event(), asyncio.Event()

    def told() -> None:
        # The second time nothing is waited for.
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    heartbeat = Heartbeat(
        on.beats,
        visibility_s=settings.visibility_s,
        interval_s=settings.heartbeat_s,
        most_s=settings.hold_s,
    )
    heartbeat.start()
    try:
        async with (
            _awake(settings, stop),
            ServeClient(settings.serve_url, start_timeout_s=settings.start_timeout_s) as serve,
        ):
            consumer = Consumer(
                on.queue,
                _processor(settings, on, serve),
                credit=Credit(serve.capacity),
                heartbeat=heartbeat,
                parked=on.parked,
                long_poll_s=settings.long_poll_s,
                max_in_hand=settings.max_in_hand,
            )
            structlog.get_logger().info("consuming", runtime=settings.runtime)
            await consumer.run(stop, grace_s=settings.grace_s, hurry=hurry)
    finally:
        # Last of all: until here every message in hand needed its beats.
        heartbeat.stop()


@asynccontextmanager
async def _awake(settings: BridgeSettings, stop: asyncio.Event) -> AsyncIterator[None]:
    """Keep the RayService awake meanwhile, if it is one that may sleep."""
    if settings.wake is None:
        yield
        return
    service = RayService.in_cluster(settings.wake)
    keeping = asyncio.create_task(keep_awake(service, stop))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        await service.aclose()


def _processor(settings: BridgeSettings, on: Adapters, serve: ServeClient) -> Processor:
    return Processor(
        taker=Taker(
            owner=settings.name,
            runtime=settings.runtime,
            catalogue=settings.catalogue,
            table=on.table,
            store=on.store,
            lease_s=settings.lease_s,
            retention_s=settings.retention_s,
        ),
        endings=Endings(table=on.table, store=on.store, notices=on.notices),
        serve=serve,
        sources=Sources(
            Egress(http=settings.http_inputs),
            on.objects,
            bucket=settings.bucket,
            buckets=settings.input_buckets,
        ),
        patience_s=settings.start_timeout_s,
        attempt_timeout_s=settings.attempt_timeout_s,
    )


def main() -> int:
    """The process's exit status."""
    configure_logs(os.environ, process="bridge")
    try:
        settings = BridgeSettings.from_env(os.environ)
    except (BadSetting, InvalidCatalogue) as error:
        sys.stderr.write(f"bridge: {error}\n")
        return 2
    asyncio.run(consume(settings, Adapters.on_aws(settings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
