"""A picture of a call that is still being made: what its last prediction says is under the noise.

Nothing is computed unless somebody asks. The formulas are those by which each kind of scheduler
defines its prediction: Ho et al. 2020 (noise), Salimans and Ho 2022 (velocity), Lipman et al.
2023 (flow); sigma-space schedulers as in Karras et al. 2022.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import wraps
from typing import Any

from torch import Tensor

from serve_app.engine.aside import Aside

#: They scale the sample for the model, so their sample is signal plus sigma times noise.
SIGMA_SPACE = frozenset(
    {
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "LMSDiscreteScheduler",
    }
)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a scheduler's `step` was given, and the sigma that it was at, if it has one."""

    output: Tensor
    timestep: Any
    sample: Tensor
    sigma: float | None


def nothing() -> None:
    """Nobody wants to know."""


class Watch:
    """Remembers the last step of a scheduler, and says `after` each that it is done.

    A pipeline's own callback would say so, too, but only after all its variables were gathered,
    which takes longer than the step.
    """

    def __init__(self, scheduler: Any) -> None:
        self.after: Callable[[], None] = nothing
        self._scheduler = scheduler
        self._last: tuple[Any, Any, Any] | None = None
        step = scheduler.step

        # Pipelines look at the signature of `step` to know whether it takes a generator.
        @wraps(step)
        def watched(output: Any, timestep: Any, sample: Any, *args: Any, **more: Any) -> Any:
            self._last = output, timestep, sample
            done = step(output, timestep, sample, *args, **more)
            self.after()
            return done

        scheduler.step = watched

    def close(self) -> None:
        """Forget all: a scheduler that knows itself is kept, with its tensors, until a sweep."""
        self.after, self._last = nothing, None
        for name in ("step", "scale_model_input"):
            vars(self._scheduler).pop(name, None)

    def clean(self) -> Tensor | None:
        """The latents without the noise, as predicted in the last step; None before the first."""
        if self._last is None:
            return None
        output, timestep, sample = self._last
        sigmas = getattr(self._scheduler, "sigmas", None)
        index = getattr(self._scheduler, "step_index", None)
        sigma = None
        if sigmas is not None and index:
            sigma = float(sigmas[index - 1])  # `step` has counted itself already
        seen = Prediction(output=output, timestep=timestep, sample=sample, sigma=sigma)
        return _clean(self._scheduler, seen)


def _clean(scheduler: Any, seen: Prediction) -> Tensor:
    kind = scheduler.config.get("prediction_type", "epsilon")
    if type(scheduler).__name__.startswith("FlowMatch"):
        return seen.sample - (seen.sigma or 0.0) * seen.output
    if kind == "sample":
        return seen.output
    if type(scheduler).__name__ in SIGMA_SPACE and seen.sigma is not None:
        one = seen.sigma**2 + 1
        if kind == "v_prediction":
            return seen.sample / one - seen.output * seen.sigma / one**0.5
        return seen.sample - seen.sigma * seen.output
    alpha = float(scheduler.alphas_cumprod[int(seen.timestep)])
    signal, noise = alpha**0.5, (1 - alpha) ** 0.5
    if kind == "v_prediction":
        return signal * seen.sample - noise * seen.output
    return (seen.sample - noise * seen.output) / max(signal, 1e-6)


def aside(actor: Any, clean: Tensor | None, arguments: Any, lock: threading.Lock) -> Aside | None:
    """The decoding of `clean` by the call's own parts; None if there is nothing to see yet."""
    if clean is None:
        return None

    def decoded() -> Any:
        latents = clean
        if hasattr(actor, "_unpack_latents"):  # FLUX packs 2 x 2 latents into one token
            height, width = arguments["height"], arguments["width"]
            latents = actor._unpack_latents(latents, height, width, actor.vae_scale_factor)
        config = actor.vae.config
        shift = getattr(config, "shift_factor", None) or 0.0
        scaled = (latents / config.scaling_factor + shift).to(actor.vae.dtype)
        pixels = actor.vae.real.decode(scaled, return_dict=False)[0]
        return actor.image_processor.real.postprocess(pixels.float(), output_type="pil")[0]

    return Aside(stage="preview", call=decoded, lock=lock)


def deliver(picture: Future[Any], done: Future[Any]) -> None:
    """Hand the aside's outcome to whoever asked."""
    error = done.exception()
    if error is None:
        picture.set_result(done.result())
    else:
        picture.set_exception(error)
