"""One sweep over the records: `python -m bridge.sweeper`, run by a timer.

`--every SECONDS` repeats it until SIGTERM, where no timer runs it.
"""

import os
import sys

import structlog

from bridge import timer
from jobs.environment import BadSetting, number, required
from jobs.logs import configure_logs
from records.aws import S3Store, SnsTopic, SqsQueue
from records.clock import now_ms
from records.connect import connect
from records.dynamo import DynamoTable
from records.errors import Unavailable
from records.queue import RETENTION_S
from records.sweep import Sweep, Sweeper


def main(arguments: list[str]) -> int:
    """The process's exit status."""
    configure_logs(os.environ, process="sweeper")
    try:
        sweeper = _sweeper()
    except BadSetting as error:
        sys.stderr.write(f"sweeper: {error}\n")
        return 2

    def once() -> bool:
        try:
            done = sweeper.sweep(now_ms=now_ms())
        except Unavailable as error:
            structlog.get_logger().warning("sweep broke off", reason=str(error))
            return False
        if done != Sweep():
            structlog.get_logger().info("swept", **vars(done))
        return True

    return timer.run(once, arguments)


def _sweeper() -> Sweeper:
    sns = connect("sns")
    retention_s = number(os.environ, "DARKROOM_QUEUE_RETENTION_S", RETENTION_S, least=60)
    return Sweeper(
        table=DynamoTable(connect("dynamodb"), required(os.environ, "DARKROOM_JOB_TABLE")),
        store=S3Store(connect("s3"), required(os.environ, "DARKROOM_BUCKET")),
        jobs=SnsTopic(sns, required(os.environ, "DARKROOM_JOBS_TOPIC_ARN")),
        notices=SnsTopic(sns, required(os.environ, "DARKROOM_NOTICES_TOPIC_ARN")),
        webhooks=SqsQueue(connect("sqs"), required(os.environ, "DARKROOM_WEBHOOKS_QUEUE_URL")),
        retention_ms=int(retention_s * 1000),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
