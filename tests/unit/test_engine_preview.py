"""What a scheduler's last step says is under the noise."""

import diffusers
import pytest
import torch

from serve_app.engine.preview import Watch

CLEAN = torch.linspace(-1, 1, 64).reshape(1, 4, 4, 4)
NOISE = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))

#: Schedulers of both spaces and of both predictions.
KINDS = [
    ("DDIMScheduler", "epsilon"),
    ("DDIMScheduler", "v_prediction"),
    ("EulerDiscreteScheduler", "epsilon"),
    ("EulerDiscreteScheduler", "v_prediction"),
    ("HeunDiscreteScheduler", "epsilon"),
    ("DPMSolverMultistepScheduler", "epsilon"),
    ("UniPCMultistepScheduler", "epsilon"),
]


def perfect(scheduler, kind, timestep):
    """A noised sample, and what a perfect model would predict of it."""
    sample = scheduler.add_noise(CLEAN, NOISE, timestep[None])
    if kind == "epsilon":
        return sample, NOISE
    alpha = scheduler.alphas_cumprod[int(timestep)]
    return sample, alpha**0.5 * NOISE - (1 - alpha) ** 0.5 * CLEAN


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_perfect_prediction_shows_the_picture(name: str, kind: str) -> None:
    """After the first of ten steps already."""
    scheduler = getattr(diffusers, name)(prediction_type=kind)
    scheduler.set_timesteps(10)
    watch = Watch(scheduler)
    timestep = scheduler.timesteps[0]
    sample, output = perfect(scheduler, kind, timestep)
    scheduler.step(output, timestep, sample)

    assert torch.allclose(watch.clean(), CLEAN, atol=0.02)


def test_a_flow_shows_the_picture() -> None:
    """SD3 and FLUX predict the way from picture to noise."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(10)
    watch = Watch(scheduler)
    sigma = scheduler.sigmas[0]
    sample = (1 - sigma) * CLEAN + sigma * NOISE
    scheduler.step(NOISE - CLEAN, scheduler.timesteps[0], sample)

    assert torch.allclose(watch.clean(), CLEAN, atol=1e-5)


def test_before_the_first_step_there_is_nothing_to_see() -> None:
    """Only noise."""
    assert Watch(diffusers.DDIMScheduler()).clean() is None
