"""The figures of a run as a table for people and as JSON for programs."""

from dataclasses import fields
from typing import Any

from loadtest.account import Figures, percentile

_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_DURATIONS = {
    "accept_s": "POST to 202",
    "notice_s": "POST to notice",
}


def document(figures: Figures, *, wall_s: float, load_average: float) -> dict[str, Any]:
    """Counts, and percentiles in seconds; durations that nobody measured are null."""
    counts = {
        each.name: getattr(figures, each.name)
        for each in fields(Figures)
        if each.name not in _DURATIONS
    }
    percentiles = {
        f"{name.removesuffix('_s')}_{label}_s": _rounded(percentile(getattr(figures, name), share))
        for name in _DURATIONS
        for label, share in _SHARES.items()
    }
    return {
        "clean": figures.is_clean,
        **counts,
        **percentiles,
        "wall_s": round(wall_s, 3),
        "jobs_per_s": round(figures.completed / wall_s, 3) if wall_s else None,
        "load_average_1min": round(load_average, 2),
    }


def table(document: dict[str, Any]) -> str:
    """The same for people."""
    counts = ("accepted", "refused", "completed", "failed", "lost", "duplicates")
    lines = [f"{document['jobs_posted']} jobs posted, {document['wall_s']:.1f} s"]
    lines += [f"  {name:<12}{document[name]:>8}" for name in counts]
    lines += [f"  {'contradicted':<12}{document['contradictions']:>8}"]
    lines += ["", f"  {'seconds':<16}" + "".join(f"{label:>9}" for label in _SHARES)]
    for name, title in _DURATIONS.items():
        keys = (f"{name.removesuffix('_s')}_{label}_s" for label in _SHARES)
        cells = ("-" if (value := document[key]) is None else f"{value:.3f}" for key in keys)
        lines.append(f"  {title:<16}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
