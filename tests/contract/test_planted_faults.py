"""Faults that somebody could write tomorrow: each is caught, by the rule whose name says it."""

import pytest
import yaml
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from darkroom.cluster import builtin, serve_config
from darkroom.cluster.pods import pods_of
from darkroom.cluster.validate import RULES, validate


def worker(manifests):
    """Pod spec of the GPU worker."""
    service = manifests.one("RayService", "painter")
    return service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]


def data_volume(manifests):
    """The volume with the images of the GPU nodes."""
    mappings = manifests.one("EC2NodeClass", "gpu")["spec"]["blockDeviceMappings"]
    return next(each["ebs"] for each in mappings if each["deviceName"] == "/dev/xvdb")


def with_serve(change):
    """A change of what serveConfigV2 says of the generator."""

    def plant(manifests):
        spec = manifests.one("RayService", "painter")["spec"]
        config = yaml.safe_load(spec["serveConfigV2"])
        deployment = {"name": "generator", "ray_actor_options": {"num_gpus": 1}}
        change(deployment)
        config["applications"][0]["deployments"] = [deployment]
        spec["serveConfigV2"] = yaml.safe_dump(config)

    return plant


def with_spec(kind, name, **fields):
    """More fields under `spec`."""
    return lambda manifests: manifests.one(kind, name)["spec"].update(fields)


def on_the_volume(**fields):
    """Other values of the GPU nodes' data volume."""
    return lambda manifests: data_volume(manifests).update(fields)


def on_the_worker(change):
    """A change of the GPU worker's pod."""
    return lambda manifests: change(worker(manifests))


def on_the_container(**fields):
    """Other fields of the GPU worker's container."""
    return lambda manifests: worker(manifests)["containers"][0].update(fields)


def protect_the_worker(manifests):
    """do-not-disrupt where spot nodes are."""
    service = manifests.one("RayService", "painter")
    template = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
    template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] = "true"


def name_the_head(manifests):
    """As every other pod of ours has one."""
    template = manifests.one("RayService", "painter")["spec"]["rayClusterConfig"]["headGroupSpec"]
    template["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = "painter"


def hold_twice(manifests):
    """A second volume with the handle of the first."""
    first = manifests.of_kind("PersistentVolume")[0]
    second = first | {"metadata": {"name": "models-2"}}
    manifests.objects.append(second)


def wrong_label(manifests):
    """A Deployment whose pods are called otherwise than it looks for."""
    template = manifests.one("Deployment", "ui")["spec"]["template"]
    template["metadata"]["labels"]["app.kubernetes.io/name"] = "page"


def budget_the_workers(manifests):
    """A disruption budget on GPU workers."""
    spec = manifests.of_kind("PodDisruptionBudget")[0]["spec"]
    spec["selector"]["matchLabels"] = {"app.kubernetes.io/component": "ray-worker"}


def own_the_workers(manifests):
    """A number of workers in the manifest."""
    service = manifests.one("RayService", "painter")
    service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["replicas"] = 0


def reach_the_node(manifests):
    """IMDSv1, from pods too."""
    manifests.one("EC2NodeClass", "gpu")["spec"]["metadataOptions"] = {"httpTokens": "optional"}


def wander_off(manifests):
    """The page on nodes that have to be started for it."""
    template = manifests.one("Deployment", "ui")["spec"]["template"]
    template["spec"]["nodeSelector"] = {"darkroom/nodes": "cpu"}


#: What somebody writes -> (how, the rule that catches it).
FAULTS = {
    "legacy Serve key": (
        with_serve(lambda each: each.update(max_concurrent_queries=10)),
        "serve-legacy-key",
    ),
    "legacy autoscaling key": (
        with_serve(
            lambda each: each.update(
                autoscaling_config={"target_num_ongoing_requests_per_replica": 1}
            )
        ),
        "serve-legacy-key",
    ),
    "typo in a Serve key": (
        with_serve(lambda each: each.update(autoscaling_config={"min_replica": 0})),
        "serve-unknown-key",
    ),
    "a value that Serve refuses": (
        with_serve(lambda each: each.update(max_ongoing_requests="many")),
        "serve-schema",
    ),
    "ingress not pinned to the head": (
        with_serve(lambda each: each.update(name="ingress", ray_actor_options={"num_cpus": 1})),
        "ingress-on-head",
    ),
    "scaleOnInFlight under spec": (
        with_spec("ScaledObject", "bridge-demo", scaleOnInFlight=True),
        "keda-key-astray",
    ),
    "RAID0 with a snapshot": (
        with_spec("EC2NodeClass", "gpu", instanceStorePolicy="RAID0"),
        "raid0-hides-snapshot",
    ),
    "empty snapshotID": (on_the_volume(snapshotID=""), "empty-snapshot"),
    "volume smaller than the snapshot": (on_the_volume(volumeSize="30Gi"), "volume-below-snapshot"),
    "rate below 100": (on_the_volume(volumeInitializationRate=99), "initialization-rate"),
    "rate above 300": (on_the_volume(volumeInitializationRate=301), "initialization-rate"),
    "do-not-disrupt on spot": (protect_the_worker, "do-not-disrupt-on-spot"),
    "preStop ray stop": (
        on_the_container(
            lifecycle={"preStop": {"exec": {"command": ["/bin/sh", "-c", "ray stop"]}}}
        ),
        "prestop-ray-stop",
    ),
    "excludeHeadPodFromServeSvc": (
        with_spec("RayService", "painter", excludeHeadPodFromServeSvc=True),
        "head-in-serve-service",
    ),
    "a name of the head's own": (name_the_head, "head-in-head-service"),
    "worker with too many cores": (
        on_the_container(resources={"requests": {"cpu": "3921m", "nvidia.com/gpu": "1"}}),
        "worker-fits-smallest-node",
    ),
    "worker with too much memory": (
        on_the_container(resources={"requests": {"memory": "14163Mi", "nvidia.com/gpu": "1"}}),
        "worker-fits-smallest-node",
    ),
    "selector without matching label": (wrong_label, "selector-matches"),
    "missing GPU toleration": (
        on_the_worker(lambda pod: pod.pop("tolerations")),
        "gpu-toleration",
    ),
    "one volumeHandle twice": (hold_twice, "unique-volume-handle"),
    "image with a tag that moves": (
        on_the_container(image="images.invalid/serve-gpu:latest"),
        "floating-image",
    ),
    "container as root": (on_the_worker(lambda pod: pod.pop("securityContext")), "restricted"),
    "image that can be written to": (on_the_container(securityContext={}), "restricted"),
    "variable twice": (
        on_the_container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "env-twice",
    ),
    "replicas that KEDA owns": (with_spec("Deployment", "bridge-demo", replicas=1), "owned-field"),
    "suspend in the manifest": (with_spec("RayService", "painter", suspend=False), "owned-field"),
    "replicas that Ray owns": (own_the_workers, "owned-field"),
    "budget on GPU workers": (budget_the_workers, "no-budget-on-workers"),
    "IMDSv1": (reach_the_node, "imds"),
    "Bottlerocket that moves": (
        with_spec("EC2NodeClass", "gpu", amiSelectorTerms=[{"alias": "bottlerocket@latest"}]),
        "bottlerocket-pinned",
    ),
    "idle pod off the system group": (wander_off, "system-group"),
    "node group that is not there": (
        on_the_worker(lambda pod: pod.update(nodeSelector={"darkroom/nodes": "gpus"})),
        "node-group",
    ),
    "ScaledObject without a Deployment": (
        with_spec("ScaledObject", "bridge-demo", scaleTargetRef={"name": "bridge"}),
        "scale-target",
    ),
    "no token for Ray": (
        lambda manifests: manifests.one("RayService", "demo")["spec"]["rayClusterConfig"].pop(
            "authOptions"
        ),
        "ray-token",
    ),
}


def found_by_rules(manifests):
    """The names of our own rules that something is found by; schemas have tests of their own."""
    found = [finding for rule in RULES for finding in rule(manifests.objects)]
    for manifest in manifests.of_kind("RayService"):
        found += serve_config.check(manifest)
    return {finding.rule for finding in found}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_name(fault, whole):
    """What is caught is this fault, in the object where it is."""
    plant, rule = FAULTS[fault]
    spoiled = whole.copy()
    plant(spoiled)
    assert rule in found_by_rules(spoiled)
    assert rule not in found_by_rules(whole)


def test_without_a_fault_nothing_is_found(whole, definitions):
    """Two runtimes with everything on: schemas, CEL, Serve's keys and all of our rules."""
    assert validate(whole.objects, definitions) == []


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        (with_spec("ScaledObject", "bridge-demo", scaleOnInFlight=True), "crd-schema"),
        (with_spec("EC2NodeClass", "gpu", instanceStorePolicy="RAID-0"), "crd-schema"),
        (on_the_volume(volumeInitializationRate=301), "crd-schema"),
        (on_the_volume(snapshotID=""), "crd-rule"),
        (
            with_spec("EC2NodeClass", "gpu", amiSelectorTerms=[{"alias": "arch@v1"}]),
            "crd-rule",
        ),
        (
            lambda manifests: manifests.one("NodePool", "gpu-spot")["spec"]["template"]["spec"][
                "requirements"
            ].append({"key": "karpenter.sh/capacity-type", "operator": "In", "values": []}),
            "crd-rule",
        ),
    ],
)
def test_the_definitions_catch_what_a_server_would_refuse(plant, rule, whole, definitions):
    """Unknown fields and values by schema, what belongs together by CEL."""
    spoiled = whole.copy()
    plant(spoiled)
    found = {
        finding.rule
        for manifest in spoiled
        if manifest in definitions
        for finding in definitions.check(manifest)
    }
    assert rule in found


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"replica": 2}, "kubernetes-schema"), ({"kind": "Deploiment"}, "unknown-kind")],
)
def test_kubernetes_own_kinds_are_checked_strictly(change, rule, whole):
    """A field that a Deployment does not have, and a typo in its kind."""
    deployment = whole.copy().one("Deployment", "ui")
    (deployment if "kind" in change else deployment["spec"]).update(change)
    assert [finding.rule for finding in builtin.check(deployment)] == [rule]


def test_ray_itself_takes_what_our_check_refuses():
    """Which is why there is one: legacy keys and typos pass, and mean nothing."""
    scaling = {"min_replica": 0}
    deployment = {"name": "a", "max_concurrent_queries": 10, "autoscaling_config": scaling}
    app = {"name": "a", "import_path": "a:b", "deployments": [deployment]}
    read = ServeDeploySchema.model_validate({"applications": [app]}).applications[0].deployments[0]
    assert not hasattr(read, "max_concurrent_queries")
    assert AutoscalingConfig.model_validate(scaling).min_replicas == 1


def test_every_pod_is_looked_at(whole):
    """Head, workers and all Deployments and CronJobs: a kind forgotten would be a hole."""
    made = {pod.role for each in whole for pod in pods_of(each)}
    assert made == {"pod", "head", "worker cpu", "worker gpu"}
