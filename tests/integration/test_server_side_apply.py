"""What we render, given to a real API server for custom resources: applied, and applied again."""

import ssl

import httpx
import pytest
import yaml

#: Kinds -> how the server calls them in its paths.
PLURALS = {
    "EC2NodeClass": "ec2nodeclasses",
    "NodePool": "nodepools",
    "RayCluster": "rayclusters",
    "RayService": "rayservices",
    "ScaledObject": "scaledobjects",
    "TriggerAuthentication": "triggerauthentications",
}


class ApiServer:
    """The API server, as kubectl and the operators see it."""

    def __init__(self, kubeconfig):
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        self._http = httpx.Client(
            base_url=cluster["server"], verify=context, timeout=60, trust_env=False
        )

    def apply(self, manifest, *, manager="darkroom", subresource="", dry_run=False):
        """Server-side apply; the object as it is stored then."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        answer = self._http.patch(
            path_of(manifest) + subresource,
            params=query,
            content=yaml.safe_dump(manifest),
            headers={"content-type": "application/apply-patch+yaml"},
        )
        if answer.is_error:
            raise Refused(answer.json()["message"])
        return answer.json()

    def get(self, manifest):
        """The object as it is stored."""
        return self._http.get(path_of(manifest)).raise_for_status().json()

    def close(self):
        """Let go of its connections."""
        self._http.close()


class Refused(Exception):
    """What the server says is wrong."""


def path_of(manifest):
    """Where the server keeps it."""
    namespace = manifest["metadata"].get("namespace")
    within = f"/namespaces/{namespace}" if namespace else ""
    plural = PLURALS[manifest["kind"]]
    return f"/apis/{manifest['apiVersion']}{within}/{plural}/{manifest['metadata']['name']}"


@pytest.fixture(scope="module")
def server(kubeconfig):
    """A real one, on loopback."""
    server = ApiServer(kubeconfig)
    yield server
    server.close()


@pytest.fixture(scope="module")
def ours(whole):
    """The custom resources of the whole installation."""
    return [each for each in whole if each["kind"] in PLURALS]


def unmanaged(stored):
    """What a controller reads: without the server's own bookkeeping."""
    metadata = {key: stored["metadata"].get(key) for key in ("labels", "annotations", "generation")}
    return {"metadata": metadata, "spec": stored["spec"], "status": stored.get("status")}


def test_the_server_takes_all_of_it(server, ours):
    """Strict validation, CEL and defaults are the server's own here."""
    assert {each["kind"] for each in ours} == set(PLURALS) - {"RayCluster"}
    for manifest in ours:
        stored = server.apply(manifest)
        assert stored["metadata"]["name"] == manifest["metadata"]["name"]


def test_the_same_again_changes_nothing(server, ours):
    """Not even the version of an object: nothing would be rolled."""
    for manifest in ours:
        before = server.apply(manifest)["metadata"]["resourceVersion"]
        assert server.apply(manifest)["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize("suspended", [True, False], ids=["asleep", "awake"])
def test_applying_again_leaves_the_sleep_alone(suspended, server, ours):
    """`suspend` is deep sleep's and the bridge's."""
    [service, *_] = [each for each in ours if each["kind"] == "RayService"]
    theirs = {
        **{key: service[key] for key in ("apiVersion", "kind")},
        "metadata": {key: service["metadata"][key] for key in ("name", "namespace")},
        "spec": {"suspend": suspended},
    }
    server.apply(service)
    before = unmanaged(server.apply(theirs, manager="deep-sleep"))
    assert before["spec"]["suspend"] is suspended
    assert unmanaged(server.apply(service)) == before


def test_applying_again_leaves_a_busy_system_alone(server, ours):
    """KubeRay's status, and the cluster that Ray's autoscaler has scaled out."""
    [service, *_] = [each for each in ours if each["kind"] == "RayService"]
    cluster = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": "demo-abcde", "namespace": "darkroom"},
        "spec": service["spec"]["rayClusterConfig"],
    }
    groups = cluster["spec"]["workerGroupSpecs"]
    scaled = cluster | {
        "spec": cluster["spec"] | {"workerGroupSpecs": [groups[0] | {"replicas": 3}]}
    }
    server.apply(service)
    status = {
        **{key: service[key] for key in ("apiVersion", "kind", "metadata")},
        "status": {"serviceStatus": "Running", "numServeEndpoints": 4},
    }
    before = unmanaged(server.apply(status, manager="kuberay", subresource="/status"))
    out = unmanaged(server.apply(scaled, manager="kuberay"))
    assert unmanaged(server.apply(service)) == before
    assert before["status"]["numServeEndpoints"] == 4
    assert unmanaged(server.get(cluster)) == out


def test_two_owners_of_one_field_are_a_conflict(server, ours):
    """Why manifests leave out what others own: who forces would fight for ever."""
    [service, *_] = [each for each in ours if each["kind"] == "RayService"]
    identity = {
        **{key: service[key] for key in ("apiVersion", "kind")},
        "metadata": {key: service["metadata"][key] for key in ("name", "namespace")},
    }
    server.apply(identity | {"spec": {"suspend": True}}, manager="deep-sleep")
    greedy = service | {"spec": service["spec"] | {"suspend": False}}
    with pytest.raises(Refused, match=r"conflict with \"deep-sleep\".*suspend"):
        server.apply(greedy)


def spoiled(whole, kind, name, change):
    """One of ours with a fault."""
    manifest = whole.copy().one(kind, name)
    change(manifest["spec"])
    return manifest


@pytest.mark.parametrize(
    ("kind", "name", "change", "said"),
    [
        (
            "ScaledObject",
            "bridge-demo",
            lambda spec: spec.update(scaleOnInFlight=True),
            "scaleOnInFlight",
        ),
        (
            "EC2NodeClass",
            "gpu",
            lambda spec: spec["blockDeviceMappings"][1]["ebs"].update(snapshotID=""),
            "snapshotID must be set",
        ),
        (
            "EC2NodeClass",
            "gpu",
            lambda spec: spec["blockDeviceMappings"][1]["ebs"].update(volumeInitializationRate=301),
            "300",
        ),
        (
            "NodePool",
            "gpu-spot",
            lambda spec: spec["template"]["spec"]["requirements"].append(
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": []}
            ),
            "In",
        ),
        (
            "RayService",
            "demo",
            lambda spec: spec["rayClusterConfig"].update(autoscaler={}),
            "autoscaler",
        ),
    ],
)
def test_the_server_and_our_check_refuse_the_same(
    kind, name, change, said, server, whole, definitions
):
    """What `make manifests` says without a server, a server says too."""
    manifest = spoiled(whole, kind, name, change)
    assert {each.rule for each in definitions.check(manifest)} <= {"crd-schema", "crd-rule"}
    assert list(definitions.check(manifest))
    with pytest.raises(Refused, match=said):
        server.apply(manifest, dry_run=True)
