"""Calls of a denoiser are put together along their rows and taken apart again."""

from typing import Any

import pytest
import torch
from greenlet import getcurrent

from serve_app.engine import forward
from serve_app.engine.fiber import Fiber, park
from serve_app.engine.forward import Forward
from serve_app.engine.rows import RULES, merged, signature, split
from serve_app.engine.text_cache import TextCache

UNET = RULES["UNet2DConditionModel"]


class UNet2DConditionModel:  # the rule goes by the class's name
    """Tells each row its own number: the sample times the timestep plus the words."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(
        self, sample: torch.Tensor, timestep: Any, encoder_hidden_states: Any, **_: Any
    ) -> tuple[torch.Tensor]:
        self.rows.append(len(sample))
        words = encoder_hidden_states.mean((1, 2)).reshape(-1, 1, 1, 1)
        return (sample * timestep.reshape(-1, 1, 1, 1) + words,)


def parked(module: Any, *, rows: int, timestep: float, side: int = 4, length: int = 7) -> Forward:
    """A call with random latents and words."""
    sample = torch.randn(rows, 4, side, side)
    words = torch.ones(rows, length, 1)
    arguments = {"encoder_hidden_states": words, "added_cond_kwargs": None, "return_dict": False}
    return Forward.of_call(module, (sample, torch.tensor(timestep)), arguments)


def usual() -> dict[str, Any]:
    """The arguments of a call, in tensors of its own."""
    return {
        "sample": torch.randn(2, 4, 4, 4),
        "timestep": torch.tensor(4),
        "encoder_hidden_states": torch.ones(2, 7, 1),
        "added_cond_kwargs": {"text_embeds": torch.zeros(2, 2), "time_ids": torch.zeros(2, 6)},
        "return_dict": False,
    }


def test_a_step_that_differs_in_numbers_alone_takes_the_last_ones_key() -> None:
    """Nearly all do, and need not be looked at in full."""
    module = UNet2DConditionModel()
    last = Forward.of_call(module, (), usual())

    assert Forward.of_call(module, (), usual(), last=last).key is last.key


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"sample": torch.ones(2, 4, 8, 8)}, id="size"),
        pytest.param({"sample": torch.ones(2, 4, 4, 4, dtype=torch.float16)}, id="dtype"),
        pytest.param({"sample": torch.ones(1, 4, 4, 4)}, id="guidance has ended"),
        pytest.param({"encoder_hidden_states": torch.ones(2, 5, 1)}, id="length of text"),
        pytest.param({"added_cond_kwargs": {"text_embeds": torch.ones(2, 3)}}, id="pooled words"),
        pytest.param({"return_dict": True}, id="flag"),
        pytest.param({"timestep_cond": None}, id="one more argument"),
    ],
)
def test_a_step_that_differs_in_kind_has_the_key_that_it_would_have_by_itself(
    changed: dict[str, Any],
) -> None:
    """Not the last one's: they could not share a forward."""
    module = UNet2DConditionModel()
    last = Forward.of_call(module, (), usual())
    now = usual() | changed
    key = Forward.of_call(module, (), now, last=last).key

    assert key == Forward.of_call(module, (), now).key
    assert key != last.key


def test_each_call_gets_what_it_would_have_got_alone() -> None:
    """Different timesteps and row counts in one forward."""
    unet = UNet2DConditionModel()
    calls = [parked(unet, rows=2, timestep=999), parked(unet, rows=1, timestep=1.5)]
    outputs = forward.run(calls)

    assert unet.rows == [3]
    for call, (output,) in zip(calls, outputs, strict=True):
        sample, time = call.arguments["sample"], call.arguments["timestep"]
        assert torch.equal(output, sample * time + 1)


def test_padding_fills_a_forward_and_is_not_handed_out() -> None:
    """A fixed number of rows, whoever is there."""
    unet = UNet2DConditionModel()
    outputs = forward.run([parked(unet, rows=2, timestep=3)], to_rows=8)

    assert unet.rows == [8]
    assert [len(output[0]) for output in outputs] == [2]


@pytest.mark.parametrize("change", [{"side": 8}, {"length": 9}])
def test_other_shapes_have_another_key(change: dict[str, int]) -> None:
    """Latents of another size and words of another length cannot share a forward."""
    unet = UNet2DConditionModel()

    assert parked(unet, rows=2, timestep=1).key != parked(unet, rows=2, timestep=1, **change).key


def test_timestep_and_rows_are_no_part_of_the_key() -> None:
    """Jobs at different steps, with and without guidance, share."""
    unet = UNet2DConditionModel()

    assert parked(unet, rows=2, timestep=1).key == parked(unet, rows=1, timestep=900).key


def test_another_model_has_another_key() -> None:
    """Weights differ."""
    one, other = UNet2DConditionModel(), UNet2DConditionModel()

    assert parked(one, rows=1, timestep=1).key != parked(other, rows=1, timestep=1).key


def test_a_tensor_without_a_row_per_picture_is_never_shared() -> None:
    """It could not be cut apart again."""
    odd = {"sample": torch.ones(2, 4, 8, 8), "attention_mask": torch.ones(1, 7)}
    same = {"sample": torch.ones(2, 4, 8, 8), "attention_mask": torch.ones(1, 7)}

    assert signature(UNET, odd, 2) != signature(UNET, same, 2)


def test_conditions_in_dictionaries_are_put_together_too() -> None:
    """SDXL's added conditions are per row."""
    calls = [
        {"sample": torch.ones(n, 4), "added_cond_kwargs": {"time_ids": torch.full((n, 6), n)}}
        for n in (1, 2)
    ]
    together = merged(UNET, calls, [1, 2])

    assert together["added_cond_kwargs"]["time_ids"][:, 0].tolist() == [1, 2, 2]


def test_a_controlnets_scale_becomes_one_per_row() -> None:
    """In the sample's dtype, or it would change the residuals'."""
    rule = RULES["ControlNetModel"]
    calls = [
        {"sample": torch.ones(2, 4, 8, 8, dtype=torch.float16), "conditioning_scale": scale}
        for scale in (0.5, 1.0)
    ]
    scale = merged(rule, calls, [2, 2])["conditioning_scale"]

    assert scale.shape == (4, 1, 1, 1)
    assert scale.dtype == torch.float16
    assert scale.flatten().tolist() == [0.5, 0.5, 1, 1]


def test_position_ids_are_shared_only_if_they_are_equal() -> None:
    """FLUX has one set for the whole forward."""
    rule = RULES["FluxTransformer2DModel"]

    def call(ids: torch.Tensor) -> dict[str, Any]:
        return {"hidden_states": torch.ones(1, 16, 4), "img_ids": ids}

    one, same, other = (torch.full((16, 3), n, dtype=torch.bfloat16) for n in (0, 0, 1))
    assert signature(rule, call(one), 1) == signature(rule, call(same), 1)
    assert signature(rule, call(one), 1) != signature(rule, call(other), 1)
    assert merged(rule, [call(one), call(same)], [1, 1])["img_ids"].shape == (16, 3)


def test_outputs_of_several_parts_are_cut_apart() -> None:
    """A ControlNet gives a list and a tensor."""
    output = ([torch.arange(6).reshape(3, 2)] * 2, torch.arange(3))
    (first, middle), (_, last) = split(output, [1, 2])

    assert [part.shape for part in first] == [(1, 2)] * 2
    assert (middle.tolist(), last.tolist()) == ([0], [1, 2])


def test_a_fiber_goes_from_park_to_park() -> None:
    """Its local state stays between."""

    def call() -> int:
        return park("first") + park("second")

    fiber = Fiber(call)
    assert (fiber.resume(), fiber.resume(1), fiber.resume(2)) == ("first", "second", None)
    assert fiber.is_done
    assert fiber.result == 3


def test_an_error_thrown_into_a_fiber_unwinds_it() -> None:
    """Context managers in the pipeline are left."""
    left = []

    def call() -> None:
        try:
            park("request")
        finally:
            left.append(getcurrent())

    fiber = Fiber(call)
    fiber.resume()
    with pytest.raises(ValueError, match="stop"):
        fiber.throw(ValueError("stop"))
    assert left
    assert fiber.is_done


def test_encoded_words_are_kept_until_the_room_is_used_up() -> None:
    """The longest unused go first."""
    cache = TextCache(max_bytes=1000)
    words = [torch.full((100,), n, dtype=torch.float32) for n in range(3)]  # 400 bytes each
    keys = [cache.key("encoder", (word,), {}) for word in words]
    cache.put(keys[0], words[0])
    cache.put(keys[1], words[1])
    cache.get(keys[0])
    cache.put(keys[2], words[2])

    assert [cache.get(key) is not None for key in keys] == [True, False, True]


def test_words_of_another_encoder_are_others() -> None:
    """SDXL's two encoders read the same tokens."""
    cache, ids = TextCache(), torch.ones(1, 7)
    one, other = object(), object()

    assert cache.key(one, (ids,), {}) != cache.key(other, (ids,), {})
