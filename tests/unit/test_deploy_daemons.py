"""Which DaemonSets GPU nodes get, and the digests of their images, before there is a GPU node."""

import pytest

from darkroom.deploy.daemons import Daemons
from darkroom.deploy.errors import ProgramFailed
from darkroom.deploy.placement import gpu_places

EKS = "602401143452.dkr.ecr.us-west-2.amazonaws.com"
EVERYWHERE = [{"operator": "Exists"}]
#: As EKS's add-ons have it.
NOT_SERVERLESS = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
                        {
                            "key": "kubernetes.io/arch",
                            "operator": "In",
                            "values": ["amd64", "arm64"],
                        },
                        {
                            "key": "eks.amazonaws.com/compute-type",
                            "operator": "NotIn",
                            "values": ["fargate", "hybrid", "auto"],
                        },
                    ]
                }
            ]
        }
    }
}


def sha(letter):
    return "sha256:" + letter * 64


def daemon(name, containers, init=(), **spec):
    """A DaemonSet that tolerates every taint; `containers` is name -> image."""
    return {
        "metadata": {"namespace": "kube-system", "name": name, "uid": f"uid-{name}"},
        "spec": {
            "template": {
                "spec": {
                    "tolerations": EVERYWHERE,
                    "affinity": NOT_SERVERLESS,
                    "containers": listed(containers),
                    "initContainers": listed(init),
                }
                | spec
            }
        },
    }


def listed(containers):
    return [{"name": name, "image": image} for name, image in dict(containers).items()]


def pod(of, digests, *, made="2026-11-26T10:00:00Z", asked=None):
    """A pod of a DaemonSet; `digests` is container -> what the kubelet says that it runs."""
    spec = of["spec"]["template"]["spec"]
    inits = {each["name"] for each in spec["initContainers"]}
    told = [{"name": name, "imageID": digest} for name, digest in digests.items()]
    return {
        "metadata": {
            "creationTimestamp": made,
            "ownerReferences": [{"uid": of["metadata"]["uid"]}],
        },
        "spec": {**spec, "containers": listed(asked)} if asked else spec,
        "status": {
            "initContainerStatuses": [each for each in told if each["name"] in inits],
            "containerStatuses": [each for each in told if each["name"] not in inits],
        },
    }


class Kubectl:
    """A cluster whose objects are these."""

    def __init__(self, daemonsets, pods=(), nodes=()):
        self.objects = {"daemonsets": daemonsets, "pods": pods, "nodes": nodes}
        self.failing = None

    def items(self, kind, **_):
        if kind == self.failing:
            raise ProgramFailed(f"kubectl get {kind} ended with 1: connection refused")
        return list(self.objects[kind])


def found(cluster, said=None):
    return Daemons(cluster=cluster, say=(said if said is not None else []).append).contents()


PROXY = daemon("kube-proxy", {"kube-proxy": f"{EKS}/eks/kube-proxy:v1.35.3-eksbuild.21"})
CNI = daemon(
    "aws-node",
    {
        "aws-node": f"{EKS}/amazon-k8s-cni:v1.22.4-eksbuild.3",
        "aws-eks-nodeagent": f"{EKS}/amazon/aws-network-policy-agent:v1.3.4-eksbuild.1",
    },
    init={"aws-vpc-cni-init": f"{EKS}/amazon-k8s-cni-init:v1.22.4-eksbuild.3"},
)
CNI_POD = pod(
    CNI,
    {
        "aws-vpc-cni-init": f"{EKS}/amazon-k8s-cni-init@{sha('1')}",
        "aws-node": f"{EKS}/amazon-k8s-cni@{sha('2')}",
        "aws-eks-nodeagent": f"{EKS}/amazon/aws-network-policy-agent@{sha('3')}",
    },
)


def test_the_images_of_what_runs_on_gpu_nodes_are_found_by_digest_and_by_the_name_asked_for():
    """Init containers first: the node's network waits for them."""
    cluster = Kubectl(
        [PROXY, CNI], [CNI_POD, pod(PROXY, {"kube-proxy": f"{EKS}/eks/kube-proxy@{sha('4')}"})]
    )
    contents = found(cluster)
    assert [(each.name, each.image, each.also) for each in contents] == [
        (
            "kube-system/aws-node/aws-vpc-cni-init",
            f"{EKS}/amazon-k8s-cni-init@{sha('1')}",
            f"{EKS}/amazon-k8s-cni-init:v1.22.4-eksbuild.3",
        ),
        (
            "kube-system/aws-node/aws-node",
            f"{EKS}/amazon-k8s-cni@{sha('2')}",
            f"{EKS}/amazon-k8s-cni:v1.22.4-eksbuild.3",
        ),
        (
            "kube-system/aws-node/aws-eks-nodeagent",
            f"{EKS}/amazon/aws-network-policy-agent@{sha('3')}",
            f"{EKS}/amazon/aws-network-policy-agent:v1.3.4-eksbuild.1",
        ),
        (
            "kube-system/kube-proxy/kube-proxy",
            f"{EKS}/eks/kube-proxy@{sha('4')}",
            f"{EKS}/eks/kube-proxy:v1.35.3-eksbuild.21",
        ),
    ]
    assert not any(each.ours for each in contents)


def test_an_image_of_several_containers_is_there_once():
    """As the Pod Identity agent's, which prepares the node by itself."""
    image = f"{EKS}/eks/eks-pod-identity-agent"
    agent = daemon("agent", {"agent": f"{image}:v0.1.36"}, init={"init": f"{image}:v0.1.36"})
    told = pod(agent, dict.fromkeys(("init", "agent"), f"{image}@{sha('5')}"))
    assert [each.image for each in found(Kubectl([agent], [told]))] == [f"{image}@{sha('5')}"]


def term(key, operator, *values):
    """An affinity of one expression."""
    expression = {"key": key, "operator": operator, "values": list(values)}
    terms = [{"matchExpressions": [expression]}]
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return {"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}


@pytest.mark.parametrize(
    ("spec", "runs"),
    [
        ({"affinity": None, "tolerations": []}, False),
        ({"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]}, False),
        ({"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}, True),
        ({"tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}, True),
        ({"tolerations": [{"key": "nvidia.com/gpu", "effect": "NoExecute"}]}, False),
        ({"tolerations": [{"key": "nvidia.com/gpu", "value": "a100"}]}, False),
        ({"nodeSelector": {"darkroom/nodes": "gpu"}}, True),
        ({"nodeSelector": {"darkroom/nodes": "system"}}, False),
        ({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, False),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, False),
        # One of several families, or of several pools, is enough.
        ({"nodeSelector": {"karpenter.k8s.aws/instance-family": "g6"}}, True),
        ({"nodeSelector": {"karpenter.sh/capacity-type": "on-demand"}}, True),
        ({"nodeSelector": {"karpenter.k8s.aws/instance-size": "48xlarge"}}, False),
        # A label with a value that no pool says.
        ({"nodeSelector": {"topology.kubernetes.io/zone": "us-west-2b"}}, True),
        # Bottlerocket has the device plugin in itself, and none of these labels.
        ({"nodeSelector": {"nvidia.com/gpu.present": "true"}}, False),
        ({"affinity": term("nvidia.com/gpu.present", "Exists")}, False),
        ({"affinity": term("nvidia.com/gpu.present", "DoesNotExist")}, True),
        ({"affinity": term("darkroom/nodes", "DoesNotExist")}, False),
        ({"affinity": term("darkroom/nodes", "NotIn", "gpu")}, False),
        ({"affinity": term("darkroom/nodes", "Exists")}, True),
        ({"affinity": term("karpenter.k8s.aws/instance-gpu-count", "Gt", "0")}, True),
        ({"affinity": term("karpenter.k8s.aws/instance-gpu-count", "Lt", "1")}, False),
    ],
)
def test_taints_labels_and_affinities_decide_who_runs_on_a_gpu_node(spec, runs):
    """By the NodePools of the repository: at zero there is no node to look at."""
    given = daemon("plugin", {"plugin": f"registry.example/plugin@{sha('6')}"}, **spec)
    places = gpu_places()
    assert len(places) == 2
    pod_spec = given["spec"]["template"]["spec"]
    assert any(place.may_take(pod_spec) for place in places) is runs
    assert bool(found(Kubectl([given]))) is runs


def test_the_newest_pod_with_the_image_that_is_asked_for_tells_its_digest():
    """A tag may have moved since, and an update be on its way."""
    name, repository = "kube-proxy", f"{EKS}/eks/kube-proxy"
    older = pod(PROXY, {name: f"{repository}@{sha('7')}"}, made="2026-11-25T10:00:00Z")
    newer = pod(PROXY, {name: f"{repository}@{sha('8')}"})
    before = pod(
        PROXY,
        {name: f"{repository}@{sha('9')}"},
        made="2026-11-27T10:00:00Z",
        asked={name: f"{repository}:v1.34.1-eksbuild.1"},
    )
    assert [each.digest for each in found(Kubectl([PROXY], [older, newer, before]))] == [sha("8")]


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [pod(PROXY, {"kube-proxy": ""})],
        [pod(PROXY, {"kube-proxy": sha("a")})],
        [pod(PROXY, {"kube-proxy": f"mirror.example/kube-proxy@{sha('a')}"})],
        [pod(CNI, {"kube-proxy": f"{EKS}/eks/kube-proxy@{sha('a')}"})],
    ],
    ids=["no pod", "not pulled yet", "an id, no digest", "another registry's", "another's pod"],
)
def test_an_image_whose_digest_nobody_knows_is_said_and_left_out(pods):
    """Guessed by its tag it could be another one by then."""
    said = []
    assert found(Kubectl([PROXY], pods), said) == []
    [text] = said
    assert text.startswith("kube-system/kube-proxy/kube-proxy: no pod tells the digest")
    assert "GPU nodes pull it" in text


@pytest.mark.parametrize(
    ("written", "image", "also"),
    [
        (f"registry.example:5000/a/b@{sha('b')}", f"registry.example:5000/a/b@{sha('b')}", None),
        (f"registry.example/b:v1@{sha('b')}", f"registry.example/b@{sha('b')}", None),
        (f"busybox@{sha('b')}", f"docker.io/library/busybox@{sha('b')}", None),
        ("falco/falco", f"docker.io/falco/falco@{sha('c')}", "docker.io/falco/falco:latest"),
    ],
)
def test_an_image_is_named_in_full_as_containerd_keeps_it(written, image, also):
    """Pods may leave out registry, tag or both; a digest of their own needs no pod."""
    given = daemon("any", {"any": written})
    told = pod(given, {"any": f"docker-pullable://docker.io/falco/falco@{sha('c')}"})
    [content] = found(Kubectl([given], [told]))
    assert (content.image, content.also) == (image, also)


def test_the_size_is_what_a_node_says_and_else_a_usual_one():
    """The disk is made for it."""
    image = f"{EKS}/eks/kube-proxy@{sha('4')}"
    pods = [pod(PROXY, {"kube-proxy": image})]
    nodes = [{"status": {"images": [{"names": [image, "other"], "sizeBytes": 12345}]}}, {}]
    assert [each.bytes for each in found(Kubectl([PROXY], pods, nodes))] == [12345]
    assert [each.bytes for each in found(Kubectl([PROXY], pods))] == [2**28]


@pytest.mark.parametrize("kind", ["daemonsets", "pods", "nodes"])
def test_a_cluster_that_does_not_answer_is_no_cluster_without_daemons(kind):
    """A snapshot without them would be taken for a whole one."""
    cluster = Kubectl([PROXY], [pod(PROXY, {"kube-proxy": f"{EKS}/eks/kube-proxy@{sha('4')}"})])
    cluster.failing = kind
    with pytest.raises(ProgramFailed, match="connection refused"):
        found(cluster)
