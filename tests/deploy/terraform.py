"""Terraform as the tests run it: a copy of the module, the emulator's address, one state."""

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from darkroom.emulator import REGION, addressed, without_aws
from darkroom.ports import HOST

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "infra/terraform"
#: Finds a mirror of the provider on a machine that cannot download it.
MIRROR = ROOT.parent / "shared/terraform-mirror"
#: Seconds for one call. An API that the emulator lacks looks like an endless retry.
LIMIT_S = 600
#: Garbage is collected when the heap has grown fivefold, not twofold: a fifth less time, 500 MB
#: instead of 300. Most of it is the provider's schema, which stays.
COLLECT_RARELY = {"GOGC": "400"}


def aws_environ(address: str) -> dict[str, str]:
    """The variables by which a process finds the emulator, and nobody's real account."""
    return {**without_aws(), **addressed(address), "NO_PROXY": HOST}


@functools.cache
def cli_config() -> dict[str, str]:
    """Where `terraform init` finds the provider; empty: in the registry."""
    found = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    configured = Path(os.environ.get("TF_CLI_CONFIG_FILE", "")).is_file()
    if not configured and MIRROR.exists():
        mirror = subprocess.run([MIRROR], capture_output=True, text=True, check=False)
        if mirror.returncode == 0:
            found["TF_CLI_CONFIG_FILE"] = mirror.stdout.strip()
    return found


class TerraformFailed(AssertionError):
    """A call that did not go through, with what it said."""


@dataclass(frozen=True, kw_only=True)
class Terraform:
    """A copy of the module in a folder of its own, with its variables."""

    folder: Path
    environ: dict[str, str]

    @classmethod
    def copied(cls, parent: Path, environ: dict[str, str], **variables: object) -> "Terraform":
        """A copy below `parent`; the module finds the repository's data files from there."""
        folder = parent / "infra/terraform"
        shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns(".terraform*"))
        (parent / "records").symlink_to(ROOT / "records")
        (parent / "runtimes.yaml").symlink_to(ROOT / "runtimes.yaml")
        if variables:
            # Read by itself, by every command.
            (folder / "test.auto.tfvars.json").write_text(json.dumps(variables))
        return cls(folder=folder, environ=environ | cli_config() | COLLECT_RARELY)

    def twin(self, parent: Path) -> "Terraform":
        """Another copy, with the provider that this one has found."""
        made = Terraform.copied(parent, self.environ)
        for found in self.folder.glob(".terraform*"):
            (made.folder / found.name).symlink_to(found)
        return made

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> str:
        """What a command prints."""
        done = subprocess.run(
            ["timeout", "-s", "INT", str(LIMIT_S), "terraform", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in expected:
            said = (done.stdout + done.stderr)[-6000:]
            raise TerraformFailed(f"terraform {' '.join(arguments)}: {done.returncode}\n{said}")
        return done.stdout + (done.stderr if expected != (0,) else "")

    def init(self, *, bucket: str | None, key: str = "darkroom") -> None:
        """Get the provider; the state goes to `bucket`, or nowhere."""
        if bucket is None:
            self.run("init", "-no-color", "-input=false", "-backend=false")
            return
        settings = {"bucket": bucket, "key": key, "region": REGION, "use_path_style": "true"}
        configured = [f"-backend-config={name}={value}" for name, value in settings.items()]
        self.run("init", "-no-color", "-input=false", *configured)

    def apply(self) -> None:
        """Make everything."""
        self.run("apply", "-no-color", "-input=false", "-auto-approve", "-parallelism=30")

    def destroy(self) -> None:
        """Remove everything."""
        self.run("destroy", "-no-color", "-input=false", "-auto-approve", "-parallelism=30")

    def plan(self, *arguments: str) -> dict[str, object]:
        """What an apply would do now."""
        self.run(
            "plan", "-no-color", "-input=false", "-parallelism=30", "-out=plan.bin", *arguments
        )
        return json.loads(self.run("show", "-json", "plan.bin"))

    def state(self) -> dict[str, object]:
        """What Terraform knows of all that it made."""
        return json.loads(self.run("state", "pull"))

    def outputs(self) -> dict[str, object]:
        """The outputs' values."""
        found = json.loads(self.run("output", "-json"))
        return {name: output["value"] for name, output in found.items()}
