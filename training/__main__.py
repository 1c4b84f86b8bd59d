"""`python -m training`: trains the demo model, or goes on where the last run stopped."""

import argparse
import sys
import time
from pathlib import Path

import torch

from training.course import Course
from training.errors import TrainingError


def main() -> int:
    """Parse the command line and run; exit status 0 once the model is fully trained."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".cache/training"))
    parser.add_argument("--output", type=Path, default=Path("models/demo"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--minutes", type=float, default=150.0, help="stop after this long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--from",
        dest="start_from",
        type=Path,
        help="a finished model whose denoiser and decoder learn on",
    )
    parser.add_argument("--decoder-only", action="store_true", help="its denoiser stays as it is")
    options = parser.parse_args()
    if options.decoder_only and options.start_from is None:
        parser.error("--decoder-only needs --from")
    if options.start_from is not None and options.start_from.resolve() == options.output.resolve():
        parser.error(
            "--output must be another folder than --from: what a run began with has to stay"
        )
    torch.set_num_threads(options.threads)
    course = Course(
        folder=options.folder,
        output=options.output,
        device=options.device,
        seed=options.seed,
        deadline=time.time() + options.minutes * 60,
        start_from=options.start_from,
        decoder_only=options.decoder_only,
    )
    try:
        done = course.run()
    except TrainingError as error:
        parser.error(str(error))
    if not done:
        print("the time is up: the same command goes on from here", file=sys.stderr)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
