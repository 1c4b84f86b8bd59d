"""A job from the deployed API to its notice; our bridge is configured by the outputs alone."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from scripted_serve import bridging, serving

from jobs.samples import sample_request

#: Seconds; it takes two.
_LIMIT_S = 60


@pytest.fixture(scope="module")
def serve() -> Iterator[str]:
    """The address of a Serve that makes the same image of every job."""
    with serving() as address:
        yield address


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
    with bridging(applied, serve, tmp_path_factory.mktemp("bridge")) as process:
        yield process


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
