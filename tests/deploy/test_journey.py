"""A job from the deployed API to its notice; our bridge is configured by the outputs alone."""

import json
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from terraform import ROOT, aws_environ

from bridge.scripted import ROOM_FOR_FOUR, success
from darkroom.ports import HOST, Ports
from darkroom.process import StackProcess
from jobs.samples import sample_request

#: Seconds; it takes two.
_LIMIT_S = 60


@pytest.fixture(scope="module")
def serve() -> Iterator[str]:
    """The address of a Serve that makes the same image of every job."""
    app = FastAPI()

    @app.get("/capacity")
    def capacity():
        return ROOM_FOR_FOUR

    @app.post("/generate")
    def generate():
        lines = (event.model_dump_json() + "\n" for event in success())
        return StreamingResponse(lines, media_type="application/x-ndjson")

    port = Ports.free().serve
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://{HOST}:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def inbox(applied) -> str:
    """The URL of a subscriber's queue of notices."""
    sqs, sns = applied.emulator.client("sqs"), applied.emulator.client("sns")
    url = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
    subscription = sns.subscribe(
        TopicArn=applied.outputs["app_config"]["shared"]["DARKROOM_NOTICES_TOPIC_ARN"],
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:us-east-1:000000000000:{url.rpartition('/')[2]}",
        Attributes={"RawMessageDelivery": "true"},
        ReturnSubscriptionArn=True,
    )
    yield url
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture(scope="module")
def bridge(applied, serve, tmp_path_factory):
    """The bridge of the runtime `demo`."""
    config = applied.outputs["app_config"]
    process = StackProcess(
        "bridge",
        [sys.executable, "-m", "bridge"],
        env=aws_environ(applied.emulator.address)
        | config["shared"]
        | config["bridge-demo"]
        # What the cluster knows and Terraform does not.
        | {"DARKROOM_SERVE_URL": serve, "DARKROOM_RUNTIMES": str(ROOT / "runtimes.yaml")}
        | {"DARKROOM_LONG_POLL_S": "1", "PYTHONPATH": str(ROOT)},
        log=tmp_path_factory.mktemp("bridge") / "log",
    )
    yield process
    process.stop(grace_s=30)


def test_a_job_posted_to_the_deployed_api_ends_with_its_image_and_its_notice(
    applied, bridge, inbox
):
    """API, topic, queue, bridge, bucket, table, topic: nothing is configured by hand."""
    secret = applied.resources['aws_secretsmanager_secret.this["first-key"]']["name"]
    key = applied.emulator.client("secretsmanager").get_secret_value(SecretId=secret)
    headers = {"x-api-key": key["SecretString"]}
    with httpx.Client(base_url=applied.url, headers=headers, timeout=30, trust_env=False) as http:
        job = http.post("/v1/jobs", json=sample_request()).json()
        deadline = time.monotonic() + _LIMIT_S
        while (view := http.get(f"/v1/jobs/{job['uid']}").json())["status"] != "succeeded":
            assert view["status"] in ("queued", "starting", "processing"), view
            assert time.monotonic() < deadline, bridge.last_lines()
            time.sleep(0.1)
    [output] = view["outputs"]
    image = httpx.get(output["url"], trust_env=False)
    assert image.content.startswith(b"\x89PNG")
    bucket = applied.outputs["app_config"]["shared"]["DARKROOM_BUCKET"]
    stored = applied.emulator.client("s3").get_object(Bucket=bucket, Key=output["key"])
    assert stored["Body"].read() == image.content
    assert _notice(applied, inbox, job["id"])["status"] == "completed"


def _notice(applied, inbox, job_id):
    sqs = applied.emulator.client("sqs")
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        received = sqs.receive_message(QueueUrl=inbox, WaitTimeSeconds=2, MaxNumberOfMessages=10)
        for message in received.get("Messages", []):
            notice = json.loads(message["Body"])
            if notice["id"] == job_id:
                return notice
    raise AssertionError(f"no notice of {job_id}")
