"""What a pipeline raises or computes becomes one fault of one job."""

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jobs.job import Job
from jobs.uid import new_uid
from serve_app.errors import InvalidInput, JobFault, NotFinite, OutOfMemory, Stopped
from serve_app.generation import Generation, fault_of
from serve_app.media import Sources

PROMPT = "a secret castle"


def job(**wanted):
    """A job with that input."""
    uid = new_uid()
    return Job(
        uid=uid,
        id=uid,
        runtime="demo",
        model="tiny",
        prefix="default",
        created_at=datetime.now(UTC),
        input={"task": "text-to-image", "prompt": PROMPT, "num_inference_steps": 3, **wanted},
    )


class FakePipeline:
    """Three steps, then `painted`; raises `error` in the second."""

    num_timesteps = 3

    def __init__(self, *, painted=0.5, error=None):
        self._painted = painted
        self._error = error
        self.steps = 0

    def __call__(self, *, callback_on_step_end, **_):
        with self.progress_bar(total=3):
            for step in range(3):
                if self._error and step == 1:
                    raise self._error
                self.steps += 1
                callback_on_step_end(self, step, 0, {})
        return SimpleNamespace(images=np.full((1, 8, 8, 3), self._painted))

    def numpy_to_pil(self, images):
        return list(images)


def generation(pipeline, **wanted):
    """A generation by `pipeline`."""
    model = SimpleNamespace(pipeline=lambda *_, **__: pipeline, warnings=lambda prompt: ())
    return Generation(job(**wanted), model, Sources())


def test_a_run_reports_its_stages_in_order_and_times_each():
    """From encode to decode, with the steps in between."""
    told = []
    painted = generation(FakePipeline()).run(told.append)
    assert [event.stage for event in told][:2] == ["encode", "denoise"]
    assert (told[-2].stage, told[-2].step, told[-2].total) == ("denoise", 3, 3)
    assert told[-1].stage == "decode"
    assert list(painted.timings) == ["queue_s", "encode_s", "denoise_s", "decode_s"]


def test_a_stopped_run_ends_with_the_step_that_it_is_in():
    """No further step is taken, and nothing is decoded."""
    pipeline = FakePipeline()
    run = generation(pipeline)

    def stop_at_first_step(event):
        if event.stage == "denoise":
            run.stop()

    with pytest.raises(Stopped):
        run.run(stop_at_first_step)
    assert pipeline.steps == 2


def test_a_run_stopped_before_its_turn_takes_no_step():
    """A job that was canceled while it waited never runs."""
    pipeline = FakePipeline()
    run = generation(pipeline)
    run.stop()
    with pytest.raises(Stopped):
        run.run(lambda event: None)
    assert pipeline.steps == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_a_fault(value):
    """Otherwise they would become a black picture that looks like success."""
    with pytest.raises(NotFinite):
        generation(FakePipeline(painted=value)).run(lambda event: None)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        MemoryError(),
    ],
)
def test_running_out_of_memory_may_be_tried_again(error):
    """Beside fewer jobs it may fit."""
    with pytest.raises(OutOfMemory) as raised:
        generation(FakePipeline(error=error)).run(lambda event: None)
    assert (raised.value.event.code, raised.value.event.retryable) == ("out_of_memory", True)


def test_any_other_error_is_internal_and_told_without_the_prompt():
    """Its type and text help; the prompt belongs to the client alone."""
    error = ValueError(f"cannot tokenize {PROMPT!r}, nor {'no trees'!r}" + 1000 * "x")
    fault = fault_of(error, job(negative_prompt="no trees"))
    assert type(fault) is JobFault
    assert (fault.event.code, fault.event.retryable) == ("internal", False)
    assert fault.event.message.startswith("ValueError: cannot tokenize '…', nor '…'")
    assert len(fault.event.message) <= 500


def test_a_strength_that_leaves_no_step_is_a_fault_of_the_input():
    """Diffusers would fail on an empty list of steps."""
    run = Generation(
        job(task="image-to-image", image="x", strength=0.1),
        SimpleNamespace(pipeline=lambda *_, **__: FakePipeline()),
        Sources(image=object()),
    )
    with pytest.raises(InvalidInput, match="/input/strength: leaves no step"):
        run.run(lambda event: None)
