"""The engine with real pipelines: who goes first, who stops, who runs alone."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPAGPipeline
from plain_calls import (
    TIMEOUT_S,
    PlainCall,
    Watching,
    call,
    difference,
    ended,
    made_together,
    picture,
)
from tiny_models import pipeline

from serve_app.engine.engine import Engine, EngineSettings
from serve_app.engine.order import Order, Priority, Step
from serve_app.errors import Stopped

LONG = 400


def test_progress_tells_every_step(engine: Engine) -> None:
    """In order and once."""
    watching = Watching()
    ended(engine.submit(call(steps=5, listener=watching).ordered()))

    assert watching.steps == [1, 2, 3, 4, 5]


def test_decoding_is_told_and_timed(engine: Engine) -> None:
    """The four stages, each in seconds."""
    watching = Watching()
    whole = call(listener=watching)
    whole.arguments["output_type"] = "np"
    made = ended(engine.submit(whole.ordered()))

    assert watching.stages == ["encode", "denoise", "decode"]
    assert list(made.timings) == ["queue_s", "encode_s", "denoise_s", "decode_s"]


def test_a_call_that_has_ended_leaves_nothing_to_be_swept(engine: Engine) -> None:
    """Its tensors are free when its result is: on a device nobody else would collect them."""
    order = call().ordered()
    held = weakref.ref(order)
    gc.collect()
    gc.disable()
    try:
        ended(engine.submit(order))
        ended(engine.submit(call(1).ordered()))  # the engine's thread has let go of the first
        del order
        assert held() is None
    finally:
        gc.enable()


def test_a_canceled_call_ends_within_a_step_and_the_others_go_on(engine: Engine) -> None:
    """Its rows are free at the next tick."""
    watching = Watching()
    long = engine.submit(call(1, steps=LONG, listener=watching).ordered())
    other = call(2, steps=8)
    ticket = engine.submit(other.ordered())
    assert watching.began.wait(TIMEOUT_S)
    long.cancel()

    with pytest.raises(Stopped):
        ended(long)
    assert len(watching.steps) < LONG
    assert difference(ended(ticket), other.alone()) <= 1e-4


def test_a_call_canceled_before_it_began_never_runs(engine: Engine) -> None:
    """Nor does it hold up the engine."""
    ticket = engine.submit(call().ordered())
    ticket.cancel()

    with pytest.raises(Stopped):
        ended(ticket)
    ended(engine.submit(call().ordered()))


def test_a_cancel_after_the_end_changes_nothing(engine: Engine) -> None:
    """The result stays."""
    ticket = engine.submit(call().ordered())
    ended(ticket)
    ticket.cancel()

    assert ended(ticket)


def test_closing_stops_what_is_under_way() -> None:
    """Nobody waits for ever for a replica that goes."""
    engine = Engine(EngineSettings(torch_threads=1))
    watching = Watching()
    ticket = engine.submit(call(steps=LONG, listener=watching).ordered())
    assert watching.began.wait(TIMEOUT_S)
    engine.close()

    with pytest.raises(Stopped):
        ended(ticket)


@pytest.mark.parametrize(
    ("device", "threads", "asides"), [("cpu", 1, 2), ("cpu", 2, 0), ("cuda", 2, 2)]
)
def test_a_replica_has_threads_beside_the_tick_unless_each_forward_has_several(
    device: str, threads: int, asides: int
) -> None:
    """Several threads of a CPU's forwards would wait for those of an encoder."""
    settings = EngineSettings.of_replica(policy="shortest", device=device, threads=threads)
    assert (settings.aside_threads, settings.torch_threads) == (asides, threads)


def test_without_threads_beside_it_the_engine_encodes_and_decodes_itself() -> None:
    """Between two steps; what it makes is the same, and what fails there fails alone."""
    engine = Engine(EngineSettings(torch_threads=1, aside_threads=0))
    calls = [call(seed, steps=4 + seed) for seed in range(3)]
    wrong = call(7)
    wrong.arguments["prompt_embeds"] = wrong.arguments.pop("prompt")
    tickets = [engine.submit(each.ordered()) for each in (*calls, wrong)]

    for each, ticket in zip(calls, tickets, strict=False):
        assert difference(ended(ticket), each.alone()) <= 1e-4
    with pytest.raises(AttributeError):
        ended(tickets[-1])
    engine.close()


def test_an_order_after_the_end_is_not_left_waiting() -> None:
    """A replica that goes may be asked once more."""
    engine = Engine(EngineSettings(torch_threads=1))
    engine.close()

    with pytest.raises(Stopped):
        ended(engine.submit(call().ordered()))


def test_a_deterministic_call_has_the_same_bits_in_any_company(engine: Engine) -> None:
    """Alone, beside one, beside many that preempt it."""
    fixed = call(1, steps=12, deterministic=True)
    (alone,) = made_together(engine, [fixed])
    beside = [
        made_together(engine, [fixed, *(call(index, steps=3 + index) for index in others)], seed=s)
        for s, others in enumerate(([2], [2, 3, 4], [2, 3, 4, 5, 6, 7]))
    ]

    for made in beside:
        assert torch.equal(made[0].output.images, alone.output.images)


def test_a_call_that_was_preempted_goes_on_bit_by_bit(engine: Engine) -> None:
    """Interactive calls of another size take the device away for a while."""
    batch = call(1, steps=60, priority=Priority.BATCH)
    (alone,) = made_together(engine, [batch])
    watching = Watching()
    again = call(1, steps=60, priority=Priority.BATCH, listener=watching)
    ticket = engine.submit(again.ordered())
    assert watching.began.wait(TIMEOUT_S)
    ended(engine.submit(call(2, steps=10, side=96).ordered()))
    steps_then = len(watching.steps)

    assert torch.equal(ended(ticket).output.images, alone.output.images)
    assert steps_then < 60


def test_what_the_engine_does_not_know_runs_alone_and_says_so(engine: Engine) -> None:
    """PAG swaps the attention of the shared denoiser; the calls around it are not disturbed."""
    parts = pipeline("sd").components
    pag = StableDiffusionPAGPipeline(
        **parts, requires_safety_checker=False, pag_applied_layers=["mid"]
    )
    pag.set_progress_bar_config(disable=True)
    guided = PlainCall(pipeline=pag, arguments=call(1).arguments | {"pag_scale": 3.0}, seed=1)
    calls = [call(2, steps=9), call(3, steps=4)]
    truths = [each.alone() for each in (guided, *calls)]
    tickets = [engine.submit(each.ordered()) for each in (calls[0], guided, calls[1])]
    first, alone, last = (ended(ticket) for ticket in tickets)

    assert alone.was_exclusive
    assert np.abs(alone.output.images.numpy() - truths[0]).max() <= 1e-4
    assert difference(first, truths[1]) <= 1e-4
    assert difference(last, truths[2]) <= 1e-4


def test_a_call_that_asks_for_it_has_the_device_alone(engine: Engine) -> None:
    """Whoever was there before ends first; nobody takes a step while it runs."""
    before, after, seen = Watching(), Watching(), []

    def own(stage: str, step: Step | None) -> None:
        if step is not None:
            seen.append((len(before.steps), len(after.steps)))

    orders = (
        call(1, steps=20, listener=before),
        call(2, steps=5, alone=True, listener=own),
        call(3, steps=50, listener=after),
    )
    made = [ended(ticket) for ticket in [engine.submit(each.ordered()) for each in orders]]

    assert made[1].was_exclusive
    assert len(seen) == 5
    assert {done for done, _ in seen} == {20}
    assert len({steps for _, steps in seen}) == 1


def test_an_exclusive_call_stops_between_its_steps(engine: Engine) -> None:
    """Its attention processors are put back."""
    before = dict(pipeline("sd").unet.attn_processors)
    pag = StableDiffusionPAGPipeline(
        **pipeline("sd").components, requires_safety_checker=False, pag_applied_layers=["mid"]
    )
    watching = Watching()
    arguments = call(1, steps=LONG).arguments | {"pag_scale": 3.0}
    order = Order(pipeline=pag, arguments=arguments, steps=LONG, listener=watching)
    ticket = engine.submit(order)
    assert watching.began.wait(TIMEOUT_S)
    ticket.cancel()

    with pytest.raises(Stopped):
        ended(ticket)
    assert len(watching.steps) < LONG
    assert {k: type(v) for k, v in pipeline("sd").unet.attn_processors.items()} == {
        k: type(v) for k, v in before.items()
    }


def test_a_preview_shows_what_is_under_the_noise(engine: Engine) -> None:
    """A picture of the right size, while the call goes on; None once it has ended."""
    watching = Watching()
    ticket = engine.submit(call(steps=LONG, listener=watching).ordered())
    assert watching.began.wait(TIMEOUT_S)
    shown = ticket.preview().result(TIMEOUT_S)
    ticket.cancel()

    assert shown.size == (64, 64)
    with pytest.raises(Stopped):
        ended(ticket)
    assert ticket.preview().result(TIMEOUT_S) is None


def test_two_sizes_share_the_device_evenly(engine: Engine) -> None:
    """Both are under way at once, and neither waits for the other's end."""
    small, large = Watching(), Watching()
    tickets = [
        engine.submit(call(1, steps=60, side=64, listener=small).ordered()),
        engine.submit(call(2, steps=60, side=96, listener=large).ordered()),
    ]
    ended(tickets[0])
    done_by_then = len(large.steps)
    ended(tickets[1])

    assert done_by_then > 0


def test_the_backlog_counts_what_is_left(engine: Engine) -> None:
    """In row-steps; nothing when nothing is left."""
    watching = Watching()
    order = call(steps=LONG, listener=watching).ordered()
    ticket = engine.submit(order)
    assert watching.began.wait(TIMEOUT_S)
    backlog = engine.backlog()
    ticket.cancel()

    assert 0 < backlog.row_steps < LONG
    with pytest.raises(Stopped):
        ended(ticket)
    assert engine.backlog().row_steps == 0


def test_equal_words_are_encoded_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs with one prompt and the empty negative one: two texts, each asked once."""
    encoder = pipeline("sd").text_encoder
    asked = []
    plain = encoder.forward
    monkeypatch.setattr(
        encoder, "forward", lambda *args, **kwargs: asked.append(1) or plain(*args, **kwargs)
    )
    for _ in range(2):
        ended(engine.submit(call(0).ordered()))

    assert len(asked) == 2


def test_an_image_is_encoded_off_the_tick(engine: Engine) -> None:
    """While a picture is being encoded the others' steps go on: another thread does it."""
    from diffusers import StableDiffusionImg2ImgPipeline

    edit = StableDiffusionImg2ImgPipeline(
        **pipeline("sd").components, requires_safety_checker=False
    )
    names = []
    plain = edit.vae.encode
    edit.vae.encode = lambda *args, **kwargs: (
        names.append(threading.current_thread().name) or plain(*args, **kwargs)
    )
    try:
        arguments = {"prompt": "a cat", "image": picture(1), "num_inference_steps": 4}
        ended(engine.submit(Order(pipeline=edit, arguments=arguments, steps=3)))
    finally:
        del edit.vae.encode

    assert names
    assert all(name.startswith("aside") for name in names)


def test_a_call_past_its_deadline_goes_first(engine: Engine) -> None:
    """Although others have fewer steps left."""
    first, second = Watching(), Watching()
    engine._tick._max_rows = 2  # one call at a time
    late = call(1, steps=30, listener=first, deadline=time.monotonic() - 1)
    early = call(2, steps=4, listener=second)
    tickets = [engine.submit(each.ordered()) for each in (early, late)]
    ended(tickets[1])
    steps_of_other = len(second.steps)
    ended(tickets[0])

    assert steps_of_other < 4
