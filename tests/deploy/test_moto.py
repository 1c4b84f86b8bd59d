"""The data plane on a second emulator, which shares no code with the first: `make test-deploy`."""

import subprocess
import sys
import time

import boto3
import pytest
from routing import EACH_IN_ITS_QUEUE, delivered
from terraform import Terraform, aws_environ

from darkroom.emulator import CREDENTIAL, REGION
from darkroom.ports import HOST, Ports, is_free

pytestmark = pytest.mark.long
#: What carries and keeps jobs; moto has neither a true API Gateway nor EKS with add-ons.
DATA_PLANE = (
    "aws_sns_topic_subscription.jobs",
    "aws_sns_topic_subscription.unrouted",
    "aws_sns_topic_subscription.webhooks",
    "aws_sns_topic_policy.tls_only",
    "aws_s3_bucket_policy.tls_only",
    "aws_s3_bucket_ownership_controls.this",
    "aws_s3_bucket_server_side_encryption_configuration.this",
    "aws_dynamodb_table.this",
    "aws_secretsmanager_secret_version.this",
    "aws_ecr_lifecycle_policy.this",
)
TARGETS = [f"-target={address}" for address in DATA_PLANE]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where moto listens."""
    port = Ports.free().aws
    with (tmp_path_factory.mktemp("moto") / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while is_free(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def client(address):
    """A function that gives a boto3 client."""

    def made(service):
        return boto3.client(
            service,
            endpoint_url=address,
            region_name=REGION,
            aws_access_key_id=CREDENTIAL,
            aws_secret_access_key=CREDENTIAL,
        )

    return made


@pytest.fixture(scope="module")
def module(tmp_path_factory, terraform_program, variables, address, client):
    """The module with its data plane applied to moto."""
    client("s3").create_bucket(Bucket="state")
    copy = Terraform.copied(tmp_path_factory.mktemp("moto"), aws_environ(address), **variables)
    # moto forgets which queues may send their dead letters to another.
    (copy.folder / "moto_override.tf").write_text(
        'resource "aws_sqs_queue" "last" {\n  redrive_allow_policy = null\n}\n'
    )
    copy.init(bucket="state")
    copy.run("apply", "-no-color", "-input=false", "-auto-approve", *TARGETS)
    return copy


def test_each_message_arrives_where_it_belongs_on_moto_too(module, client):
    """By what lies in the queues."""
    [topic] = [
        each["TopicArn"]
        for each in client("sns").list_topics()["Topics"]
        if each["TopicArn"].endswith(":demo-jobs")
    ]
    queues = ("demo", "demo-batch", "other", "other-batch", "unrouted")
    assert delivered(client("sns"), client("sqs"), topic=topic, queues=queues) == EACH_IN_ITS_QUEUE


def test_the_job_table_is_the_one_of_the_data_file_on_moto_too(module, client):
    """Keys and indexes, by moto's own description."""
    table = client("dynamodb").describe_table(TableName="demo-jobs")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    names = {index["IndexName"] for index in table["GlobalSecondaryIndexes"]}
    assert names == {"by-tenant", "due", "unpublished", "unannounced"}


def test_the_data_plane_is_destroyed_on_moto_too(module, client):
    """Nothing is left but the state's bucket."""
    module.destroy()
    assert client("sqs").list_queues().get("QueueUrls", []) == []
    assert client("sns").list_topics()["Topics"] == []
    assert client("dynamodb").list_tables()["TableNames"] == []
    assert [b["Name"] for b in client("s3").list_buckets()["Buckets"]] == ["state"]
