"""What `darkroom render` writes, before Kustomize sees it."""

import json
import shutil
from dataclasses import replace

import pytest
import yaml

from darkroom.cli import run
from darkroom.cluster.errors import NotRenderable
from darkroom.cluster.images import NAMES, Images, floats
from darkroom.cluster.installation import Installation
from darkroom.cluster.render import SOURCE, Rendering
from darkroom.cluster.template import read_objects
from darkroom.deploy.manifests import RenderedManifests
from jobs.catalogue import Catalogue
from tests.rendered import ROOT, rendering, two_runtimes

DIGEST = "registry.invalid/a@sha256:" + "0" * 64


def named(folder, kind):
    """Names of all objects of a kind below a folder."""
    objects = [each for path in folder.rglob("*.yaml") for each in read_objects(path)]
    return {
        each["metadata"]["name"]
        for each in objects
        if isinstance(each, dict) and each.get("kind") == kind
    }


def one_runtime():
    """As committed."""
    return Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text("utf-8"))


def test_a_second_runtime_is_one_entry(tmp_path):
    """Everything of it follows: Ray, a bridge and its scaling for each queue, dead letters."""
    one = rendering(catalogue=one_runtime()).write("dev", tmp_path / "one")
    two = rendering(catalogue=two_runtimes()).write("dev", tmp_path / "two")
    more = {kind: named(two, kind) - named(one, kind) for kind in KINDS}
    assert more == {
        "RayService": {"painter"},
        "Deployment": {"bridge-painter", "bridge-painter-batch"},
        "ScaledObject": {"bridge-painter", "bridge-painter-batch"},
        "CronJob": {"dead-letters-painter", "deep-sleep-painter"},
        "ConfigMap": named(two, "ConfigMap"),
    }


KINDS = ("RayService", "Deployment", "ScaledObject", "CronJob", "ConfigMap")


def test_another_catalogue_is_another_config_map(tmp_path):
    """Whoever mounts it is rolled; in place it would be read by new pods only."""
    one = rendering(catalogue=one_runtime()).write("dev", tmp_path / "one")
    two = rendering(catalogue=two_runtimes()).write("dev", tmp_path / "two")
    assert named(one, "ConfigMap").isdisjoint(named(two, "ConfigMap"))


def test_the_pods_read_the_catalogue_that_was_rendered(tmp_path):
    """Word for word the same runtimes."""
    folder = rendering().write("dev", tmp_path / "m")
    [config] = [
        each
        for each in read_objects(folder / "base/generated/runtimes.yaml")
        if each["kind"] == "ConfigMap"
    ]
    assert Catalogue.from_yaml(config["data"]["runtimes.yaml"]) == two_runtimes()


def scaled(folder, name):
    """The numbers of a ScaledObject."""
    [found] = [
        each["spec"]
        for each in read_objects(folder / "base/generated/runtimes.yaml")
        if each["kind"] == "ScaledObject" and each["metadata"]["name"] == name
    ]
    length = found["triggers"][0]["metadata"]["queueLength"]
    return (
        length,
        found["minReplicaCount"],
        found["maxReplicaCount"],
        found["cooldownPeriod"],
    )


def test_kedas_defaults_are_ten_none_five_and_five_minutes(tmp_path):
    """And each runtime may say otherwise."""
    folder = rendering().write("dev", tmp_path / "m")
    assert scaled(folder, "bridge-demo") == ("10", 0, 5, 300)
    assert scaled(folder, "bridge-painter") == ("10", 0, 3, 420)


def volume(folder):
    """The data volume of GPU nodes."""
    node_class = read_objects(folder / "base/node-classes.yaml")[0]
    return node_class["spec"]["blockDeviceMappings"][1]["ebs"]


def test_without_a_snapshot_nothing_speaks_of_one(tmp_path):
    """An empty id is one that EC2 does not know."""
    found = volume(rendering(snapshot=None).write("dev", tmp_path / "m"))
    assert not {"snapshotID", "volumeInitializationRate"} & set(found)
    assert found["encrypted"] is True


def test_a_volume_is_never_smaller_than_its_snapshot(tmp_path):
    """60 GiB at least, more if need be."""
    large = replace(rendering().snapshot, size_gib=100)
    found = volume(rendering(snapshot=large).write("dev", tmp_path / "m"))
    assert found["volumeSize"] == "100Gi"
    assert found["volumeInitializationRate"] == 300


def test_one_registry_serves_all_operators(tmp_path):
    """For clusters that pull from a mirror."""
    from_mirror_only(rendering(registry="mirror.invalid/x").write("dev", tmp_path / "m"))


def from_mirror_only(folder):
    """Of what operators' values say."""
    text = "".join(path.read_text() for path in sorted((folder / "operators").glob("*.yaml")))
    assert text.count("mirror.invalid/x") == 5
    assert not {"quay.io", "ghcr.io", "public.ecr.aws"} & set(text.replace("/", " ").split())


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path):
    """Only what was rendered before goes."""
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(NotRenderable, match="not ours"):
        rendering().write("dev", tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_what_is_no_longer_rendered_is_gone(tmp_path):
    """The second time as if it were the first."""
    rendering().write("dev", tmp_path / "m")
    folder = rendering(catalogue=one_runtime()).write("dev", tmp_path / "m")
    assert named(folder, "RayService") == {"demo"}


@pytest.mark.parametrize("wrong", ["test", "../base"])
def test_an_unknown_overlay_is_refused(wrong, tmp_path):
    """With those that there are."""
    with pytest.raises(NotRenderable, match="dev, prod"):
        rendering().write(wrong, tmp_path / "m")


def test_an_unknown_component_is_refused(tmp_path):
    """A typo would silently leave it out."""
    with pytest.raises(NotRenderable, match="deepsleep"):
        rendering(components=["deepsleep"]).write("dev", tmp_path / "m")


def test_a_component_that_an_overlay_has_is_not_there_twice(tmp_path):
    """Asked for again, it is the same."""
    monitored = tmp_path / "source"
    shutil.copytree(SOURCE, monitored)
    overlay = monitored / "overlays/prod/kustomization.yaml"
    overlay.write_text(f"{overlay.read_text()}components: [../../components/monitors]\n")
    folder = rendering(components=["monitors", "deep-sleep"]).write(
        "prod", tmp_path / "m", source=monitored
    )
    [choice] = read_objects(folder / "kustomization.yaml")
    assert choice["components"] == ["components/deep-sleep"]


@pytest.mark.parametrize(
    ("image", "moves"),
    [
        (DIGEST, False),
        ("registry.invalid:5000/a:1.2.3", False),
        ("registry.invalid/a:latest", True),
        ("registry.invalid/a:main", True),
        ("registry.invalid/a", True),
        ("registry.invalid:5000/a", True),
        ("", True),
    ],
)
def test_an_image_that_may_be_another_tomorrow_is_recognised(image, moves):
    """By its tag, or by having none."""
    assert floats(image) is moves


def images_file(tmp_path, **changed):
    """A file as `darkroom render` reads it."""
    path = tmp_path / "images.json"
    path.write_text(json.dumps(dict.fromkeys(NAMES, DIGEST) | changed))
    return path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ui": "registry.invalid/ui:latest"}, "tag that moves"),
        ({"ui": "registry.invalid/ui:1.0"}, "by its digest"),
        ({"page": DIGEST}, "must name"),
    ],
)
def test_production_takes_digests_of_all_images(changed, said, tmp_path):
    """And of no others."""
    with pytest.raises(NotRenderable, match=said):
        Images.from_file(images_file(tmp_path, **changed), digests_only=True)


def outputs_file(tmp_path):
    """What `terraform output -json` writes."""
    made = Installation.stand_in(one_runtime())
    cluster = {
        "name": made.name,
        "region": made.region,
        "karpenter_node_role": made.node_role,
        "private_cidrs": list(made.private_cidrs),
        "models_bucket": made.models_bucket,
        "interruption_queue": made.interruption_queue,
        "system_architecture": "arm64",
    }
    values = {"cluster": cluster, "app_config": made.app_config, "api_url": made.api_url}
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({name: {"value": value} for name, value in values.items()}))
    return path


def test_the_command_writes_and_says_what_to_run_next(tmp_path, capsys):
    """From Terraform's outputs and a file of images."""
    arguments = ["--outputs", outputs_file(tmp_path), "--images", images_file(tmp_path)]
    out = tmp_path / "rendered"
    arguments += ["--out", out, "--snapshot", "none", "--runtimes", ROOT / "runtimes.yaml"]
    assert run(["render", "prod", *map(str, arguments)]) == 0
    assert f"--server-side --field-manager darkroom -k {out}" in capsys.readouterr().out
    assert named(out, "RayService") == {"demo"}


def test_a_deploy_renders_with_the_registry_that_it_was_told(tmp_path):
    """What it applies is what the command would have written."""
    step = RenderedManifests(
        catalogue=one_runtime(),
        outputs=outputs_file(tmp_path),
        images=images_file(tmp_path),
        snapshot=lambda _: None,
        overlay="dev",
        folder=tmp_path / "rendered",
        registry="mirror.invalid/x",
    )
    step.apply()
    from_mirror_only(step.folder)


def with_a_model_at(path):
    """One runtime with one model more."""
    entries = yaml.safe_load((ROOT / "runtimes.yaml").read_text("utf-8"))
    models = entries["runtimes"]["demo"]["models"]
    models["other"] = models["demo"] | {"path": path}
    return Catalogue.model_validate(entries)


@pytest.mark.parametrize(("path", "mounted"), [("models/sdxl", True), ("models/demo", False)])
def test_a_deploy_mounts_the_bucket_where_a_model_is_in_no_image(path, mounted, tmp_path):
    """Else Serve would find no weights, and not get ready."""
    step = RenderedManifests(
        catalogue=with_a_model_at(path),
        outputs=outputs_file(tmp_path),
        images=images_file(tmp_path),
        snapshot=lambda _: None,
        overlay="dev",
        folder=tmp_path / "rendered",
    )
    step.apply()
    [choice] = read_objects(step.folder / "kustomization.yaml")
    assert ("components/models-volume" in choice.get("components", ())) is mounted


def test_the_mounted_bucket_has_weights_where_runtimes_yaml_says(whole):
    """`models/x` of the bucket is `models/x` below the root that Serve looks under."""
    [volume] = whole.of_kind("PersistentVolume")
    [prefix] = [
        each.removeprefix("prefix ")
        for each in volume["spec"]["mountOptions"]
        if each.startswith("prefix ")
    ]
    ray = whole.one("RayService", "demo")["spec"]["rayClusterConfig"]
    groups = [ray["headGroupSpec"], *ray["workerGroupSpecs"]]
    for container in [group["template"]["spec"]["containers"][0] for group in groups]:
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "models"]
        [root] = [e["value"] for e in container["env"] if e["name"] == "DARKROOM_MODELS_ROOT"]
        assert f"{mount['mountPath']}/" == f"{root}/{prefix}"


def test_a_runtime_that_terraform_does_not_know_is_refused(tmp_path):
    """Its queues would not be there."""
    behind = Installation.stand_in(one_runtime())
    ahead = Rendering(catalogue=two_runtimes(), installation=behind, images=Images.stand_ins())
    with pytest.raises(NotRenderable, match="painter"):
        ahead.write("dev", tmp_path / "m")


def test_a_file_that_is_no_output_of_terraform_is_refused(tmp_path):
    """With what it lacks."""
    path = tmp_path / "outputs.json"
    path.write_text("{}")
    with pytest.raises(NotRenderable, match="cluster"):
        Installation.from_outputs(path)
