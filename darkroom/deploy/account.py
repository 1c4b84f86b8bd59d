"""Whose account it is, and by whose name we act in it."""

from dataclasses import dataclass
from typing import Any

from records.errors import translated


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account that the credentials open."""

    id: str
    #: Who we are there.
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, or `aws-cn` in China."""
        return self.arn.split(":")[1]


#: Who an emulated account is.
NOBODY = Account(id="000000000000", arn="arn:aws:iam::000000000000:root")


def identify(sts: Any) -> Account:
    """Ask AWS who we are; `Unavailable` if it knows nobody."""
    with translated("no credentials that AWS takes (STS GetCallerIdentity)"):
        answer = sts.get_caller_identity()
    return Account(id=answer["Account"], arn=answer["Arn"])
