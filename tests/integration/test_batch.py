"""`darkroom batch run` with the demo model: interrupted, gone on with, and by Ray Data."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JOBS = 6


@pytest.fixture
def prompts(tmp_path):
    """A list of small jobs."""
    lines = [
        {"id": f"job-{number}", "input": {"prompt": "a red circle", "num_inference_steps": 30}}
        for number in range(JOBS)
    ]
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def begun(prompts, out, environ=None):
    """The command as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "darkroom", "batch", "run", prompts, "--out", out, "--json"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in a script's background ignore Ctrl-C, and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def painted(out):
    """The jobs that have a document, and when it was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/*.out")}


def test_an_interrupted_batch_is_gone_on_with(prompts, tmp_path):
    """Ctrl-C in the middle; what was done is not done again, and all have their pictures."""
    out = tmp_path / "out"
    with begun(prompts, out) as first:
        for line in first.stderr:
            if (told := re.match(r"(\d+) of", line)) and int(told[1]) >= 1:
                first.send_signal(signal.SIGINT)
                break
        first.communicate()
    assert first.returncode == 130
    before = painted(out)
    assert 0 < len(before) < JOBS

    with begun(prompts, out) as second:
        told, errors = second.communicate()
    assert second.returncode == 0, errors
    assert json.loads(told)["succeeded"] == JOBS
    after = painted(out)
    assert len(after) == len(list(out.glob("*/*.png"))) == JOBS
    assert {name: after[name] for name in before} == before


def test_a_line_that_cannot_be_a_job_is_said_and_nothing_is_painted(prompts, tmp_path):
    """Exit status 2, as for whatever could not run."""
    prompts.write_text(prompts.read_text() + '\n{"prompt": "x", "stepz": 1}')
    with begun(prompts, tmp_path / "out") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "line 7" in errors
    assert "stepz" in errors


@pytest.mark.timeout(600)
def test_ray_data_paints_what_is_left(prompts, tmp_path):
    """The program of the RayJob, on a Ray of its own that is only this process's."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "serve_app.batch_program", prompts, out, "demo", "--ray"],
        cwd=ROOT,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0" * 64,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines[0] == {"total": JOBS, "succeeded": 0, "failed": 0}
    assert lines[-1] == {"total": JOBS, "succeeded": JOBS, "failed": 0}
    assert len(painted(out)) == len(list(out.glob("*/*.png"))) == JOBS
