"""A bridge: `python -m bridge`. Only wiring, signals and the order of stopping are in here."""

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import structlog

from bridge.consumer import Consumer
from bridge.credit import Credit
from bridge.egress import Egress
from bridge.heartbeat import Heartbeat
from bridge.process import Processor
from bridge.serve_client import ServeClient
from bridge.settings import BridgeSettings
from bridge.sources import Sources
from jobs.environment import BadSetting
from jobs.errors import InvalidCatalogue
from jobs.logs import configure_logs
from records.aws import S3Reader, S3Store, SnsTopic, SqsQueue
from records.connect import connect
from records.dynamo import DynamoTable

#: Threads for calls to AWS; `records.connect` keeps as many connections.
_THREADS = 32


async def consume(settings: BridgeSettings) -> None:
    """Run a bridge until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sqs, s3 = connect("sqs"), connect("s3")
    queue = SqsQueue(connect("sqs", long_poll=True), settings.queue_url)
    parked = SqsQueue(sqs, settings.parked_queue_url) if settings.parked_queue_url else None
    heartbeat = Heartbeat(
        SqsQueue(sqs, settings.queue_url),
        visibility_s=settings.visibility_s,
        interval_s=settings.heartbeat_s,
    )
    heartbeat.start()
    try:
        async with ServeClient(
            settings.serve_url, start_timeout_s=settings.start_timeout_s
        ) as serve:
            processor = Processor(
                bridge=settings.name,
                runtime=settings.runtime,
                catalogue=settings.catalogue,
                serve=serve,
                sources=Sources(
                    Egress(http=settings.http_inputs),
                    S3Reader(s3),
                    bucket=settings.bucket,
                    buckets=settings.input_buckets,
                ),
                table=DynamoTable(connect("dynamodb"), settings.table),
                store=S3Store(s3, settings.bucket),
                notices=SnsTopic(connect("sns"), settings.notices_topic_arn),
                lease_s=settings.lease_s,
                attempt_timeout_s=settings.attempt_timeout_s,
            )
            consumer = Consumer(
                queue,
                processor,
                credit=Credit(serve.capacity),
                heartbeat=heartbeat,
                parked=parked,
                long_poll_s=settings.long_poll_s,
                max_in_hand=settings.max_in_hand,
            )
            structlog.get_logger().info("consuming", runtime=settings.runtime)
            await consumer.run(stop, grace_s=settings.grace_s)
    finally:
        # Last of all: until here every message in hand needed its beats.
        heartbeat.stop()


def main() -> int:
    """The process's exit status."""
    configure_logs(os.environ, process="bridge")
    try:
        settings = BridgeSettings.from_env(os.environ)
    except (BadSetting, InvalidCatalogue) as error:
        sys.stderr.write(f"bridge: {error}\n")
        return 2
    asyncio.run(consume(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
