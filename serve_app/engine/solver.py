"""Steps of common solvers as precomputed sums: what a tick does beside its forward.

Diffusers works out a step's weights anew for every job and step, from tensors of one number each:
a hundred small operations. A step of these solvers is linear in what it is given (the sample, the
model's output) and in what it remembers of earlier steps, so its weights are found by asking
Diffusers' own code once, with the unit vectors in the place of latents, and kept for all jobs
with the same configuration and noise levels. Diffusers' step stays the oracle and the fallback.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor

#: What each class remembers between steps. `timestep_list` is left out: it enters no sum.
REMEMBERED = {
    "DPMSolverMultistepScheduler": ("model_outputs",),
    "EulerDiscreteScheduler": (),
    "UniPCMultistepScheduler": ("model_outputs", "last_sample"),
}
#: Counters that a step moves on.
COUNTERS = ("_step_index", "lower_order_nums", "this_order")
#: What pipelines say to a step that makes no sum of it: no noise is drawn in a linear one.
USUAL = frozenset({"return_dict", "generator"})
#: A weight below this is what rounding leaves of zero.
NOTHING = 1e-10
#: Tables kept: a few kB each, for each configuration and number of steps.
MAX_TABLES = 256


@dataclass(frozen=True, kw_only=True)
class Sum:
    """A weighted sum of some of a step's inputs."""

    parts: tuple[tuple[int, float], ...]

    @classmethod
    def seen(cls, answer: Tensor) -> "Sum":
        """As a step answered to the unit vectors: (1, inputs)."""
        weights = enumerate(answer.flatten().tolist())
        # So that what is not a number is kept: a job whose picture is none must fail.
        return cls(parts=tuple((i, w) for i, w in weights if not abs(w) <= NOTHING))

    def of(self, inputs: Sequence[Tensor]) -> Tensor:
        """Its value; an input itself where that is the sum."""
        if not self.parts:
            return torch.zeros_like(inputs[0])
        (first, weight), *rest = self.parts
        total = inputs[first] if weight == 1 else inputs[first] * weight
        for index, weight in rest:
            total = torch.add(total, inputs[index], alpha=weight)
        return total


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step: the next sample, what is remembered then, and the counters after it."""

    #: What the sample is multiplied with before the model sees it.
    scale: float
    sample: Sum
    remembered: tuple[Sum | None, ...]
    counters: tuple[tuple[str, int], ...]


#: A row by the counters before it and what was remembered then.
Table = dict[tuple[Any, ...], Row]


class Tables:
    """Installs tables into schedulers, and shares them among those that are alike."""

    def __init__(self) -> None:
        self._tables: OrderedDict[tuple[Any, ...], Table] = OrderedDict()

    def install(self, scheduler: Any) -> None:
        """Have `scheduler.step` look its sums up, if its steps are linear; else leave it."""
        if not _is_linear(scheduler):
            return
        walk = Walk(scheduler, self)

        # Pipelines look at the signature of `step` to know what it takes.
        @wraps(scheduler.step)
        def step(output: Tensor, timestep: Any, sample: Tensor, **more: Any) -> Any:
            return walk.step(output, timestep, sample, more)

        scheduler.step = step
        # Only those that scale ask to be told of it.
        if hasattr(scheduler, "is_scale_input_called"):
            scheduler.scale_model_input = walk.scaled

    def of(self, scheduler: Any) -> Table:
        """The table for its configuration and noise levels."""
        settings = repr(sorted(scheduler.config.items()))
        levels = scheduler.sigmas.cpu().numpy().tobytes()
        key = (type(scheduler).__name__, settings, levels)
        table = self._tables.setdefault(key, {})
        self._tables.move_to_end(key)
        if len(self._tables) > MAX_TABLES:
            self._tables.popitem(last=False)
        return table


class Walk:
    """One scheduler's steps by its table. Every tick takes them for each job: no work twice."""

    def __init__(self, scheduler: Any, tables: Tables) -> None:
        self._scheduler = scheduler
        self._tables = tables
        self._step, self._scaled = scheduler.step, scheduler.scale_model_input
        self._state = vars(scheduler)
        self._remembers = bool(REMEMBERED[type(scheduler).__name__])
        self._table: Table = {}
        self._levels: Tensor | None = None
        #: The row that `scaled` has found, for the `step` that follows.
        self._found: Row | None = None

    def step(self, output: Tensor, timestep: Any, sample: Tensor, more: Mapping[str, Any]) -> Any:
        """As the scheduler's own, which takes what is no sum in single precision."""
        found, self._found = self._found, None
        is_usual = more.get("return_dict") is False and more.keys() <= USUAL
        if not is_usual or not output.dtype == sample.dtype == torch.float32:
            return self._step(output, timestep, sample, **more)
        remembered = _remembered(self._scheduler) if self._remembers else []
        row = found or self._row(timestep, remembered)
        inputs = [sample, output, *(part for part in remembered if part is not None)]
        if self._remembers:
            after = [None if part is None else part.of(inputs) for part in row.remembered]
            _remember(self._scheduler, after)
        self._state.update(row.counters)
        return (row.sample.of(inputs),)

    def scaled(self, sample: Tensor, timestep: Any) -> Tensor:
        """As the scheduler's `scale_model_input`."""
        self._found = None
        if sample.dtype != torch.float32:
            return self._scaled(sample, timestep)
        self._state["is_scale_input_called"] = True
        self._found = self._row(timestep, _remembered(self._scheduler))
        return sample * self._found.scale

    def _row(self, timestep: Any, remembered: Sequence[Tensor | None]) -> Row:
        """The row of where it is: its counters, and what it remembers by now."""
        state = self._state
        if state["_step_index"] is None:
            self._scheduler._init_step_index(timestep)
        if self._levels is not state["sigmas"]:
            self._levels, self._table = state["sigmas"], self._tables.of(self._scheduler)
        orders = state.get("lower_order_nums"), state.get("this_order")
        key = state["_step_index"], orders, tuple([part is not None for part in remembered])
        if key not in self._table:
            self._table[key] = _asked(self._scheduler, self._step, timestep)
        return self._table[key]


def _is_linear(scheduler: Any) -> bool:
    config = scheduler.config
    return (
        type(scheduler).__name__ in REMEMBERED
        and not config.get("thresholding")
        and not str(config.get("algorithm_type")).startswith("sde")
        and config.get("solver_p") is None
    )


def _asked(scheduler: Any, by_object: Any, timestep: Any) -> Row:
    """Ask the scheduler's own step, on a copy, what it does with the unit vectors."""
    asked = copy.copy(scheduler)
    for name in ("step", "scale_model_input"):
        vars(asked).pop(name, None)
    known = [part is not None for part in _remembered(scheduler)]
    units = iter(torch.eye(2 + sum(known)).unsqueeze(1))
    sample, output = next(units), next(units)
    _remember(asked, [next(units) if is_known else None for is_known in known])
    if hasattr(asked, "timestep_list"):
        asked.timestep_list = list(asked.timestep_list)
    scale = float(asked.scale_model_input(torch.ones(1), timestep))
    answer = by_object.__func__(asked, output, timestep, sample, return_dict=False)[0]
    after = [None if part is None else Sum.seen(part) for part in _remembered(asked)]
    counters = tuple((name, vars(asked)[name]) for name in COUNTERS if name in vars(asked))
    return Row(scale=scale, sample=Sum.seen(answer), remembered=tuple(after), counters=counters)


def _remembered(scheduler: Any) -> list[Tensor | None]:
    """The tensors between two steps, in one row."""
    found: list[Tensor | None] = []
    for name in REMEMBERED[type(scheduler).__name__]:
        value = getattr(scheduler, name)
        found += value if isinstance(value, list) else [value]
    return found


def _remember(scheduler: Any, parts: Sequence[Tensor | None]) -> None:
    left = list(parts)
    for name in REMEMBERED[type(scheduler).__name__]:
        if isinstance(getattr(scheduler, name), list):
            size = len(getattr(scheduler, name))
            setattr(scheduler, name, left[:size])
            left = left[size:]
        else:
            setattr(scheduler, name, left.pop(0))
