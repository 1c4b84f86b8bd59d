"""A solver's table says what the solver says."""

from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from serve_app.engine.solver import Tables

STEPS = 12
LINEAR = [
    (DPMSolverMultistepScheduler, {}),
    (DPMSolverMultistepScheduler, {"solver_order": 1}),
    (DPMSolverMultistepScheduler, {"solver_order": 3, "use_karras_sigmas": True}),
    (DPMSolverMultistepScheduler, {"solver_type": "heun", "prediction_type": "v_prediction"}),
    (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
    ),
    (DDIMScheduler, {"clip_sample": False}),
    (
        DDIMScheduler,
        {
            "clip_sample": False,
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
            "rescale_betas_zero_snr": True,
        },
    ),
    (EulerDiscreteScheduler, {}),
    (EulerDiscreteScheduler, {"use_karras_sigmas": True, "prediction_type": "v_prediction"}),
    (UniPCMultistepScheduler, {}),
    (UniPCMultistepScheduler, {"solver_order": 3, "prediction_type": "v_prediction"}),
    (
        UniPCMultistepScheduler,
        {"solver_type": "bh1", "disable_corrector": [1], "final_sigmas_type": "sigma_min"},
    ),
]
NOT_LINEAR = [
    (DPMSolverMultistepScheduler, {"thresholding": True}),
    (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    (DDIMScheduler, {}),
    (DDIMScheduler, {"clip_sample": False, "thresholding": True}),
    (HeunDiscreteScheduler, {}),
]


def made(kind: type, config: dict[str, Any], *, begin: int = 0) -> Any:
    """A scheduler that is about to take its first step."""
    scheduler = kind(**config)
    scheduler.set_timesteps(STEPS)
    if begin and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    return scheduler


def walked(scheduler: Any, *, begin: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """The last sample, with a model that answers to its sample."""
    generator = torch.Generator().manual_seed(3)
    sample, other = torch.randn(2, 1, 4, 8, 8, generator=generator).to(dtype)
    for timestep in scheduler.timesteps[begin:]:
        output = (0.3 * scheduler.scale_model_input(sample, timestep) + other).tanh()
        sample = scheduler.step(output, timestep, sample, return_dict=False)[0]
    return sample


def difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("begin", [0, 5])
@pytest.mark.parametrize(("kind", "config"), LINEAR)
def test_a_walk_by_the_table_ends_where_the_solver_ends(
    kind: type, config: dict[str, Any], begin: int
) -> None:
    """From the first step, and from the middle as image-to-image begins."""
    tables = Tables()
    wanted = walked(made(kind, config, begin=begin), begin=begin)
    for _ in range(2):  # a table that is being made, and one that is there
        scheduler = made(kind, config, begin=begin)
        tables.install(scheduler)
        assert difference(walked(scheduler, begin=begin), wanted) < 2e-6
        # DDIM does not count.
        assert getattr(scheduler, "step_index", STEPS) == STEPS


def test_what_one_job_found_out_the_next_need_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffusers' step is asked once for each step of a configuration, however many jobs."""
    asked: list[int] = []
    step = DPMSolverMultistepScheduler.step

    def counted(self: Any, *args: Any, **more: Any) -> Any:
        asked.append(self.step_index)
        return step(self, *args, **more)

    monkeypatch.setattr(DPMSolverMultistepScheduler, "step", counted)
    tables = Tables()
    for _ in range(3):
        scheduler = made(DPMSolverMultistepScheduler, {})
        tables.install(scheduler)
        walked(scheduler)
    assert asked == list(range(STEPS))


def test_jobs_of_other_steps_or_settings_have_tables_of_their_own() -> None:
    """Two walks of different noise levels side by side end as alone."""
    tables = Tables()
    for config in ({}, {"use_karras_sigmas": True}, {"prediction_type": "v_prediction"}):
        scheduler = made(DPMSolverMultistepScheduler, config)
        tables.install(scheduler)
        wanted = walked(made(DPMSolverMultistepScheduler, config))
        assert difference(walked(scheduler), wanted) < 2e-6


@pytest.mark.parametrize(("kind", "config"), NOT_LINEAR)
def test_a_step_that_is_no_sum_is_left_alone(kind: type, config: dict[str, Any]) -> None:
    """Clipping, noise of its own, a class that nobody has looked at."""
    scheduler = made(kind, config)
    before = scheduler.step
    Tables().install(scheduler)
    assert scheduler.step == before


class Away(Tensor):
    """A tensor on a device that this machine may not have: it can only be fetched."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        assert func is Tensor.cpu, f"{func} far away"
        return super().__torch_function__(func, types, args, kwargs).as_subclass(Tensor)


def test_levels_on_the_device_are_asked_for_at_home() -> None:
    """An edit has DDIM move its levels to where the picture is."""
    tables = Tables()
    scheduler = made(DDIMScheduler, {"clip_sample": False})
    tables.install(scheduler)
    timestep, sample = scheduler.timesteps[0], torch.ones(1, 4, 2, 2)
    wanted = made(DDIMScheduler, {"clip_sample": False}).step(
        sample, timestep, sample, return_dict=False
    )[0]
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.as_subclass(Away)

    found = scheduler.step(sample, timestep, sample, return_dict=False)[0]
    assert difference(found, wanted) < 2e-6


def test_half_precision_goes_the_solver_s_own_way() -> None:
    """Rounding between the operations would differ."""
    scheduler, plain = (made(DPMSolverMultistepScheduler, {}) for _ in range(2))
    Tables().install(scheduler)
    found = walked(scheduler, dtype=torch.float16)
    assert torch.equal(found, walked(plain, dtype=torch.float16))


@pytest.mark.parametrize(
    ("kind", "config", "noise"),
    [
        pytest.param(EulerDiscreteScheduler, {}, {"s_churn": 1.0}, id="churn"),
        pytest.param(DDIMScheduler, {"clip_sample": False}, {"eta": 0.5}, id="eta"),
    ],
)
def test_a_step_that_draws_noise_goes_the_solver_s_own_way(
    kind: type, config: dict[str, Any], noise: dict[str, float]
) -> None:
    """What is random is no sum."""
    found = []
    for install in (True, False):
        scheduler = made(kind, config)
        if install:
            Tables().install(scheduler)
        timestep, generator = scheduler.timesteps[0], torch.Generator().manual_seed(1)
        sample = scheduler.scale_model_input(torch.ones(1, 4, 2, 2), timestep)
        more = {"generator": generator, "return_dict": False} | noise
        found.append(scheduler.step(sample * 0.1, timestep, sample, **more)[0])
    assert torch.allclose(*found)
    assert found[0].unique().numel() > 1
