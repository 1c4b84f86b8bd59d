"""How many GPU nodes Karpenter may make."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from darkroom.cluster.template import read_objects


@dataclass(frozen=True, kw_only=True)
class GpuLimits:
    """The most GPUs of each NodePool; each of their nodes has one."""

    spot: int
    on_demand: int

    @classmethod
    def of_overlay(cls, folder: Path) -> Self:
        """What its patch says."""
        pools = read_objects(folder / "gpu-limits.yaml")
        limits = {
            pool["metadata"]["name"]: pool["spec"]["limits"]["nvidia.com/gpu"] for pool in pools
        }
        return cls(spot=limits["gpu-spot"], on_demand=limits["gpu-on-demand"])
