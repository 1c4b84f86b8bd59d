"""Objects of Kubernetes's own kinds against its published schemas."""

from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate

from darkroom.cluster.finding import Finding

#: infra/terraform's kubernetes_version; a contract test holds them equal.
VERSION = "1.35"


def check(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """The first fault of one object."""
    try:
        kubernetes_validate.validate(dict(manifest), VERSION, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        kind = f"{manifest.get('apiVersion')} {manifest.get('kind')}"
        detail = f"neither Kubernetes {VERSION} nor any of our CRDs knows {kind}"
        yield Finding.of("unknown-kind", manifest, detail)
    except kubernetes_validate.ValidationError as fault:
        place = ".".join(map(str, fault.path))
        yield Finding.of("kubernetes-schema", manifest, f"{place}: {fault.message}")
