"""`python -m training`: trains the demo model, or goes on where the last run stopped."""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from training.course import Course
from training.errors import FolderTakenError


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
        "--from", dest="start_from", type=Path, help="a finished model whose denoiser learns on"
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
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "pid").write_text(f"{os.getpid()}\n")
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
        return 0 if course.run() else 1
    except FolderTakenError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
