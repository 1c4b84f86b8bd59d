"""`darkroom snapshot build` by itself: what it asks to be built, with a cluster and without one."""

import json

import pytest
from typer.testing import CliRunner

from darkroom.cli import app
from darkroom.cluster.images import Images
from darkroom.cluster.snapshot import Snapshot
from darkroom.deploy import snapshot_command
from darkroom.deploy.content import Content
from darkroom.deploy.daemons import Daemons
from darkroom.deploy.errors import ProgramFailed
from darkroom.deploy.snapshot_build import SnapshotBuilder
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
