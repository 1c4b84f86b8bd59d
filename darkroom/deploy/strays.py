"""What carries the installation's tag although the state does not know it: made twice, perhaps.

A NAT gateway's id reaches the state only when it works, minutes after it was made. If Terraform was
killed meanwhile, the next one makes another, and nothing refuses it: it has no name.
"""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from darkroom.deploy.leftovers import tagged
from records.errors import RecordsError

#: Kinds that Terraform alone makes for us, and AWS takes as often as one likes.
_NAMELESS = re.compile(
    r":(natgateway|elastic-ip|vpc|subnet|internet-gateway|route-table|vpc-endpoint|vpc-flow-log)/"
    r"|:kms:.*:key/|::/(restapis|usageplans)/[^/]+$"
)


def strays(arns: Iterable[str], known: Collection[str]) -> list[str]:
    """Those that the state knows neither by ARN nor by id."""
    return sorted(
        arn
        for arn in arns
        if _NAMELESS.search(arn) and arn not in known and arn.rpartition("/")[2] not in known
    )


def told(connect: Callable[[str], Any], installation: str, known: Collection[str]) -> str | None:
    """What a person should look at; `None` if there is nothing."""
    try:
        found = strays(tagged(connect("resourcegroupstaggingapi"), installation), known)
    except RecordsError as error:
        return f"whether something was made twice is not readable ({error})"
    if not found:
        return None
    return (
        "This installation's by their tag, and unknown to the state:\n"
        + "".join(f"  {arn}\n" for arn in found)
        + "A Terraform that was killed may have made them, and this one others in their place. "
        "They cost on, a NAT gateway 36 USD a month: delete them in the AWS console. What was "
        "deleted today may still be listed, a key for a week"
    )
