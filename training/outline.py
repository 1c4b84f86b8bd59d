"""Names a shape by the moments of its outline, compared with those of ideal shapes.

Part of the checker: it shares nothing with `drawing.py`. A shape that resembles no ideal one is
"unknown" rather than the nearest guess.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

#: Largest distance to an ideal shape, in units of `SPREAD`; the closest two are 5.6 apart.
MAX_DISTANCE = 4.0
#: How much each moment varies between good drawings of one shape; see `_moments` for the order.
SPREAD = np.array([0.06, 0.006, 0.006, 0.006, 0.004, 0.004, 0.003, 0.003])


def shape_of(coverage: NDArray[np.float64]) -> str:
    """Name the shape that covers each pixel of a (height, width) picture by this much, 0-1."""
    moments = _moments(coverage)
    far = {s: float(np.linalg.norm((moments - m) / SPREAD)) for s, m in _ideals().items()}
    nearest = min(far, key=lambda shape: far[shape])
    return nearest if far[nearest] <= MAX_DISTANCE else "unknown"


def _moments(coverage: NDArray[np.float64]) -> NDArray[np.float64]:
    """Size-free numbers: share of the bounding box, roundness, 3-, 4- and 5-fold symmetry."""
    rows, columns = np.indices(coverage.shape)
    area = coverage.sum()
    box = coverage.max(0).sum() * coverage.max(1).sum()
    x, y = columns - (columns * coverage).sum() / area, rows - (rows * coverage).sum() / area
    z = x + 1j * y
    spread = (abs(z) ** 2 * coverage).sum() / area**2
    third, fourth, fifth = ((z**k * coverage).sum() / area ** (k / 2 + 1) for k in (3, 4, 5))
    parts = [third.real, third.imag, fourth.real, fourth.imag, fifth.real, fifth.imag]
    return np.array([area / box, spread, *parts])


@cache
def _ideals() -> dict[str, NDArray[np.float64]]:
    """Moments of each ideal shape, upright, from its corners."""
    turn = np.linspace(0, 2 * np.pi, 65)[:-1]
    spikes = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
    arm = 1 / 3
    bar = [(-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm)]
    corners = {
        "circle": np.stack([np.cos(turn), np.sin(turn)], 1),
        "square": np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]),
        "triangle": np.array([(0, -1), (0.95, 0.9), (-0.95, 0.9)]),
        "star": np.stack([reach * np.sin(spikes), -reach * np.cos(spikes)], 1),
        "diamond": np.array([(0, -1), (1, 0), (0, 1), (-1, 0)]),
        "cross": np.array(bar + [(-x, -y) for x, y in bar]),
    }
    return {shape: _moments(_polygon(points)) for shape, points in corners.items()}


def _polygon(corners: NDArray[np.float64], pixels: int = 200) -> NDArray[np.float64]:
    """Rasterise a closed outline in [-1, 1] by counting crossings of a ray to the right."""
    line = (np.arange(pixels) + 0.5) / pixels * 2 - 1
    x, y = np.meshgrid(line, line)
    inside = np.zeros_like(x, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y0 != y1:
            crosses = (y0 <= y) != (y1 <= y)
            inside ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside.astype(np.float64)
