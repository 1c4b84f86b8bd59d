"""One stage of training: steps, learning rate, averaged weights, checkpoints, progress.

Every stage (autoencoder, text encoder, denoiser) is a loss of a step number; all else is here.
The batch of a step depends on the seed and the step alone, so a resumed run sees what an
uninterrupted one would have seen.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]

from training import checkpoint

#: Seconds between two checkpoints: at most this much work is lost when the process is killed.
CHECKPOINT_EVERY_S = 60.0

Loss = Callable[[int], Tensor]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast a stage learns."""

    name: str
    steps: int
    learning_rate: float
    warmup_steps: int = 200
    #: Share of the steps, at the end, in which the rate falls to zero. A flat rate before that
    #: lets a later run raise `steps` and go on, which a cosine would not.
    decay_share: float = 0.3
    ema_decay: float = 0.999
    weight_decay: float = 0.0
    gradient_clip: float = 1.0

    def rate(self, step: int) -> float:
        """Learning rate of a step: ramp, plateau, then a straight line to zero."""
        ramp = min(1.0, (step + 1) / self.warmup_steps)
        left = (self.steps - step) / max(1.0, self.steps * self.decay_share)
        return self.learning_rate * ramp * min(1.0, left)


class Stage:
    """Trains `module` in place; `averaged` holds the exponential mean of its weights."""

    def __init__(self, plan: Plan, module: nn.Module, *, folder: Path, device: str) -> None:
        self.plan = plan
        self.module = module
        self.step = 0
        self._path = folder / f"{plan.name}.pt"
        self._optimizer = torch.optim.AdamW(
            module.parameters(),
            plan.learning_rate,
            (0.9, 0.99),
            weight_decay=plan.weight_decay,
            fused=True,  # one pass over the weights instead of a dozen
        )
        self.averaged = {k: v.detach().clone() for k, v in module.state_dict().items()}
        self._resume(device)

    @property
    def is_finished(self) -> bool:
        """True once every planned step is done."""
        return self.step >= self.plan.steps

    def train(self, loss: Loss, *, deadline: float = float("inf")) -> None:
        """Run the remaining steps, or until `deadline` (seconds of `time.time`)."""
        saved_at = time.time()
        smooth = 0.0
        with tqdm(total=self.plan.steps, initial=self.step, desc=self.plan.name) as bar:
            while not self.is_finished and time.time() < deadline:
                value = self._advance(loss)
                smooth = value if smooth == 0.0 else 0.98 * smooth + 0.02 * value
                bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
                bar.update()
                if time.time() - saved_at > CHECKPOINT_EVERY_S:
                    self.save()
                    saved_at = time.time()
        self.save()

    def use_averaged(self) -> None:
        """Load the averaged weights into the module, to export or evaluate it."""
        self.module.load_state_dict(self.averaged)

    def save(self) -> None:
        """Write weights, averages and optimizer."""
        state = {
            "step": self.step,
            "module": self.module.state_dict(),
            "averaged": self.averaged,
            "optimizer": self._optimizer.state_dict(),
        }
        checkpoint.save(self._path, state)

    def _resume(self, device: str) -> None:
        state = checkpoint.load(self._path, device=device)
        if state is None:
            return
        self.step = state["step"]
        self.module.load_state_dict(state["module"])
        self.averaged = state["averaged"]
        self._optimizer.load_state_dict(state["optimizer"])

    def _advance(self, loss: Loss) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step)
        value = loss(self.step)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.plan.gradient_clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self._average()
        return float(value.item())

    def _average(self) -> None:
        # Early on the mean follows quickly, or it would remember the random start for long.
        decay = min(self.plan.ema_decay, (1 + self.step) / (10 + self.step))
        for key, value in self.module.state_dict().items():
            mean = self.averaged[key]
            if mean.is_floating_point():
                mean.lerp_(value.detach(), 1 - decay)
            else:
                mean.copy_(value)
