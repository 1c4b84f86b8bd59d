"""Nothing is lost, whatever dies: many jobs in bad weather, with kills, then a judgement.

    python bench/chaos.py --jobs 3000 --seed 1

Real API and bridges, an emulated AWS that answers 5 % of all calls with 503 and loses 5 % of
its answers, a Serve with a pipeline that takes milliseconds. Every named crash point is hit.
The last line is one JSON object; the exit status is 1 if anything was lost or done twice.
"""

import argparse
import json
import sys
from pathlib import Path

# Run as a script, Python looks beside it only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.chaos import Plan, run


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--patience", type=float, default=1800, help="seconds")
    given = parser.parse_args()
    plan = Plan(jobs=given.jobs, seed=given.seed, kills=given.kills, patience_s=given.patience)
    figures = run(plan, print)
    print(json.dumps(figures))
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
