"""What a plan of Terraform comes to: how much it changes, and what is lost by it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from darkroom.deploy.errors import WouldDestroy

_DATA = ("aws_s3_bucket.", "aws_dynamodb_table.")
#: Without them nothing runs for half an hour, or what clients have put there is gone.
_GUARDED = ("aws_vpc.", "aws_eks_cluster.", "aws_eks_node_group.", *_DATA)
_HALF_MADE = "replace_because_tainted"


@dataclass(frozen=True, kw_only=True)
class Changes:
    """By address, where something goes."""

    added: int
    changed: int
    #: Made anew: the old one goes.
    replaced: Sequence[str]
    destroyed: Sequence[str]
    #: Of these, what only a person gives up.
    guarded: Sequence[str]

    @classmethod
    def of_plan(cls, plan: Mapping[str, Any]) -> Self:
        """From `terraform show -json` of a plan."""
        found = [
            (set(each["change"]["actions"]), each) for each in plan.get("resource_changes", ())
        ]
        going = [each for actions, each in found if "delete" in actions]
        return cls(
            added=sum(actions == {"create"} for actions, _ in found),
            changed=sum(actions == {"update"} for actions, _ in found),
            replaced=[
                each["address"] for actions, each in found if actions == {"create", "delete"}
            ],
            destroyed=[each["address"] for actions, each in found if actions == {"delete"}],
            guarded=[each["address"] for each in going if _is_guarded(each)],
        )

    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"Terraform: {self.added} to add, {self.changed} to change, "
            f"{len(self.replaced)} to replace, {len(self.destroyed)} to destroy"
        )
        for what, addresses in (("replaced", self.replaced), ("destroyed", self.destroyed)):
            if addresses:
                yield f"{what}: {', '.join(addresses)}"

    def check(self) -> None:
        """`WouldDestroy` if something goes that only a person gives up."""
        if self.guarded:
            raise WouldDestroy(
                "not applied: this plan deletes or replaces "
                f"{', '.join(self.guarded)}, and what is in it. If no option is missing and that "
                "is meant, run this again with --allow-destroy"
            )


def _is_guarded(change: Mapping[str, Any]) -> bool:
    address = change["address"]
    # Terraform had not ended making it: nothing runs in it yet. Of data that is not so sure.
    half_made = change.get("action_reason") == _HALF_MADE and not address.startswith(_DATA)
    return address.startswith(_GUARDED) and not half_made
