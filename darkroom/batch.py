"""Running a batch: here as a process, on a cluster as a RayJob; how far it is, as it goes."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.batch_job import batch_job
from darkroom.errors import DarkroomError, JobFailed, TookTooLong
from jobs.tally import TALLY_FILE, Tally
from records.errors import ObjectMissing
from records.store import ObjectStore

if TYPE_CHECKING:
    from darkroom.kuberay import KubeRay

ROOT = Path(__file__).resolve().parent.parent
#: Seconds between two looks at a batch on a cluster.
_LOOK_S = 5


Tell = Callable[[Tally], None]


def run_here(prompts: Path, out: Path, *, runtime: str, environ: Mapping[str, str]) -> "Here":
    """Begin, or go on with, a batch on this machine."""
    told = {
        "DARKROOM_RUNTIMES": str(ROOT / "runtimes.yaml"),
        "DARKROOM_MODELS_ROOT": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    return Here(
        [sys.executable, "-m", "serve_app.batch_program", str(prompts), str(out), runtime],
        told | dict(environ),
    )


class Here:
    """The batch program as a process of ours."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._command = command
        self._environ = environ

    def follow(self, tell: Tell, log: Path) -> Tally:
        """Run to the end; `DarkroomError` with the program's own words if it could not."""
        last = None
        with log.open("w") as errors, self._started(errors) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last = Tally.from_json(line)
                tell(last)
            status = process.wait()
        if last is None or status not in (0, 1):
            words = log.read_text("utf-8", "replace").splitlines()[-5:]
            raise DarkroomError("\n".join(words) or f"the batch ended with {status}")
        return last

    @contextmanager
    def _started(self, errors: Any) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(  # noqa: S603  # our own program
            self._command,
            env=dict(self._environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # Ctrl-C is for us, who tell it.
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@dataclass(frozen=True, kw_only=True)
class OnCluster:
    """A batch as a RayJob. Its name follows from the prompts: the same file is the same job."""

    kuberay: "KubeRay"
    store: ObjectStore
    runtime: str

    def follow(self, prompts: bytes, tell: Tell, *, timeout_s: float) -> Tally:
        """Submit, or find, the job; wait for its end; delete it."""
        digest = hashlib.sha256(prompts).hexdigest()[:12]
        name, folder = f"batch-{digest}", f"batch/{digest}"
        self.store.put(f"{folder}/prompts.jsonl", prompts, media_type="application/jsonl")
        place = f"s3://{self.store.bucket}/{folder}"
        manifest = batch_job(
            self.kuberay.service(self.runtime),
            name=name,
            runtime=self.runtime,
            prompts=f"{place}/prompts.jsonl",
            outputs=place,
        )
        self.kuberay.submit_job(manifest)
        left_s = timeout_s
        while True:
            with suppress(TookTooLong):
                ended = self.kuberay.wait_job(name, timeout_s=min(_LOOK_S, left_s))
                break
            self._tell(folder, tell)
            left_s -= _LOOK_S
            if left_s <= 0:
                raise TookTooLong(f"{name} is still at work; the same command goes on with it")
        last = self._tell(folder, tell)
        # Also after a failure: what it has done lies in the bucket, and a GPU node costs.
        self.kuberay.delete_job(name)
        # A tally of an earlier run may lie there: the job itself must have ended well, too.
        succeeded = ended.status.get("jobStatus") == "SUCCEEDED"
        if last is None or last.done < last.total or not succeeded:
            said = ended.status.get("message") or ended.status.get("jobStatus")
            raise JobFailed(f"{name} ended before its list did: {said}; run it again to go on")
        return last

    def _tell(self, folder: str, tell: Tell) -> Tally | None:
        try:
            found = Tally.from_json(self.store.get(f"{folder}/{TALLY_FILE}"))
        except ObjectMissing:
            return None
        tell(found)
        return found
