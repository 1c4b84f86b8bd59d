"""The add-ons of EKS that Terraform pins, and whether EKS offers these versions in the region."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from darkroom.deploy.quota import Finding
from darkroom.deploy.snapshot_step import kubernetes_version
from darkroom.deploy.wanted import MODULE
from records.errors import RecordsError, translated

_BLOCK = re.compile(r'variable "addon_versions" \{.*?default\s+= \{(.*?)\}', re.DOTALL)
_PIN = re.compile(r'([\w-]+)\s+= "(v[\w.-]+)"')


def pinned(module: Path = MODULE) -> Mapping[str, str]:
    """Add-on -> version, as variables.tf has them."""
    found = _BLOCK.search((module / "variables.tf").read_text("utf-8"))
    assert found is not None  # a test reads it
    return dict(_PIN.findall(found[1]))


def judged_addons(eks: Any) -> Iterator[Finding]:
    """What Terraform would be refused, a quarter of an hour after it has begun to cost."""
    kubernetes, unread = kubernetes_version(), {}
    for addon, version in pinned().items():
        try:
            offered = _offered(eks, addon, kubernetes)
        except RecordsError as error:
            unread[addon] = str(error)
            continue
        if version not in offered:
            usual = next((each for each, is_default in offered.items() if is_default), "none")
            yield Finding(
                fatal=True,
                text=f"EKS offers no {addon} {version} for Kubernetes {kubernetes}; its usual one "
                f"is {usual}: write that at addon_versions in infra/terraform/variables.tf",
            )
    if unread:
        names, reason = ", ".join(unread), next(iter(unread.values()))
        yield Finding(
            fatal=False, text=f"versions of EKS's add-ons not readable: {names} ({reason})"
        )


def _offered(eks: Any, addon: str, kubernetes: str) -> dict[str, bool]:
    """Version -> whether it is the usual one of that Kubernetes."""
    with translated("EKS DescribeAddonVersions"):
        pages = eks.get_paginator("describe_addon_versions").paginate(
            addonName=addon, kubernetesVersion=kubernetes
        )
        return {
            version["addonVersion"]: any(
                each.get("clusterVersion") == kubernetes and each.get("defaultVersion", False)
                for each in version.get("compatibilities", ())
            )
            for page in pages
            for found in page["addons"]
            for version in found["addonVersions"]
        }
