"""`darkroom status --name`: everything of an installation is found by its name."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from darkroom import kuberay, workloads
from darkroom.cli import app
from darkroom.deploy import named
from darkroom.deploy.errors import Unfit
from darkroom.errors import ClusterError, DarkroomError

REGION = "eu-west-1"
TOKEN = "token-of-demo"
ASKED = ["status", "--name", "demo", "--region", REGION, "--json"]
APPLICATIONS = {
    "demo": {
        "deployments": {
            "generator": {
                "status": "HEALTHY",
                "message": "",
                "target_num_replicas": 1,
                "replicas": [{"state": "RUNNING"}],
            }
        }
    }
}


class Dashboard(BaseHTTPRequestHandler):
    """Ray's, to whoever has the token."""

    def do_GET(self):  # the library's name
        known = self.headers["authorization"] == f"Bearer {TOKEN}"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"applications": APPLICATIONS}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def forwards(monkeypatch):
    """kubectl, which listens where it is told to; what it was asked."""
    asked = []

    @contextmanager
    def forwarded(cluster, arguments):
        asked.append((cluster.kubeconfig, arguments))
        port = int(arguments[-1].partition(":")[0])
        server = HTTPServer(("127.0.0.1", port), Dashboard)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield SimpleNamespace(poll=lambda: None)
        finally:
            server.shutdown()
            server.server_close()

    monkeypatch.setattr(named, "forwarded", forwarded)
    return asked


@pytest.fixture
def clusters(monkeypatch):
    """The kubeconfigs of clusters that were spoken to; there is a node and no right to pods."""
    spoken = []

    def refused(*_):
        raise ClusterError("403 Forbidden")

    found = SimpleNamespace(replicas_wanted=lambda name: 0, pods=refused, nodes=list, warnings=list)
    monkeypatch.setattr(kuberay, "connect", spoken.append)
    monkeypatch.setattr(kuberay, "KubeRay", lambda *_: SimpleNamespace(service=refused))
    monkeypatch.setattr(workloads, "Workloads", lambda *_: found)
    return spoken


@pytest.fixture
def account(monkeypatch, tmp_path):
    """An account with the installation `demo`, whose queue has two messages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    with mock_aws():
        vpc = {"subnetIds": ["subnet-1", "subnet-2"]}
        role = "arn:aws:iam::123456789012:role/demo"
        eks = boto3.client("eks", region_name=REGION)
        eks.create_cluster(name="demo", roleArn=role, resourcesVpcConfig=vpc)
        sqs = boto3.client("sqs", region_name=REGION)
        url = sqs.create_queue(QueueName="demo-demo")["QueueUrl"]
        for _ in range(2):
            sqs.send_message(QueueUrl=url, MessageBody="a job")
        secrets = boto3.client("secretsmanager", region_name=REGION)
        secrets.create_secret(Name="demo/ray-token", SecretString=TOKEN)
        yield SimpleNamespace(sqs=sqs, url=url, secrets=secrets, folder=tmp_path)


def shown(*more):
    """The document on stdout."""
    result = CliRunner().invoke(app, [*ASKED, *more])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_queue_and_replicas_are_found_by_name_and_region(account, forwards, clusters):
    """Nothing is set in the environment, and no current context is asked."""
    rows = shown()["rows"]
    assert rows["queue"] == "2 waiting, 0 in work"
    assert rows["serve generator"].startswith("1 running, 1 wanted")
    [(kubeconfig, arguments)] = forwards
    assert "service/demo-head-svc" in arguments
    assert clusters == [kubeconfig]
    assert json.loads(kubeconfig.read_text())["current-context"] == "demo"


def test_what_is_not_to_be_had_is_said_and_the_rest_is_shown(account, forwards, clusters):
    """A queue of another runtime, a token that may not be read."""
    account.sqs.delete_queue(QueueUrl=account.url)
    account.secrets.delete_secret(SecretId="demo/ray-token", ForceDeleteWithoutRecovery=True)
    document = shown()
    assert {"queue", "serve", "pods"} <= document["silent"].keys()
    assert document["rows"]["nodes"] == "none"
    assert forwards == []


def test_a_name_that_there_is_not_is_said(account):
    """In that region: it may be another."""
    result = CliRunner().invoke(app, ["status", "--name", "other", "--region", REGION])
    assert isinstance(result.exception, Unfit)
    assert f"no cluster other in {REGION}" in str(result.exception)


def test_a_name_and_this_machine_are_not_asked_together():
    """A stack that is up here has no name."""
    result = CliRunner().invoke(app, ["status", "--name", "demo", "--on", "here"])
    assert isinstance(result.exception, DarkroomError)
