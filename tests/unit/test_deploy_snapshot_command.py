"""`darkroom snapshot` by itself: what it builds and deletes, with a cluster and without one."""

import json
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from typer.testing import CliRunner

from darkroom.cli import app
from darkroom.cluster.images import Images
from darkroom.cluster.snapshot import IMAGE_TAG, Snapshot
from darkroom.deploy import snapshot_command
from darkroom.deploy.content import Content
from darkroom.deploy.daemons import Daemons
from darkroom.deploy.errors import ProgramFailed
from darkroom.deploy.snapshot_build import BUILD_TAG, SnapshotBuilder
from darkroom.deploy.snapshots import listed
from records.errors import Unavailable

SERVE = Content(name="serve-gpu", image="registry.example/serve@sha256:0a", bytes=1)
PROXY = Content(name="kube-proxy", image="registry.example/proxy@sha256:0b", bytes=1, ours=False)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """`darkroom snapshot build`, with a builder that only notes what it is to build."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.json").write_text(json.dumps(dict(Images.stand_ins().by_name)))
    built = []

    def noted(self, contents):
        built.extend(contents)
        return Snapshot(id="snap-1", size_gib=20)

    monkeypatch.setattr(SnapshotBuilder, "build", noted)
    monkeypatch.setattr(snapshot_command, "contents_of", lambda images, ecr: [SERVE])
    words = ["snapshot", "build", "--images", "images.json", "--name", "demo", "--json"]
    return lambda: (CliRunner().invoke(app, words), built)


def test_a_build_by_itself_holds_what_the_cluster_runs_on_gpu_nodes(asked, monkeypatch):
    """The cluster is asked by the installation's own kubeconfig."""
    monkeypatch.setattr(snapshot_command, "write_kubeconfig", lambda *_: True)
    monkeypatch.setattr(Daemons, "contents", lambda self: [PROXY])
    result, built = asked()
    assert result.exit_code == 0, result.output
    assert built == [SERVE, PROXY]
    assert json.loads(result.stdout)["images"] == [SERVE.image, PROXY.image]
    assert "Only our own" not in result.stderr


def refused(self):
    raise ProgramFailed("kubectl get ended with 1: connection refused")


def denied(*_):
    raise Unavailable("EKS DescribeCluster: AccessDeniedException")


@pytest.mark.parametrize(
    ("cluster", "contents", "why"),
    [
        (lambda *_: False, None, "EKS knows no cluster demo"),
        (denied, None, "AccessDenied"),
        (lambda *_: True, refused, "connection refused"),
    ],
    ids=["none", "not to be asked", "silent"],
)
def test_a_build_without_a_cluster_says_that_only_ours_are_in_it(
    asked, monkeypatch, cluster, contents, why
):
    """Nodes that pull after all would be a riddle."""
    monkeypatch.setattr(snapshot_command, "write_kubeconfig", cluster)
    monkeypatch.setattr(Daemons, "contents", contents)
    result, built = asked()
    assert result.exit_code == 0, result.output
    assert built == [SERVE]
    assert why in result.stderr
    assert "Only our own images go into the snapshot" in result.stderr


def made(ec2):
    """A finished snapshot."""
    volume = ec2.create_volume(AvailabilityZone="us-west-2a", Size=1)["VolumeId"]
    tags = {BUILD_TAG: "demo", f"{IMAGE_TAG}serve-gpu": "sha256:0a"}
    return ec2.create_snapshot(
        VolumeId=volume,
        TagSpecifications=[
            {
                "ResourceType": "snapshot",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )["SnapshotId"]


@pytest.fixture
def account(monkeypatch, tmp_path):
    """Three snapshots; `prune` keeps the newest. `runs` says what kubectl does, if EKS has one."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-west-2")
        ec2_backends[ACCOUNT]["us-west-2"].snapshots.clear()
        for _ in range(3):
            made(ec2)
        # Newest first; those of one second in the order that EC2 has them.
        ids = [each.id for each in listed(ec2, "demo")]

        def runs(body):
            eks = boto3.client("eks", region_name="us-west-2")
            eks.create_cluster(
                name="demo",
                roleArn=f"arn:aws:iam::{ACCOUNT}:role/cluster",
                resourcesVpcConfig={"subnetIds": []},
            )
            program = tmp_path / "kubectl"
            program.write_text(
                f'#!/bin/sh\ncase "$1" in version) echo v1.35.0;; *) {body};; esac\n'
            )
            program.chmod(0o755)

        def prune(*more):
            words = ["snapshot", "prune", "--name", "demo", "--keep", "1", *more]
            return CliRunner().invoke(app, words)

        yield SimpleNamespace(
            ids=ids,
            runs=runs,
            prune=prune,
            left=lambda: [each.id for each in listed(ec2, "demo")],
        )


def node_classes(snapshot):
    """What kubectl prints of them."""
    disks = [{"deviceName": "/dev/xvda", "ebs": {}}, {"ebs": {"snapshotID": snapshot}}]
    found = [{"spec": {"blockDeviceMappings": disks}}, {"spec": {}}]
    return f"echo '{json.dumps({'items': found})}'"


def test_the_snapshot_that_nodes_start_from_is_never_pruned(account):
    """However many were built after it: without it no GPU node starts."""
    newest, middle, oldest = account.ids
    account.runs(node_classes(oldest))
    result = account.prune()
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [middle]
    assert f"in use, and kept: {oldest}" in result.stderr
    assert account.left() == [newest, oldest]


def test_nothing_is_pruned_where_a_cluster_is_and_does_not_answer(account):
    """It may start nodes from any of them; a person who knows from which says so."""
    newest, middle, oldest = account.ids
    account.runs("echo 'connection refused' >&2; exit 1")
    result = account.prune()
    assert result.exit_code != 0
    assert "connection refused" in str(result.exception)
    assert "--used ID" in str(result.exception)
    assert account.left() == [newest, middle, oldest]
    assert account.prune("--used", middle).stdout.split() == [oldest]
    assert account.left() == [newest, middle]


def test_without_a_cluster_no_snapshot_is_in_use(account):
    """What is left of a removal goes by its age."""
    newest, *others = account.ids
    assert account.prune().stdout.split() == others
    assert account.left() == [newest]
