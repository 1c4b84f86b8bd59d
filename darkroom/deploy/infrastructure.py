"""Everything in AWS that Terraform makes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.deploy.adoption import Adoption
from darkroom.deploy.changes import Changes
from darkroom.deploy.errors import ProgramFailed
from darkroom.deploy.step import Standing
from darkroom.deploy.strays import told
from darkroom.deploy.terraform import Terraform, unknown_to_state

#: What clients have put there: it outlives the installation unless somebody says otherwise.
DATA = ("aws_s3_bucket", "aws_dynamodb_table")
#: What cannot be deleted as it is, full or protected.
PROTECTED = (
    "aws_ecr_repository.", "aws_secretsmanager_secret.", "aws_s3_bucket.", "aws_dynamodb_table.",
)  # fmt: skip
_DISPOSABLE = "-var=disposable=true"


@dataclass(frozen=True, kw_only=True)
class Infrastructure:
    """One apply of infra/terraform; its outputs are written down for the steps that follow."""

    terraform: Terraform
    connect: Callable[[str], Any]
    installation: str
    outputs: Path
    #: Makes the Lambda's zip if it is not there.
    package: Callable[[], object]
    say: Callable[[str], None]
    #: Writes down what it is made with, for whoever removes it.
    remember: Callable[[], object] = lambda: None
    #: A lock that a person says nobody holds.
    unlock: str | None = None
    #: Whether what is there and unknown to the state may be taken over.
    adopt: bool = False
    delete_data: bool = False
    #: Whether a plan may take away what only a person gives up.
    allow_destroy: bool = False

    name = "AWS resources (Terraform)"
    takes = "15 to 25 minutes the first time"

    def check(self) -> Standing:
        """Plan, and say what `apply` will change; `WouldDestroy` if that is too much."""
        self._begin()
        if self.terraform.plan():
            self._judge(self.terraform)
            return Standing(done=False)
        self.remember()
        self._finish()
        return Standing(done=True, says="as planned")

    def apply(self) -> None:
        """Apply the plan of `check`."""
        self.remember()
        try:
            self.terraform.apply()
        except ProgramFailed as failed:
            found = unknown_to_state(str(failed))
            if not found:
                if "RouteAlreadyExists" in str(failed):
                    # A gateway endpoint has no name; one of a killed Terraform keeps its place.
                    self._tell_strays()
                raise
            if not self.adopt:
                raise ProgramFailed(
                    "There already, and unknown to the state:\n"
                    + "".join(f"  {address}\n" for address in found)
                    + "A Terraform that was killed may have made them and not written it down. "
                    "If they are this installation's, run this again with --adopt"
                ) from failed
            self._take_over(found)
        self._finish()

    def undo(self) -> None:
        """Destroy all but the data; what the state does not know is left to the steps after it."""
        self._begin()
        there = self.terraform.addresses()
        kept = [each for each in there if each.startswith(DATA) and not self.delete_data]
        # What is only read is no target: everything that has read it would go with it.
        going = [each for each in there if each not in kept and not each.startswith("data.")]
        loose = [each for each in going if each.startswith(PROTECTED)]
        # Only what is there: to aim at what is not would make it.
        if loose and self.terraform.plan(_DISPOSABLE, *_targets(loose)):
            self.terraform.apply()
        # Without a target Terraform would take all, the data too.
        if going or not kept:
            self._destroy(_targets(going) if kept else [])

    def _begin(self) -> None:
        self.package()
        self.terraform.init()
        if self.unlock:
            self.terraform.unlock(self.unlock)

    def _judge(self, terraform: Terraform) -> None:
        changes = Changes.of_plan(terraform.planned())
        for line in changes.lines():
            self.say(line)
        if not self.allow_destroy:
            changes.check()

    def _destroy(self, targets: list[str]) -> None:
        """The data stay in the state, so that a later `deploy` goes on with them."""
        self.terraform.plan("-destroy", _DISPOSABLE, *targets)
        lost = [
            each["address"]
            for each in self.terraform.planned().get("resource_changes", ())
            if "delete" in each["change"]["actions"] and each["address"].startswith(DATA)
        ]
        # A target takes along what depends on it.
        if lost and not self.delete_data:
            raise ProgramFailed(f"nothing was destroyed: {', '.join(lost)} would go, too")
        self.terraform.apply()

    def _take_over(self, found: list[str]) -> None:
        terraform = self.terraform.linked()
        blocks = terraform.module / "adopted.tf.json"
        adopted: dict[str, str] = {}
        while found:
            more = Adoption.of(found, terraform.planned(), self.connect).ids
            if not more.keys() - adopted.keys():
                raise ProgramFailed(f"could not take over {', '.join(more)}")
            adopted |= more
            blocks.write_text(Adoption(ids=adopted).blocks(), "utf-8")
            terraform.plan()
            self._judge(terraform)
            try:
                terraform.apply()
                found = []
            except ProgramFailed as failed:
                # Terraform stops at the first names that are taken; there may be others.
                found = unknown_to_state(str(failed))
                if not found:
                    raise

    def _finish(self) -> None:
        self._write_outputs()
        # A lock that nobody held, or things that nobody wrote down: something was killed here.
        if self.unlock or self.adopt:
            self._tell_strays()

    def _tell_strays(self) -> None:
        if strays := told(self.connect, self.installation, self.terraform.known()):
            self.say(strays)

    def _write_outputs(self) -> None:
        self.outputs.parent.mkdir(parents=True, exist_ok=True)
        self.outputs.write_text(self.terraform.outputs(), "utf-8")


def _targets(addresses: list[str]) -> list[str]:
    return [f"-target={each}" for each in addresses]
