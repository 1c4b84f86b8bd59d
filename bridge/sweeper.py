"""One sweep over the records: `python -m bridge.sweeper`, run by a timer.

`--every SECONDS` repeats it until SIGTERM, where no timer runs it.
"""

import os
import signal
import sys
import threading

import structlog

from jobs.environment import BadSetting, required
from jobs.logs import configure_logs
from records.aws import S3Store, SnsTopic
from records.clock import now_ms
from records.connect import connect
from records.dynamo import DynamoTable
from records.errors import Unavailable
from records.sweep import Sweep, Sweeper


def sweep_once(sweeper: Sweeper) -> bool:
    """One sweep; whether it got through."""
    try:
        done = sweeper.sweep(now_ms=now_ms())
    except Unavailable as error:
        structlog.get_logger().warning("sweep broke off", reason=str(error))
        return False
    if done != Sweep():
        structlog.get_logger().info("swept", **vars(done))
    return True


def main(arguments: list[str]) -> int:
    """The process's exit status."""
    configure_logs(os.environ, process="sweeper")
    try:
        sns = connect("sns")
        sweeper = Sweeper(
            table=DynamoTable(connect("dynamodb"), required(os.environ, "DARKROOM_JOB_TABLE")),
            store=S3Store(connect("s3"), required(os.environ, "DARKROOM_BUCKET")),
            jobs=SnsTopic(sns, required(os.environ, "DARKROOM_JOBS_TOPIC_ARN")),
            notices=SnsTopic(sns, required(os.environ, "DARKROOM_NOTICES_TOPIC_ARN")),
        )
    except BadSetting as error:
        sys.stderr.write(f"sweeper: {error}\n")
        return 2
    if arguments[:1] != ["--every"]:
        return 0 if sweep_once(sweeper) else 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(float(arguments[1])):
        sweep_once(sweeper)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
