"""For locust: `python -m loadtest`, or `locust -f loadtest/locustfile.py` with its web page.

locust replaces the blocking calls of Python by gevent's before it reads this file, so boto3
and httpx, which are imported from here, wait without blocking the other users.
"""

# locust's types cannot be followed (see pyproject.toml), so its classes and decorators are Any.
# mypy: disable-error-code="import-untyped, misc, untyped-decorator"

import json
import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import boto3
import gevent
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.exception import StopUser

from client import Client
from loadtest.burst import Burst
from loadtest.notices import NoticeQueue
from loadtest.report import document, table
from loadtest.settings import Settings

#: Enough that the API is never idle, few enough that two cores are not busy with locust.
_USERS = 20


@events.init_command_line_parser.add_listener
def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=100, help="jobs to post, exactly")
    parser.add_argument(
        "--timeout", type=float, default=600, help="seconds after which a missing notice is lost"
    )


@events.init.add_listener
def _read_settings(environment: Environment, **_: Any) -> None:
    environment.settings = Settings.from_env(os.environ)
    if environment.parsed_options.headless:
        # Its tables say the same as ours in milliseconds, and less of it.
        logging.getLogger("locust.stats_logger").disabled = True


@events.test_start.add_listener
def _start(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    burst = Burst(jobs=options.jobs, timeout_s=options.timeout, report=_reporter(environment))
    queue = NoticeQueue(boto3.client("sqs"), environment.settings.notice_queue_url)
    listener = gevent.spawn(queue.listen, burst.notice, lambda: burst.is_over)
    listener.link_exception(lambda failed: burst.abort(f"no notices: {failed.exception}"))
    environment.burst = burst


@events.quitting.add_listener
def _judge(environment: Environment, **_: Any) -> None:
    burst = getattr(environment, "burst", None)
    if burst is None:
        return
    outcome = document(
        burst.account.figures(), wall_s=burst.wall_s, load_average=os.getloadavg()[0]
    )
    environment.process_exit_code = 0 if outcome["clean"] else 1

    def show(**_: Any) -> None:
        for reason in sorted({*burst.account.refusals, burst.broken} - {None}):
            print(reason, file=sys.stderr)  # noqa: T201  # the command's answer
        print(table(outcome), file=sys.stderr, flush=True)  # noqa: T201
        print(json.dumps(outcome), flush=True)  # noqa: T201

    # `quit` comes after all that locust itself has to say.
    environment.events.quit.add_listener(show)


def _reporter(environment: Environment) -> Callable[[str, float, Exception | None], None]:
    def report(name: str, duration_s: float, error: Exception | None) -> None:
        environment.events.request.fire(
            request_type="job",
            name=name,
            response_time=duration_s * 1000,
            response_length=0,
            exception=error,
            context={},
        )

    return report


class Poster(User):
    """Somebody who posts one job after the other, without a pause, until none is left."""

    def on_start(self) -> None:
        """Connect: one connection for each user, as real ones have."""
        settings = self.environment.settings
        self._client = Client(settings.api_url, api_key=settings.api_key)

    def on_stop(self) -> None:
        """Close the connection."""
        self._client.close()

    @task
    def post(self) -> None:
        """Post the next job."""
        if not self.environment.burst.post(self._client):
            raise StopUser


class BurstShape(LoadTestShape):
    """All users at once, until every job is accounted for."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """The number of users and how many start per second; None ends the run."""
        burst = getattr(self.runner.environment, "burst", None)
        if burst is not None and burst.is_over:
            return None
        users = self.runner.environment.parsed_options.num_users or _USERS
        return users, users
