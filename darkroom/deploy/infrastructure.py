"""Everything in AWS that Terraform makes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.deploy.adoption import Adoption
from darkroom.deploy.errors import ProgramFailed
from darkroom.deploy.step import Standing
from darkroom.deploy.terraform import Terraform, unknown_to_state

#: What clients have put there: it outlives the installation unless somebody says otherwise.
DATA = ("aws_s3_bucket", "aws_dynamodb_table")
#: What cannot be deleted as it is, full or protected; images and secrets are no data.
PROTECTED = ("aws_ecr_repository.", "aws_secretsmanager_secret.")
_DISPOSABLE = "-var=disposable=true"


@dataclass(frozen=True, kw_only=True)
class Infrastructure:
    """One apply of infra/terraform; its outputs are written down for the steps that follow."""

    terraform: Terraform
    secrets: Any
    outputs: Path
    #: Makes the Lambda's zip if it is not there.
    package: Callable[[], object]
    #: A lock that a person says nobody holds.
    unlock: str | None = None
    #: Whether what is there and unknown to the state may be taken over.
    adopt: bool = False
    delete_data: bool = False

    name = "AWS resources (Terraform)"
    takes = "15 to 25 minutes the first time"

    def check(self) -> Standing:
        """Plan: what is found different is what `apply` will change."""
        self.package()
        self.terraform.init()
        if self.unlock:
            self.terraform.unlock(self.unlock)
        if self.terraform.plan():
            return Standing(done=False)
        self._write_outputs()
        return Standing(done=True, says="as planned")

    def apply(self) -> None:
        """Apply the plan of `check`."""
        try:
            self.terraform.apply()
        except ProgramFailed as failed:
            found = unknown_to_state(str(failed))
            if not found:
                raise
            if not self.adopt:
                raise ProgramFailed(
                    "There already, and unknown to the state:\n"
                    + "".join(f"  {address}\n" for address in found)
                    + "A Terraform that was killed may have made them and not written it down. "
                    "If they are this installation's, run this again with --adopt"
                ) from failed
            self._take_over(found)
        self._write_outputs()

    def undo(self) -> None:
        """Destroy; what the state does not know is left to the steps after this one."""
        self.package()
        self.terraform.init()
        if self.unlock:
            self.terraform.unlock(self.unlock)
        there = self.terraform.addresses()
        data = [each for each in there if each.startswith(DATA)]
        loose = [each for each in there if each.startswith(PROTECTED)]
        loose += [each for each in data if "." in each and each.partition(".")[0] in DATA]
        if not self.delete_data:
            loose = [each for each in loose if each not in data]
        # Only what is there: to aim at what is not would make it.
        if loose and self.terraform.plan(_DISPOSABLE, *(f"-target={each}" for each in loose)):
            self.terraform.apply()
        if data and not self.delete_data:
            self.terraform.forget(data)
        self.terraform.destroy(_DISPOSABLE)

    def _take_over(self, found: list[str]) -> None:
        blocks = self.terraform.module / "adopted.tf.json"
        adopted: dict[str, str] = {}
        try:
            while found:
                more = Adoption.of(found, self.terraform.planned(), self.secrets).ids
                if not more.keys() - adopted.keys():
                    raise ProgramFailed(f"could not take over {', '.join(more)}")
                adopted |= more
                blocks.write_text(Adoption(ids=adopted).blocks(), "utf-8")
                self.terraform.plan()
                try:
                    self.terraform.apply()
                    found = []
                except ProgramFailed as failed:
                    # Terraform stops at the first names that are taken; there may be others.
                    found = unknown_to_state(str(failed))
                    if not found:
                        raise
        finally:
            blocks.unlink(missing_ok=True)

    def _write_outputs(self) -> None:
        self.outputs.parent.mkdir(parents=True, exist_ok=True)
        self.outputs.write_text(self.terraform.outputs(), "utf-8")
