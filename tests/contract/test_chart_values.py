"""Every value that manifests/operators sets is one that the pinned chart has."""

import os
import re
from pathlib import Path

import pytest
import yaml

from darkroom.cluster.crd_files import pinned
from darkroom.deploy.operators import OPERATORS, chart_of

ROOT = Path(__file__).resolve().parents[2]
#: Folders `<chart>-<version>` with the chart's values.yaml.
CHARTS = Path(os.environ.get("CHARTS_DIR") or ROOT.parent / "shared/charts")
#: Set by us and read by the chart's templates, but in its values.yaml only as a comment.
COMMENTED = {
    "kuberay": {
        ("watchNamespace",),
        ("resources", "requests", "cpu"),
        ("resources", "requests", "memory"),
    },
}


def values_file(chart, version):
    """The chart's values, of this version or of its minor one; a skip where there are none."""
    names = (f"{chart}-{version}", f"{chart}-{version.rpartition('.')[0]}")
    for name in names:
        if (path := CHARTS / name / "values.yaml").exists():
            return path
    pytest.skip(f"shared: no values.yaml of {chart} {version} in CHARTS_DIR")


def paths(values, before=()):
    """Every leaf's path."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from paths(value, (*before, key))
        else:
            yield (*before, key)


def has(values, path):
    """Whether the chart knows the path: as a key, or below a map of which any key is the user's."""
    for key in path:
        if not isinstance(values, dict):
            return False
        if key not in values:
            return values == {}
        values = values[key]
        if key == "nodeSelector":
            return True
    return True


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_value_that_we_set_is_one_of_the_chart(operator):
    """A value under another name is silently ignored by Helm."""
    chart = chart_of(operator)
    text = values_file(chart.name, chart.version).read_text()
    theirs = yaml.safe_load(text)
    ours = yaml.safe_load((ROOT / f"manifests/operators/{operator}.yaml").read_text())
    unknown = {path for path in paths(ours) if not has(theirs, path)}
    assert unknown <= COMMENTED.get(operator, set())
    for path in unknown:
        assert re.search(rf"^ *# *{path[-1]}:", text, flags=re.MULTILINE), path


def test_a_value_under_a_wrong_name_would_be_found():
    """The check is no rubber stamp."""
    theirs = {"image": {"tag": ""}, "nodeSelector": {}, "replicas": 2}
    assert has(theirs, ("image", "tag"))
    assert has(theirs, ("nodeSelector", "darkroom/nodes"))
    assert not has(theirs, ("image", "tagg"))
    assert not has(theirs, ("replica",))
    assert not has(theirs, ("replicas", "count"))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_chart_and_its_version_are_those_that_the_values_file_tells_people(operator):
    """Its head has the command to install it by hand."""
    head = (ROOT / f"manifests/operators/{operator}.yaml").read_text()[:400]
    chart = chart_of(operator)
    assert re.search(rf"--version {re.escape(chart.version)}\b", head)
    assert chart.source.rstrip("/") in head
    assert f"-n {chart.namespace}" in head


def test_the_definitions_are_of_the_releases_that_are_installed():
    """What we check against is what will be there."""
    releases = {name.partition("/")[0] for name in pinned()}
    versions = {each.partition("-")[0]: each.rpartition("-v")[2] for each in releases}
    assert versions == {operator: chart_of(operator).version for operator in OPERATORS}
