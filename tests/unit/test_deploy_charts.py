"""What Helm makes of our values goes through the validator of our own manifests."""

import os

import pytest
import yaml

from darkroom.cluster.crds import Definitions
from darkroom.deploy import charts
from darkroom.deploy.operators import OPERATORS, chart_of
from darkroom.deploy.program import Programs

ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "keda", "namespace": "keda"},
}


@pytest.fixture
def helm(tmp_path):
    """A helm that renders what it is given, and writes down what it was asked."""

    def make(objects, status=0):
        (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        program = tmp_path / "helm"
        program.write_text(
            "#!/bin/sh\n"
            'if [ "$1" = version ]; then echo v3.16.1; exit; fi\n'
            f'echo "$@" >>{tmp_path}/asked\n'
            f'if [ "$1" = template ]; then cat {tmp_path}/objects.yaml; exit {status}; fi\n'
        )
        program.chmod(0o755)
        return Programs(environ={"PATH": f"{tmp_path}:{os.environ['PATH']}"})

    return make


@pytest.fixture
def definitions(tmp_path):
    """None: of these objects all kinds are Kubernetes' own."""
    return Definitions(tmp_path / "crds")


def test_what_every_chart_renders_is_checked(tmp_path, helm, definitions):
    """Each at its release's name and place, for the Kubernetes that we install."""
    assert charts.check(helm([ACCOUNT]), definitions, tmp_path) == []
    asked = (tmp_path / "asked").read_text().splitlines()
    for operator, line in zip(OPERATORS, asked, strict=True):
        chart = chart_of(operator)
        begin = f"template {chart.release} {tmp_path}/{chart.name} -n {chart.namespace} "
        assert line.startswith(begin)
        assert f"/operators/{operator}.yaml" in line


def test_an_object_that_no_server_would_take_is_a_fault(tmp_path, helm, definitions):
    """A field that Kubernetes does not know, and a kind that nobody knows."""
    wrong = [ACCOUNT | {"secret": []}, {**ACCOUNT, "apiVersion": "example.org/v1", "kind": "Thing"}]
    faults = charts.check(helm(wrong), definitions, tmp_path)
    assert len(faults) == 2 * len(OPERATORS)
    assert sum("secret" in each for each in faults) == len(OPERATORS)
    assert sum("knows example.org/v1 Thing" in each for each in faults) == len(OPERATORS)


def test_values_that_a_chart_refuses_are_a_fault(tmp_path, helm, definitions):
    """Some have a schema of their own."""
    faults = charts.check(helm([], status=1), definitions, tmp_path)
    assert [each.partition(":")[0] for each in faults] == list(OPERATORS)


@pytest.mark.parametrize("objects", [[ACCOUNT], [ACCOUNT | {"secret": []}]])
def test_the_command_pulls_the_charts_and_tells_what_it_found(
    tmp_path, helm, objects, monkeypatch, capsys
):
    """Its status is 1 for a fault."""
    programs = helm(objects)
    monkeypatch.setenv("PATH", programs.environ["PATH"])
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds/none.yaml").write_text("")
    monkeypatch.setenv("CRD_DIR", str(tmp_path / "crds"))
    assert charts.main() == int(objects != [ACCOUNT])
    asked = (tmp_path / "asked").read_text()
    assert asked.count("pull ") == len(OPERATORS)
    faults = 0 if objects == [ACCOUNT] else len(OPERATORS)
    assert f"charts: {faults} faults" in capsys.readouterr().out


def test_without_helm_that_is_said(monkeypatch, tmp_path, capsys):
    """And is no fault: nothing but an installation needs it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert charts.main() == 0
    assert "no helm" in capsys.readouterr().out
