"""What the cluster is to run, rendered from the outputs of the stack that was applied."""

import json
from dataclasses import replace
from pathlib import Path

from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.cluster.render import Rendering
from darkroom.cluster.template import read_objects
from jobs.catalogue import Catalogue


def test_the_manifests_follow_from_the_outputs(applied, variables, tmp_path):
    """From the file that `terraform output -json` writes, for both runtimes, whole."""
    outputs = tmp_path / "outputs.json"
    outputs.write_text(
        json.dumps({name: {"value": each} for name, each in applied.outputs.items()})
    )
    catalogue = Catalogue.from_yaml(Path(variables["runtimes_file"]).read_text())
    rendering = Rendering(
        catalogue=catalogue,
        installation=Installation.from_outputs(outputs),
        images=Images.stand_ins(),
    )
    folder = rendering.write("dev", tmp_path / "manifests")
    queues = {
        each["spec"]["triggers"][0]["metadata"]["queueURL"]
        for each in read_objects(folder / "base/generated/runtimes.yaml")
        if each["kind"] == "ScaledObject"
    }
    opened = read_objects(folder / "components/exposed/generated/services.yaml")
    assert {each["spec"]["ports"][0]["nodePort"] for each in opened} == {
        made["port"] for made in applied.of_type("aws_lb_target_group").values()
    }
    made = applied.emulator.client("sqs").list_queues()["QueueUrls"]
    assert len(queues) == 4
    assert queues <= set(made)


def test_what_stands_in_for_terraform_is_shaped_like_its_outputs(applied, variables, tmp_path):
    """`make manifests` checks what an installation would really get."""
    outputs = tmp_path / "outputs.json"
    outputs.write_text(
        json.dumps({name: {"value": each} for name, each in applied.outputs.items()})
    )
    catalogue = Catalogue.from_yaml(Path(variables["runtimes_file"]).read_text())
    real, stand_in = Installation.from_outputs(outputs), Installation.stand_in(catalogue)
    assert replace(real, app_config={}) != replace(stand_in, app_config={})
    assert {group: set(names) for group, names in real.app_config.items()} == {
        group: set(names) for group, names in stand_in.app_config.items()
    }
