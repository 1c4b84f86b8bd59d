"""What idles fits the nodes that are always there."""

import re
from pathlib import Path

import pytest
import yaml

from darkroom.cluster.pods import all_pods, requested
from darkroom.cluster.quantity import amount
from darkroom.cost import HEAD_POLL_S, KEDA_POLL_S, Load
from darkroom.names import COMPONENT
from jobs.catalogue import Catalogue
from serve_app.settings import ServeSettings
from tests.rendered import build

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = ROOT / "manifests/operators"
#: Instance type -> what Bottlerocket leaves for pods of its cores and memory, by EKS's formulas.
ALLOCATABLE = {"t4g.large": ("1930m", "6900Mi"), "t4g.medium": ("1930m", "3180Mi")}
#: Every node's DaemonSets and CoreDNS, by their add-ons' defaults.
ADDONS = {"cpu": "450m", "memory": "620Mi"}
#: Pods that come by a clock: one of each may run at a time.
IDLE = {"ray-head", "ui", "webhook-worker", "sweeper", "dead-letter-worker", "deep-sleep"}


def operators():
    """(requests of one pod, how many) of each operator, from our values."""
    values = {
        path.stem: yaml.safe_load(path.read_text())
        for path in OPERATORS.glob("*.yaml")
        if path.stem != "disruption"
    }
    yield values["kuberay"]["resources"]
    yield values["karpenter"]["controller"]["resources"]
    yield from values["keda"]["resources"].values()


def wanted(manifests, resource):
    """What idle pods on the system group ask for together, operators and add-ons among them."""
    ours = sum(
        amount(requested(container).get(resource, 0))
        for pod in all_pods(manifests.objects)
        if pod.labels[COMPONENT] in IDLE and pod.node_groups() == {"system"}
        for container in pod.containers
    )
    autoscalers = sum(
        amount(
            each["spec"]["rayClusterConfig"]["autoscalerOptions"]["resources"]["requests"][resource]
        )
        for each in manifests.of_kind("RayService")
        if each["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["nodeSelector"]
        == {"darkroom/nodes": "system"}
    )
    theirs = sum(amount(each["requests"][resource]) for each in operators())
    return ours + autoscalers + theirs + amount(ADDONS[resource])


def instance(environment):
    """The system group's instance type in a file of variables, or Terraform's default."""
    files = [
        ROOT / f"infra/terraform/envs/{environment}.tfvars",
        ROOT / "infra/terraform/variables.tf",
    ]
    for file in files:
        found = re.search(r'instance_type += +(?:optional\(string, )?"([\w.]+)"', file.read_text())
        if found:
            return found[1]
    raise AssertionError


@pytest.mark.parametrize(
    ("environment", "components"), [("dev", ()), ("sleep", ("deep-sleep",))], ids=["dev", "sleep"]
)
@pytest.mark.parametrize(("resource", "place"), [("cpu", 0), ("memory", 1)])
def test_one_system_node_holds_all_that_idles(environment, components, resource, place, tmp_path):
    """With a bridge beside it, so that a first job starts no node for one."""
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text())
    manifests = build(tmp_path, components=components, catalogue=catalogue)
    [bridge] = [
        pod for pod in all_pods(manifests.objects) if pod.owner["metadata"]["name"] == "bridge-demo"
    ]
    first = amount(requested(bridge.containers[0])[resource])
    assert wanted(manifests, resource) + first <= amount(ALLOCATABLE[instance(environment)][place])


def test_the_cost_is_of_the_gpu_nodes_that_there_are(whole):
    """Instance and disks that `darkroom cost` assumes are those of the pools."""
    load = Load()
    mappings = whole.one("EC2NodeClass", "gpu")["spec"]["blockDeviceMappings"]
    assert load.disk_gb == sum(amount(each["ebs"]["volumeSize"]) for each in mappings) / 2**30
    [paid] = [each["ebs"] for each in mappings if "iops" in each["ebs"]]
    assert (load.disk_iops, load.disk_mib_s) == (paid["iops"], paid["throughput"])
    family, size = load.instance.split(".")
    for pool in ("gpu-spot", "gpu-on-demand"):
        requirements = whole.one("NodePool", pool)["spec"]["template"]["spec"]["requirements"]
        allowed = {each["key"].rpartition("/")[2]: each["values"] for each in requirements}
        assert family in allowed["instance-family"]
        assert size in allowed["instance-size"]


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_nodes_carry_the_tag_that_the_budget_counts(whole, kind):
    """Nothing else puts it on what Karpenter makes: instances, their disks, their interfaces."""
    spec = whole.one("EC2NodeClass", kind)["spec"]
    [name] = spec["subnetSelectorTerms"][0]["tags"].values()
    assert spec["tags"] == {"darkroom:installation": name}


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_a_subnet_that_two_clusters_share_is_found_by_both(whole, kind):
    """The tag's key has the name, as network.tf has it: AWS keeps one value for each key."""
    spec = whole.one("EC2NodeClass", kind)["spec"]
    name = spec["tags"]["darkroom:installation"]
    terms = [{"tags": {f"karpenter.sh/discovery/{name}": name}}]
    assert spec["subnetSelectorTerms"] == terms
    assert spec["securityGroupSelectorTerms"] == terms


def test_the_cost_is_of_the_looks_at_the_queues_that_there_are(whole):
    """KEDA's, which each ScaledObject sets, and those of the Ray head."""
    intervals = {each["spec"]["pollingInterval"] for each in whole.of_kind("ScaledObject")}
    assert intervals == {KEDA_POLL_S}
    assert ServeSettings.depth_poll_s == HEAD_POLL_S
