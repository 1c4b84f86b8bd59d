"""A burst from nothing and back to it, as a picture.

    python -m bench.autoscaling --out docs/images/autoscaling.png

Runs the lab of tests/integration/test_autoscaling.py, or with `--from FILE` draws what an earlier
run has written down beside its picture. Times are a twentieth of the
shipped ones, but for a few that no machine could follow.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

FACTOR = 20
JOBS = 50
REST = ("depth", "bridges", "replicas", "wanted", "nodes")


def record() -> list[dict[str, Any]]:
    """The samples of one run, from rest to rest."""
    from tests.integration.scaling_lab import ScalingLab  # noqa: PLC0415  # Ray's import
    from tests.rendered import build  # noqa: PLC0415  # pytest's import
    from tests.timetable import timers_of  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        shipped = timers_of(build(Path(folder), components=("deep-sleep",)), "demo", "demo")
    with ScalingLab.running(shipped, FACTOR) as lab:
        lab.until(lambda now: now["nodes"] == 0)
        lab.jobs.submit(JOBS)
        lab.until(lambda now: now["done"] == JOBS)
        lab.until(lambda now: not any(now[name] for name in REST))
        return list(lab.samples)


def draw(samples: list[dict[str, Any]], out: Path) -> None:
    """Five lines, one above the other, over the same seconds."""
    import matplotlib as mpl  # noqa: PLC0415  # the `bench` extra

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    begin = next((s["at"] for s in samples if s["depth"]), samples[0]["at"]) - 2
    shown = [sample for sample in samples if sample["at"] >= begin]
    seconds = [sample["at"] - begin for sample in shown]
    lines = [
        ("messages", ["depth"], "queue"),
        ("bridges", ["bridges"], "KEDA"),
        ("replicas", ["wanted", "replicas"], "Serve: wanted, running"),
        ("GPU nodes", ["nodes"], "Ray's autoscaler"),
        ("jobs done", ["done"], "notices"),
    ]
    figure, axes = plt.subplots(len(lines), 1, figsize=(9, 7), sharex=True)
    for axis, (name, fields, owner) in zip(axes, lines, strict=True):
        styles = ("-",) if len(fields) == 1 else (":", "-")
        for field, style in zip(fields, styles, strict=True):
            values = [sample[field] for sample in shown]
            axis.step(seconds, values, style, where="post", color="#2563eb")
            if style == "-":
                axis.fill_between(seconds, values, step="post", alpha=0.15, color="#2563eb")
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
        axis.text(0.99, 0.85, owner, transform=axis.transAxes, ha="right", va="top", color="#666")
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel(f"seconds; times of the scaling are 1/{FACTOR} of the shipped ones")
    figure.suptitle(f"{JOBS} jobs at zero: all nodes in one step, and back to nothing")
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def main() -> None:
    """Record or read, then draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/autoscaling.png"))
    parser.add_argument("--from", dest="source", type=Path, help="samples of an earlier run")
    asked = parser.parse_args()
    if asked.source:
        samples = json.loads(asked.source.read_text())
    else:
        samples = record()
        asked.out.with_suffix(".json").write_text(json.dumps(samples))
    draw(samples, asked.out)
    print(asked.out)


if __name__ == "__main__":
    main()
