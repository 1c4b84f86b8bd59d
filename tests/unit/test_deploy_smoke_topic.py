"""The smoke test where no API is open: by the topics, as an installation in China is used."""

import hashlib
import json
import threading
from dataclasses import replace

import boto3
import httpx
import pytest
from moto import mock_aws

from darkroom.cluster.installation import Installation
from darkroom.deploy.account import Account
from darkroom.deploy.errors import SmokeFailed
from darkroom.deploy.journal import Journal
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.wanted import Wanted
from jobs.message import Message
from jobs.notice import Notice

REGION = "cn-north-1"
IMAGE = b"an image"


class Bridge(threading.Thread):
    """Takes one job from the queue that the topic's attribute leads to, and announces its end."""

    def __init__(self, connect, queue, notices, *, status, sha256):
        super().__init__(daemon=True)
        self.sqs, self.sns, self.queue, self.notices = (
            connect("sqs"),
            connect("sns"),
            queue,
            notices,
        )
        self.status, self.sha256 = status, sha256

    def run(self):
        received = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=20)
        request = Message.decode(received["Messages"][0]["Body"]).request
        done = self.status == "succeeded"
        image = {
            "key": "outputs/u/0.png",
            "media_type": "image/png",
            "sha256": self.sha256,
            "bytes": len(IMAGE),
            "width": 8,
            "height": 8,
            "seed": 7,
        }
        notice = Notice(
            runtime="demo",
            id=request.id,
            result=done,
            status="completed" if done else "failed",
            image_url=["s3://outputs/outputs/u/0.png"] * done,
            output_url=None,
            context={},
            job={
                "event_id": "u:1",
                "uid": "u",
                "status": self.status,
                "model": request.model,
                "outputs": [image] * done,
                "error": None if done else {"code": "internal", "message": "out of paint"},
            },
        )
        self.sns.publish(TopicArn=self.notices, Message=notice.encode())


@pytest.fixture
def china(tmp_path, catalogue, monkeypatch):
    """An installation in Beijing, and a smoke test of it whose job ends as it is told."""
    with mock_aws():

        def connect(service):
            return boto3.client(service, region_name=REGION)

        sns, sqs, s3 = connect("sns"), connect("sqs"), connect("s3")
        s3.create_bucket(Bucket="outputs", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="outputs", Key="outputs/u/0.png", Body=IMAGE)
        topics = {
            word: sns.create_topic(Name=f"demo-{word}")["TopicArn"] for word in ("jobs", "notices")
        }
        url = sqs.create_queue(QueueName="demo-demo")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=topics["jobs"],
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
            Attributes={
                "RawMessageDelivery": "true",
                "FilterPolicy": json.dumps({"runtime": ["demo"]}),
            },
        )
        deployment = Deployment(
            wanted=Wanted(name="demo", region=REGION, work=tmp_path),
            account=Account(id="1", arn="arn:aws-cn:iam::111122223333:root"),
            connect=connect,
            programs=Programs(),
            journal=Journal(tmp_path / "log"),
            catalogue=catalogue,
            package=lambda: None,
        )
        known = Installation.stand_in(catalogue)
        config = {
            **known.app_config,
            "shared": {f"DARKROOM_{word.upper()}_TOPIC_ARN": arn for word, arn in topics.items()},
        }
        monkeypatch.setitem(
            vars(deployment),
            "installation",
            replace(known, api_url="http://127.0.0.1:9", app_config=config),
        )

        def smoke(*, status="succeeded", sha256):
            Bridge(connect, url, topics["notices"], status=status, sha256=sha256).start()
            return replace(deployment.smoke, nodes=None, job_s=20)

        yield smoke


@pytest.fixture(autouse=True)
def fetched(monkeypatch):
    """Addresses that were fetched: moto answers only to botocore."""
    urls = []

    def get(url, **_):
        urls.append(httpx.URL(url))
        return httpx.Response(200, content=IMAGE, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    return urls


def test_the_job_goes_by_the_topic_and_its_image_is_looked_at(china, fetched):
    """No API answers there without a licence: nothing listens at the one of this test."""
    smoke = china(sha256=hashlib.sha256(IMAGE).hexdigest())
    smoke.apply()
    [findings] = smoke.seen
    assert (findings.view.status, findings.view.runtime) == ("succeeded", "demo")
    [url] = fetched
    assert (url.host, url.path) == (f"outputs.s3.{REGION}.amazonaws.com.cn", "/outputs/u/0.png")
    assert any("from POST to notice" in line for line in findings.lines())


def test_an_image_that_is_not_the_one_of_the_notice_fails(china):
    """The hash is the notice's; the bytes are the bucket's."""
    with pytest.raises(SmokeFailed, match="recorded are"):
        china(sha256="0" * 64).apply()


def test_a_job_that_failed_says_why(china):
    """No record is read there: the notice has it."""
    with pytest.raises(SmokeFailed, match="says failed: out of paint"):
        china(status="failed", sha256="").apply()
