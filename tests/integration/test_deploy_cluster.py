"""Steps on a cluster, by the real kubectl on a real API server for custom resources."""

import json
import shutil

import pytest
from botocore.exceptions import ClientError
from discovery_proxy import discovering

from darkroom.cluster.crds import crd_dir
from darkroom.cluster.errors import CannotValidate
from darkroom.deploy.cluster import MANAGER, Cluster
from darkroom.deploy.definitions import CustomResources
from darkroom.deploy.farewell import EndedNodes, EndedWork, StoppedIntake
from darkroom.deploy.program import Programs
from darkroom.names import NAMESPACE
from tests.rendered import rendering

#: kubectl asks a great deal: three minutes and a half.
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


class NoIntake:
    """An account in which API and topic are gone already."""

    def put_function_concurrency(self, **_):
        return {}

    def get_topic_attributes(self, **_):
        raise ClientError({"Error": {"Code": "NotFound"}}, "GetTopicAttributes")


@pytest.fixture(scope="module")
def cluster(kubeconfig, tmp_path_factory):
    """kubectl with a server of its own kinds."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl: it is not on this machine")
    with discovering(kubeconfig, tmp_path_factory.mktemp("kubectl") / "config") as proxied:
        yield Cluster(programs=Programs(), kubeconfig=proxied)


@pytest.fixture(scope="module")
def applied(cluster, tmp_path_factory):
    """Our own custom resources, as they are rendered."""
    folder = rendering().write("dev", tmp_path_factory.mktemp("rendered") / "manifests")
    scaled = tmp_path_factory.mktemp("scaled") / "object.json"
    scaled.write_text(
        json.dumps(
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledObject",
                "metadata": {"name": "bridge-demo", "namespace": NAMESPACE},
                "spec": {
                    "scaleTargetRef": {"name": "bridge-demo"},
                    "triggers": [{"type": "cpu", "metadata": {"value": "1"}}],
                },
            }
        )
    )
    for path in (folder / "base/node-classes.yaml", folder / "base/node-pools.yaml", scaled):
        # The server validates; it has no description by which kubectl could.
        cluster.kubectl("apply", *MANAGER, "--validate=false", "-f", str(path))
    return cluster


def test_definitions_are_applied_and_found_done(cluster, tmp_path):
    """By server: they are too large for kubectl's own bookkeeping."""
    try:
        crd_dir()
    except CannotValidate as missing:
        pytest.skip(f"shared: {missing}")
    step = CustomResources(cluster=cluster, folder=tmp_path)
    step.apply()
    assert step.check().done


def test_scaling_is_paused_and_stays_where_it_is(applied):
    """By KEDA's own annotation; the object's owner does not change."""
    StoppedIntake(
        functions=NoIntake(),
        sns=NoIntake(),
        installation="demo",
        topic="arn",
        sweeper="arn",
        cluster=applied,
    ).apply()
    found = applied.get("scaledobject", "bridge-demo", namespace=NAMESPACE)
    assert found["metadata"]["annotations"]["autoscaling.keda.sh/paused"] == "true"


def test_everything_that_makes_pods_goes_kind_after_kind(applied):
    """Kinds that this server does not know are none, and it can be run again."""
    EndedWork(cluster=applied).apply()
    assert applied.items("scaledobjects", namespace=NAMESPACE) == []
    EndedWork(cluster=applied).apply()


class NoNodes:
    """An EC2 in which no node has ever been."""

    def describe_instances(self, **_):
        return {"Reservations": []}

    def describe_network_interfaces(self, **_):
        return {"NetworkInterfaces": []}


def test_node_pools_and_their_classes_are_deleted_and_waited_for(applied):
    """With Karpenter there, a pool goes when its last node has gone, and then its class."""
    for kind in ("nodepools", "ec2nodeclasses"):
        assert len(applied.items(kind)) >= 2
    EndedNodes(cluster=applied, ec2=NoNodes(), installation="demo", say=print).apply()
    for kind in ("nodepools", "ec2nodeclasses"):
        assert applied.items(kind) == []
