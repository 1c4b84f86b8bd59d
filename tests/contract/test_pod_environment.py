"""What pods are told is what their programs read, and what Terraform gives."""

import importlib
import re
from pathlib import Path

import pytest
import yaml
from test_deployment import Recorded, config

from bridge.settings import BridgeSettings
from darkroom.cluster import builtin
from darkroom.cluster.installation import Installation
from darkroom.cluster.pods import all_pods
from darkroom.cluster.serve_config import pinned
from darkroom.names import COMPONENT
from gradio_ui.settings import Settings as UiSettings
from jobs.catalogue import Catalogue
from serve_app import scaling
from serve_app.settings import ServeSettings
from tests.rendered import two_runtimes
from tests.timetable import environment

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "runtimes.yaml"
#: Read by every program beside its settings: jobs/logs.py.
BY_ALL = {"DARKROOM_LOG"}
#: Component -> the modules that read its variables, where no settings class does.
READ_BY = {
    "sweeper": ["bridge/sweeper.py"],
    "webhook-worker": ["bridge/webhooks.py"],
    "dead-letter-worker": ["bridge/dead_letters.py", "jobs/environment.py"],
}


def pods(manifests, component):
    """The pods of one component."""
    found = [pod for pod in all_pods(manifests.objects) if pod.labels.get(COMPONENT) == component]
    assert found, component
    return found


def ours(pod):
    """Names of our variables in a pod, those from secrets among them."""
    return {
        each["name"]
        for container in pod.containers
        for each in container["env"]
        if each["name"].startswith("DARKROOM_")
    }


def test_what_stands_in_for_terraform_has_its_variables():
    """`app_config` of outputs.tf: group by group, name by name."""
    stand_in = Installation.stand_in(two_runtimes()).app_config
    given = config()
    assert set(stand_in["shared"]) == given["shared_config"]
    assert set(stand_in["webhooks"]) == given["webhooks_config"]
    for runtime in ("demo", "painter"):
        for queue in (runtime, f"{runtime}-batch"):
            assert set(stand_in[f"bridge-{queue}"]) == given["bridge_config"]
        assert set(stand_in[f"dead-letters-{runtime}"]) == given["dead_letters_config"]


def test_a_bridge_reads_all_that_its_pod_is_told(whole, tmp_path):
    """With it alone it starts, and no variable is for nobody."""
    file = tmp_path / "runtimes.yaml"
    file.write_text(whole_catalogue(whole))
    for pod in pods(whole, "bridge"):
        environ = Recorded(environment(pod.spec), {"DARKROOM_RUNTIMES": str(file)})
        BridgeSettings.from_env(environ)
        assert ours(pod) <= environ.asked | BY_ALL


def test_a_bridge_is_told_all_that_terraform_says_of_its_queue(whole):
    """And of what all share but the topic to which only API and sweeper publish."""
    given = config()
    wanted = given["bridge_config"] | given["shared_config"] - {"DARKROOM_JOBS_TOPIC_ARN"}
    for pod in pods(whole, "bridge"):
        assert wanted <= ours(pod)


def whole_catalogue(manifests):
    """The runtimes.yaml that the pods mount."""
    [found] = manifests.of_kind("ConfigMap")
    assert Catalogue.from_yaml(found["data"]["runtimes.yaml"])
    return found["data"]["runtimes.yaml"]


@pytest.mark.parametrize("component", ["ray-head", "ray-worker"])
def test_serve_reads_all_that_its_pods_are_told(component, whole):
    """Head and workers alike: the app is built on one and runs on the others."""
    for pod in pods(whole, component):
        environ = Recorded(environment(pod.spec))
        settings = ServeSettings.from_env(environ)
        mounts = {each["mountPath"] for each in pod.containers[0]["volumeMounts"]}
        assert str(settings.runtimes.parent) in mounts
        assert ours(pod) <= environ.asked | BY_ALL


def test_head_and_workers_are_told_the_same(whole):
    """A replica's settings are those of the head that bound them."""
    for runtime in ("demo", "painter"):
        told = {
            frozenset(environment(pod.spec).items())
            - {("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "100")}
            for component in ("ray-head", "ray-worker")
            for pod in pods(whole, component)
            if pod.labels["darkroom/runtime"] == runtime
        }
        assert len(told) == 1


def test_the_page_reads_all_that_its_pod_is_told(whole):
    """Where the API is, with which key, and where to listen."""
    [pod] = pods(whole, "ui")
    environ = Recorded(environment(pod.spec))
    settings = UiSettings.from_env(environ)
    assert ours(pod) <= environ.asked
    ports = [each["containerPort"] for each in pod.containers[0]["ports"]]
    assert ports == [settings.port]


@pytest.mark.parametrize("component", READ_BY)
def test_the_other_workers_read_what_they_are_told(component, whole):
    """All that they require is there, and nothing that they do not read."""
    text = "".join((ROOT / module).read_text() for module in READ_BY[component])
    read = set(re.findall(r'"(DARKROOM_\w+)"', text))
    required = set(re.findall(r'required\([\w.]+, "(DARKROOM_\w+)"\)', text))
    for pod in pods(whole, component):
        assert required <= ours(pod) <= read | BY_ALL


def test_every_program_that_speaks_to_aws_knows_its_region(whole):
    """boto3 reads one name, other SDKs the other."""
    for pod in all_pods(whole.objects):
        if pod.labels[COMPONENT] != "ui":
            assert {"AWS_REGION", "AWS_DEFAULT_REGION"} <= set(environment(pod.spec))


def test_lists_are_written_as_they_are_read():
    """A bridge splits its input buckets at spaces."""
    text = (ROOT / "infra/terraform/outputs.tf").read_text()
    assert 'DARKROOM_INPUT_BUCKETS    = join(" ", var.input_buckets)' in text


def test_each_pod_has_a_service_account_that_terraform_gives_a_role(whole):
    """Pod Identity goes by namespace and name: a typo is a pod without any rights."""
    text = (ROOT / "infra/terraform/identity.tf").read_text()
    roles = dict(re.findall(r'namespace = "([\w-]+)", service_account = "([\w-]+)"', text))
    assert roles
    named = set(re.findall(r'namespace = "darkroom", service_account = "([\w-]+)"', text))
    used = {pod.spec["serviceAccountName"] for pod in all_pods(whole.objects)}
    assert used - {"ui"} <= named
    made = {each["metadata"]["name"] for each in whole.of_kind("ServiceAccount")}
    assert used <= made
    # Batch jobs are made by a command; telemetry is a collector of somebody's choice.
    assert named - used == {"batch-job", "telemetry"}


def test_manifests_are_checked_against_the_version_that_terraform_makes():
    """Another one has other kinds and fields."""
    text = (ROOT / "infra/terraform/variables.tf").read_text()
    block = text[text.index('variable "kubernetes_version"') :]
    assert re.search(r'default +="? *"([\d.]+)"', block.replace("= ", "="))[1] == builtin.VERSION


def test_serve_pins_its_ingress_to_the_head():
    """In the code, where its options are: what our rule asks of a manifest."""
    for runtime in two_runtimes().runtimes.values():
        options = scaling.ingress_options(runtime.replicas)
        assert pinned(options["ray_actor_options"])


def test_the_app_that_the_manifest_names_is_there(whole):
    """`import_path` and its argument."""
    for service in whole.of_kind("RayService"):
        [app] = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
        module, _, name = app["import_path"].partition(":")
        assert callable(getattr(importlib.import_module(module), name))
        assert app["args"] == {"runtime": service["metadata"]["name"]}
