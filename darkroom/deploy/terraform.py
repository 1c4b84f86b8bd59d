"""Terraform: told to stop once and gently, its lock explained and never broken silently."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from darkroom.deploy.errors import ProgramFailed, StateLocked
from darkroom.deploy.program import TERRAFORM, Answer, Programs

#: Seconds. A cluster takes ten minutes, its nodes and add-ons ten more; to be told to stop,
#: Terraform waits for whatever AWS is making at that moment.
_APPLY_S, _STOP_S = 3600, 900
_PARALLEL = "-parallelism=30"
_LOCKED = "Error acquiring the state lock"
_NO_STATE = "No state file was found"
_LOCK_LINE = re.compile(r"^[\s│]*(ID|Operation|Who|Created):\s+(.*?)\s*$", re.MULTILINE)
#: A route that is there is somebody's endpoint, or a killed Terraform's: it has no name to take
#: over by, and `strays` tells of the latter.
_EXISTS = re.compile(
    r"(?<!Route)already ?exists|AlreadyOwnedByYou|ResourceInUse|ResourceConflict", re.I
)
#: What the module reads beside itself, two folders up.
BESIDE = ("build", "records", "runtimes.yaml")
_ADDRESS = re.compile(r"^[\s│]*with ([^\s,]+),", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Where the state is."""

    bucket: str
    key: str
    region: str
    #: For an emulator, which has one host name for all buckets.
    path_style: bool = False

    def arguments(self) -> list[str]:
        """For `terraform init`."""
        settings = {"bucket": self.bucket, "key": self.key, "region": self.region}
        if self.path_style:
            settings["use_path_style"] = "true"
        return [f"-backend-config={name}={value}" for name, value in settings.items()]


@dataclass(frozen=True, kw_only=True)
class Terraform:
    """One root module with one state. Its own files lie in `home`, none beside the module."""

    programs: Programs
    module: Path
    home: Path
    backend: Backend
    var_files: Sequence[Path] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    def init(self) -> None:
        """Get the provider, find the state."""
        self._run("init", "-reconfigure", *self.backend.arguments(), limit_s=900)

    def plan(self, *more: str) -> bool:
        """Write down what is to be done; whether there is anything."""
        wanted = ["-detailed-exitcode", f"-out={self._plan}", _PARALLEL, *self._variables(), *more]
        return self._run("plan", *wanted, limit_s=_APPLY_S, expected=(0, 2)).status == 2

    def apply(self) -> None:
        """Do what was planned, and nothing else."""
        self._run("apply", _PARALLEL, str(self._plan), limit_s=_APPLY_S)

    def planned(self) -> dict[str, Any]:
        """The plan, as `terraform show -json` tells it."""
        found: dict[str, Any] = json.loads(
            self._run("show", "-json", str(self._plan), private=True).output
        )
        return found

    def outputs(self) -> str:
        """`terraform output -json`, as text."""
        return self._run("output", "-json", private=True).output

    def addresses(self) -> list[str]:
        """What the state knows; nothing if there is no state."""
        try:
            return self._run("state", "list").output.splitlines()
        except ProgramFailed as failed:
            # Nothing else may pass for it: what is not known would not be kept from destruction.
            if _NO_STATE in str(failed):
                return []
            raise

    def known(self) -> set[str]:
        """Every word of the state that may be an id or an ARN of what it knows."""
        found = json.loads(self._run("show", "-json", private=True).output)
        resources = found.get("values", {}).get("root_module", {}).get("resources", ())
        return {
            word for each in resources for word in each["values"].values() if isinstance(word, str)
        }

    def unlock(self, lock: str) -> None:
        """Break the lock of that id: a person has said that nobody holds it any more."""
        self._run("force-unlock", "-force", lock)

    def linked(self) -> Self:
        """The same module by links in a folder of `home`, for files that only this one has.

        Beside the module such a file would be read by every other deployment from this checkout.
        The folder stays: a Terraform that was told to stop may still be at work in it.
        """
        root = self.home.resolve() / "linked"
        folder = root / "infra/terraform"
        if root.exists():
            shutil.rmtree(root)
        folder.mkdir(parents=True)
        module = self.module.resolve()
        beside = [each for name in BESIDE if (each := module.parents[1] / name).exists()]
        for each in beside:
            (root / each.name).symlink_to(each)
        for each in module.iterdir():
            (folder / each.name).symlink_to(each)
        return replace(self, module=folder)

    @property
    def _plan(self) -> Path:
        return self.home.resolve() / "plan.bin"

    def _variables(self) -> list[str]:
        return [f"-var-file={path}" for path in self.var_files]

    def _run(
        self,
        verb: str,
        *arguments: str,
        limit_s: float = 300,
        expected: tuple[int, ...] = (0,),
        private: bool = False,
    ) -> Answer:
        own = {
            # The module's folder may be read-only, and may serve several installations.
            "TF_DATA_DIR": str(self.home.resolve() / "terraform"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **self.environ,
        }
        inputs = ["-input=false"] if verb in ("init", "plan", "apply") else []
        color = ["-no-color"] if verb not in ("force-unlock", "state") else []
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            return self.programs.run(
                TERRAFORM,
                [verb, *color, *inputs, *arguments],
                within=self.module,
                limit_s=limit_s,
                grace_s=_STOP_S,
                environ=own,
                expected=expected,
                private=private,
            )
        except ProgramFailed as failed:
            if _LOCKED in str(failed):
                raise StateLocked(explained(str(failed))) from failed
            raise


def explained(said: str) -> str:
    """What a lock means, from Terraform's own words about it."""
    lock = {name.lower(): value for name, value in _LOCK_LINE.findall(said)}
    return (
        f"The state is locked: {lock.get('who', 'somebody')} began "
        f"{lock.get('operation', 'something').removeprefix('OperationType')} at "
        f"{lock.get('created', 'a time unknown')}.\n"
        "If that Terraform still runs, wait for it: two at once would each undo the other's work.\n"
        "If it was killed, nobody holds the lock any more. Look for it on its machine first; then "
        f"run this again with --unlock {lock.get('id', 'ID')}"
    )


def unknown_to_state(said: str) -> list[str]:
    """Addresses of what Terraform wanted to make and found there: a killed apply's, perhaps."""
    found = []
    for block in said.split("Error: ")[1:]:
        if _EXISTS.search(block) and (address := _ADDRESS.search(block)):
            found.append(address[1])
    return found
