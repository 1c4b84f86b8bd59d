"""Whether a pod may run on a node that is not there yet, by the words of the pool that makes it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from darkroom.deploy.wanted import ROOT
from darkroom.names import GPU

#: Labels that every node has, with values that a pool does not say.
_ON_ALL = (
    "karpenter.k8s.aws/", "topology.kubernetes.io/", "topology.k8s.aws/",
    "node.kubernetes.io/instance-type", "kubernetes.io/hostname",
)  # fmt: skip
#: Operator -> whether one of the values that a label may have satisfies it.
_SATISFIED: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "In": lambda value, given: value in given,
    "NotIn": lambda value, given: value not in given,
    "Exists": lambda value, given: True,
    "Gt": lambda value, given: int(value) > int(given[0]),
    "Lt": lambda value, given: int(value) < int(given[0]),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A kind of node: its taints, and what each of its labels may be."""

    #: None: there is such a label, with a value that is not known.
    labels: Mapping[str, frozenset[str] | None]
    taints: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, pool: Mapping[str, Any]) -> Self:
        """The nodes of a NodePool, as its manifest has it."""
        template = pool["spec"]["template"]
        labels: dict[str, frozenset[str] | None] = {
            "kubernetes.io/os": frozenset({"linux"}),
            "karpenter.sh/nodepool": frozenset({pool["metadata"]["name"]}),
        }
        for name, value in template.get("metadata", {}).get("labels", {}).items():
            labels[name] = frozenset({value})
        for each in template["spec"].get("requirements", ()):
            labels[each["key"]] = frozenset(each["values"]) if each["operator"] == "In" else None
        return cls(labels=labels, taints=template["spec"].get("taints", ()))

    def may_take(self, pod: Mapping[str, Any]) -> bool:
        """Whether a pod of this spec can come to one of these nodes at all."""
        tolerations = pod.get("tolerations") or ()
        if not all(any(_tolerates(one, taint) for one in tolerations) for taint in self.taints):
            return False
        selected = [
            {"key": key, "operator": "In", "values": [value]}
            for key, value in (pod.get("nodeSelector") or {}).items()
        ]
        if not all(map(self._fits, selected)):
            return False
        affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
        required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        # One term is enough, and it wants all of its expressions.
        return required is None or any(
            all(map(self._fits, term.get("matchExpressions") or ()))
            for term in required["nodeSelectorTerms"]
        )

    def _fits(self, expression: Mapping[str, Any]) -> bool:
        key, operator = expression["key"], expression["operator"]
        there = key in self.labels or key.startswith(_ON_ALL)
        if operator == "DoesNotExist":
            return not there
        if not there:
            return bool(operator == "NotIn")
        possible = self.labels.get(key)
        given = expression.get("values") or ()
        return possible is None or any(_SATISFIED[operator](each, given) for each in possible)


def gpu_places(manifests: Path = ROOT / "manifests") -> list[Place]:
    """The kinds of GPU nodes that our NodePools make."""
    pools: Iterable[dict[str, Any]] = yaml.safe_load_all(
        (manifests / "base/node-pools.yaml").read_text("utf-8")
    )
    places = [Place.of(pool) for pool in pools]
    return [each for each in places if any(taint["key"] == GPU for taint in each.taints)]


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        # Without a key it tolerates everything.
        return toleration.get("key") in (None, "", taint["key"])
    same_value = toleration.get("value", "") == taint.get("value", "")
    return toleration.get("key") == taint["key"] and same_value
