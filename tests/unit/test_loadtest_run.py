"""`python -m loadtest` as a process, against a stand-in API and an emulated queue."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from gradio_ui.testing import FakeApi
from jobs.job import Job
from jobs.notice import Notice


def _notice(job: Job, *, result: bool = True) -> str:
    return Notice(
        runtime=job.runtime,
        id=job.id,
        result=result,
        status="completed" if result else "failed",
        image_url=[],
        output_url=None,
        context={},
        job={"uid": job.uid, "event_id": f"{job.uid}:{result}"},
    ).encode()


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """The variables that lead boto3 to an emulator."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()


@pytest.fixture
def run(aws: dict[str, str], request: pytest.FixtureRequest):
    """Run the load test; `notices(job)` are the bodies that each accepted job leads to."""

    def run(notices, *arguments: str):
        sqs = boto3.client(
            "sqs",
            endpoint_url=aws["AWS_ENDPOINT_URL"],
            region_name=aws["AWS_DEFAULT_REGION"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        url = sqs.create_queue(QueueName=request.node.name[:80])["QueueUrl"]

        def announce(job: Job) -> None:
            for body in notices(job):
                sqs.send_message(QueueUrl=url, MessageBody=body)

        with FakeApi(on_accept=announce) as api:
            environ = {
                **os.environ,
                **aws,
                "DARKROOM_API_URL": api.url,
                "DARKROOM_NOTICE_QUEUE_URL": url,
            }
            done = subprocess.run(
                [sys.executable, "-m", "loadtest", *arguments],
                env=environ,
                check=False,
                capture_output=True,
                text=True,
                timeout=120,
            )
        return done, json.loads(done.stdout.splitlines()[-1]), api

    return run


def test_a_burst_posts_exactly_its_jobs_and_ends_when_all_are_announced(run):
    """Each with its own prompt, seed and id; the last line is the figures."""
    done, figures, api = run(lambda job: [_notice(job)], "--jobs", "30", "--users", "7")
    assert done.returncode == 0, done.stderr
    assert (figures["accepted"], figures["completed"], figures["lost"]) == (30, 30, 0)
    jobs = [*api.jobs.values()]
    assert len(jobs) == 30
    assert len({job.input.prompt for job in jobs}) == 30
    assert len({job.input.seed for job in jobs}) == 30
    assert len({job.id for job in jobs}) == 30
    assert "POST to notice" in done.stderr


def test_a_job_without_a_notice_is_reported_as_lost(run):
    """The deadline ends the run, and the exit code says that it failed."""
    bodies = lambda job: [] if job.input.seed == 3 else [_notice(job)]  # noqa: E731
    done, figures, _ = run(bodies, "--jobs", "5", "--timeout", "5")
    assert done.returncode == 1
    assert (figures["completed"], figures["lost"], figures["clean"]) == (4, 1, False)


def test_a_failed_job_fails_the_run(run):
    """Announced as failed is accounted for, but it is not a success."""
    bodies = lambda job: [_notice(job, result=job.input.seed != 1)]  # noqa: E731
    done, figures, _ = run(bodies, "--jobs", "4")
    assert done.returncode == 1
    assert (figures["completed"], figures["failed"], figures["lost"]) == (3, 1, 0)


def test_a_missing_variable_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch):
    """No traceback for somebody who forgot to start the stack."""
    monkeypatch.delenv("DARKROOM_API_URL", raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "loadtest"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "DARKROOM_API_URL is not set"
