"""What an installation was deployed with, beside its state: later commands need not be told."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from darkroom.deploy.options import Options
from darkroom.deploy.wanted import Wanted
from records.errors import MISSING, ObjectMissing, translated

_KEY = "deployed-with.json"


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """What is known of an installation that is there."""

    wanted: Wanted
    #: None: nobody has written it down.
    runtimes: Collection[str] | None
    #: Whether anything was written down; else `wanted` is as it was asked.
    known: bool
    #: What it was told; None: nobody has written it down.
    options: Options | None = None


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One object in the state's bucket. A file of this machine would be unknown to others."""

    s3: Any
    bucket: str

    def keep(self, wanted: Wanted, runtimes: Collection[str]) -> None:
        """Before Terraform changes anything: a removal may follow whatever becomes of it.

        Options as a person said them, and variables as Terraform was told: a removal needs these,
        and reads no VPC again.
        """
        document = {
            "overlay": wanted.overlay,
            "options": wanted.options.values,
            "variables": wanted.variables(),
            "runtimes": sorted(runtimes),
        }
        with translated(f"S3 PutObject {_KEY}"):
            self.s3.put_object(Bucket=self.bucket, Key=_KEY, Body=json.dumps(document).encode())

    def recall(self, wanted: Wanted) -> Recalled:
        """`wanted` as it was deployed; as it is, if Terraform has never begun."""
        try:
            with translated(f"S3 GetObject {_KEY}", missing=MISSING | {"NoSuchBucket"}):
                text = self.s3.get_object(Bucket=self.bucket, Key=_KEY)["Body"].read()
        except ObjectMissing:
            return Recalled(wanted=wanted, runtimes=None, known=False)
        found = json.loads(text)
        deployed = replace(wanted, overlay=found["overlay"], extra=found["variables"])
        options = found.get("options")
        return Recalled(
            wanted=deployed,
            runtimes=found.get("runtimes"),
            known=True,
            options=None if options is None else Options.given(**options),
        )
