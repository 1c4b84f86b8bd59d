"""`python -m serve_app.batch_program PROMPTS PLACE RUNTIME [--ray]`: a batch to its end.

Says how far it is in lines of JSON on stdout, and in PLACE's `progress.json`. Exit status 0 if all
succeeded, 1 if some failed, 2 if it could not run.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import TextIO

from jobs.errors import JobsError
from jobs.tally import TALLY_FILE, Tally
from records.errors import RecordsError
from serve_app.batch import Batch, Outputs, read_prompts
from serve_app.errors import BadPrompts, ServeAppError
from serve_app.generator import Generator
from serve_app.place import outputs_at, text_at
from serve_app.runtimes import read_catalogue
from serve_app.settings import ServeSettings


def run(arguments: Sequence[str], out: TextIO) -> Tally:
    """Run the batch that the arguments name."""
    *named, prompts, place, name = [each for each in arguments if each != "--ray"]
    if named:
        raise BadPrompts(f"unknown arguments: {' '.join(named)}")
    settings = ServeSettings.from_env(os.environ)
    catalogue = read_catalogue(settings)
    runtime = catalogue.runtime(name)
    outputs, prefix = outputs_at(place)
    jobs = read_prompts(text_at(prompts).splitlines(), catalogue, prefix=prefix)
    if strays := [job.id for job in jobs if job.runtime != name]:
        raise BadPrompts(f"not of the runtime {name}: {', '.join(strays[:5])}")
    tell = _teller(out, outputs, prefix)
    if "--ray" in arguments:
        from serve_app.batch_cluster import run_on_ray  # noqa: PLC0415  # only there is Ray Data

        return run_on_ray(jobs, name, runtime, settings, place, tell)
    painter = Generator(name, runtime, settings, replica=f"batch-{os.getpid()}")
    batch = Batch(outputs=outputs, at_once=runtime.replicas.admit_window)
    return asyncio.run(batch.run(jobs, painter, tell))


def _teller(out: TextIO, outputs: Outputs, prefix: str) -> Callable[[Tally], None]:
    def tell(tally: Tally) -> None:
        line = tally.to_json()
        out.write(line + "\n")
        out.flush()
        key = f"{prefix}/{TALLY_FILE}" if prefix else TALLY_FILE
        outputs.put(key, line.encode(), media_type="application/json")

    return tell


def main() -> int:
    """The process's exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    if len(sys.argv) < 4:
        sys.stderr.write((__doc__ or "") + "\n")
        return 2
    stdout = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            tally = run(sys.argv[1:], stdout)
    except (ServeAppError, JobsError, RecordsError, OSError) as error:
        sys.stderr.write(f"batch: {error}\n")
        return 2
    except (KeyboardInterrupt, SystemExit):
        return 130
    # On a cluster a status of 1 would have the whole list begun again, on a cluster of its own.
    return 1 if tally.failed and "--ray" not in sys.argv else 0


if __name__ == "__main__":
    # Threads of the engine may be in a step; whatever is left undone is done the next time.
    status = main()
    sys.stdout.flush()
    os._exit(status)
