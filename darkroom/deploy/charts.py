"""`python -m darkroom.deploy.charts`: what Helm makes of our values, checked without a cluster."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from darkroom.cluster.builtin import VERSION
from darkroom.cluster.crds import Definitions, crd_dir
from darkroom.cluster.errors import ManifestsError
from darkroom.cluster.validate import schema_faults, variants
from darkroom.deploy.errors import DeployError, ProgramFailed
from darkroom.deploy.operators import OPERATORS, chart_of
from darkroom.deploy.program import HELM, Programs, find


def templated(programs: Programs, operator: str, chart: Path, values: Path) -> list[dict[str, Any]]:
    """The objects that Helm would install from a chart's folder."""
    wanted = chart_of(operator)
    arguments = [
        *("template", wanted.release, str(chart), "-n", wanted.namespace, "--skip-crds"),
        *("--kube-version", VERSION, "-f", str(values)),
    ]
    text = programs.run(HELM, arguments).output
    return [each for each in yaml.safe_load_all(text) if each]


def check(programs: Programs, definitions: Definitions, charts: Path) -> list[str]:
    """The faults of all operators' objects, by schemas alone: our own rules are for our own."""
    _, overlay, rendering = next(variants())  # an operator's values are those of no overlay
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        rendered = rendering.write(overlay, Path(folder) / "manifests")
        for operator in OPERATORS:
            values, chart = (
                rendered / f"operators/{operator}.yaml",
                charts / chart_of(operator).name,
            )
            try:
                found = schema_faults(templated(programs, operator, chart, values), definitions)
                faults += [f"{operator}: {each}" for each in found]
            except (ProgramFailed, yaml.YAMLError) as failed:
                faults.append(f"{operator}: {failed}")
    return faults


def main() -> int:
    """The process's exit status: 1 for a fault, 2 if there is a Helm and it could check nothing."""
    programs = Programs()
    if find(HELM).path is None:
        sys.stdout.write("no helm: its charts are not rendered\n")
        return 0
    with tempfile.TemporaryDirectory() as charts:
        try:
            for operator in OPERATORS:
                pulled = ["pull", *chart_of(operator).arguments(), "--untar", "-d", charts]
                programs.run(HELM, pulled)
            faults = check(programs, Definitions(crd_dir()), Path(charts))
        except (DeployError, ManifestsError) as error:
            sys.stderr.write(f"{error}\n")
            return 2
    sys.stdout.writelines(f"{each}\n" for each in faults)
    sys.stdout.write(f"charts: {len(faults)} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
