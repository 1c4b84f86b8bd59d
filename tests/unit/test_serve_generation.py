"""A job becomes one order, and what is made of it becomes pictures or one fault."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jobs.job import Job
from jobs.uid import new_uid
from serve_app.engine.order import Made, Priority, Step
from serve_app.errors import InvalidInput, JobFault, NotFinite, OutOfMemory
from serve_app.generation import fault_of, order_of, painted
from serve_app.media import Sources

PROMPT = "a secret castle"
MODEL = SimpleNamespace(pipeline=lambda task, scheduler: (task, scheduler), warnings=lambda *_: ())


def job(*, deadline=None, priority="interactive", **wanted):
    """A job with that input."""
    uid = new_uid()
    return Job(
        uid=uid,
        id=uid,
        runtime="demo",
        model="tiny",
        prefix="default",
        created_at=datetime.now(UTC),
        deadline=deadline,
        priority=priority,
        input={"task": "text-to-image", "prompt": PROMPT, "num_inference_steps": 3, **wanted},
    )


def order(wanted, *, report=lambda event: None, given=None):
    """The order of a job."""
    return order_of(wanted, MODEL, given or Sources(), report)


def made(pixel, *, was_exclusive=False):
    """One picture of one grey."""
    images = np.full((1, 8, 8, 3), pixel)
    output = SimpleNamespace(images=images)
    return Made(output=output, timings={"denoise_s": 0.1}, was_exclusive=was_exclusive)


def test_an_order_says_what_the_pipeline_is_to_do():
    """In the pipeline's own names, with one generator for each picture."""
    ordered = order(job(num_images_per_prompt=2, guidance_scale=5.0, seed=7, priority="batch"))

    assert ordered.arguments["prompt"] == PROMPT
    assert [g.initial_seed() for g in ordered.arguments["generator"]] == [7, 8]
    assert (ordered.steps, ordered.rows, ordered.priority) == (3, 4, Priority.BATCH)


def test_a_deadline_is_told_on_the_engines_clock():
    """In seconds from now, whatever the time of day is."""
    soon = order(job(deadline=datetime.now(UTC) + timedelta(seconds=5)))
    later = order(job(deadline=datetime.now(UTC) + timedelta(seconds=65)))

    assert later.deadline - soon.deadline == pytest.approx(60, abs=1)


def test_an_image_at_low_strength_has_fewer_steps():
    """The scheduler leaves the first ones out."""
    wanted = job(task="image-to-image", image="x", strength=0.5, num_inference_steps=10)

    assert order(wanted, given=Sources(image=object())).steps == 5


def test_stages_and_steps_are_reported_in_order():
    """The first and the last step always, those in between not more often than anybody reads."""
    told = []
    listener = order(job(), report=told.append).listener
    listener("encode", None)
    listener("denoise", None)
    for step in range(1, 31):
        listener("denoise", Step(step=step, total=30))
    listener("decode", None)

    assert [event.stage for event in told][:2] == ["encode", "denoise"]
    assert (told[1].step, told[-2].step, told[-2].total) == (1, 30, 30)
    assert told[-1].stage == "decode"
    assert len(told) < 10


def test_what_was_made_becomes_pictures():
    """Rounded to the nearest level, as Diffusers does."""
    result = painted(job(), MODEL, made(0.5))

    assert result.images[0].size == (8, 8)
    assert result.images[0].getpixel((0, 0)) == (128, 128, 128)
    assert result.timings == {"denoise_s": 0.1}


def test_a_call_that_ran_alone_says_so():
    """Whoever wonders why it was slow finds it among the warnings."""
    (warning,) = painted(job(), MODEL, made(0.5, was_exclusive=True)).warnings

    assert "ran alone" in warning


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_a_fault(value):
    """Otherwise they would become a black picture that looks like success."""
    with pytest.raises(NotFinite):
        painted(job(), MODEL, made(value))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        MemoryError(),
        OutOfMemory("no room"),
    ],
)
def test_running_out_of_memory_may_be_tried_again(error):
    """Beside fewer jobs it may fit."""
    event = fault_of(error, job()).event

    assert (event.code, event.retryable) == ("out_of_memory", True)


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
    wanted = job(task="image-to-image", image="x", strength=0.1)

    with pytest.raises(InvalidInput, match="/input/strength: leaves no step"):
        order(wanted, given=Sources(image=object()))
