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
from functools import cache, partial, update_wrapper
from inspect import signature
from typing import Any

import torch
from torch import Tensor

#: What each class remembers between steps. `timestep_list` is left out: it enters no sum.
REMEMBERED = {
    "DDIMScheduler": (),
    "DPMSolverMultistepScheduler": ("model_outputs",),
    "EulerDiscreteScheduler": (),
    "UniPCMultistepScheduler": ("model_outputs", "last_sample"),
}
#: Counters that a step moves on.
COUNTERS = ("_step_index", "lower_order_nums", "this_order")
#: What pipelines say to a step and makes it no other sum: without an `eta` that is not 0, no noise
#: is drawn.
USUAL = frozenset({"return_dict", "generator", "eta"})
#: A weight below this is what rounding leaves of zero.
NOTHING = 1e-10
#: Tables kept: a few kB each, for each configuration and number of steps.
MAX_TABLES = 256


@dataclass(frozen=True, kw_only=True)
class Sum:
    """A weighted sum of some of a step's inputs."""

    #: Of the first; None for 1. A tensor of no dimensions: a number takes PyTorch twice as long.
    factor: Tensor | None
    #: Which inputs, each with its weight.
    parts: tuple[tuple[int, float], ...]

    @classmethod
    def seen(cls, answer: Tensor) -> "Sum":
        """As a step answered to the unit vectors: (1, inputs)."""
        weights = enumerate(answer.flatten().tolist())
        # So that what is not a number is kept: a job whose picture is none must fail.
        parts = tuple((i, w) for i, w in weights if not abs(w) <= NOTHING)
        plain = not parts or parts[0][1] == 1
        return cls(factor=None if plain else torch.tensor(parts[0][1]), parts=parts)

    def of(self, inputs: Sequence[Tensor]) -> Tensor:
        """Its value; an input itself where that is the sum."""
        if not self.parts:
            return torch.zeros_like(inputs[0])
        total = inputs[self.parts[0][0]]
        is_ours = self.factor is not None
        if self.factor is not None:
            total = total * self.factor
        for index, weight in self.parts[1:]:
            # An input must stay as it is; what we made may be added to in place.
            add = total.add_ if is_ours else total.add
            total, is_ours = add(inputs[index], alpha=weight), True
        return total


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step: the next sample, what is remembered then, and the counters after it."""

    #: What the sample is multiplied with before the model sees it; of no dimensions.
    scale: Tensor
    sample: Sum
    remembered: tuple[Sum | None, ...]
    counters: tuple[tuple[str, int], ...]


#: A row by its place (`Walk._place`), the counters before it, and what was remembered then.
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

        # Pipelines look at the signature of `step` to know what it takes; a partial can have one.
        scheduler.step = update_wrapper(partial(Walk.step, walk), scheduler.step)
        # Only those that scale ask to be told of it.
        if hasattr(scheduler, "is_scale_input_called"):
            scheduler.scale_model_input = walk.scaled

    def of(self, scheduler: Any) -> Table:
        """The table for its configuration and noise levels."""
        settings = repr(sorted(scheduler.config.items()))
        levels = _levels(vars(scheduler)).cpu().numpy().tobytes()
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
        self._names = REMEMBERED[type(scheduler).__name__]
        self._table: Table = {}
        self._levels: Tensor | None = None
        #: The row that `scaled` has found, for the `step` that follows.
        self._found: Row | None = None

    def step(self, output: Tensor, timestep: Any, sample: Tensor, **more: Any) -> Any:
        """As the scheduler's own, which takes what is no sum in single precision."""
        found, self._found = self._found, None
        is_usual = more.get("return_dict") is False and not more.get("eta") and more.keys() <= USUAL
        if not is_usual or not output.dtype == sample.dtype == torch.float32:
            return self._step(output, timestep, sample, **more)
        if not self._names:
            row = found or self._row(timestep, ())
            self._state.update(row.counters)
            return (row.sample.of((sample, output)),)
        remembered = _remembered(self._state, self._names)
        row = found or self._row(timestep, remembered)
        inputs = [sample, output, *[part for part in remembered if part is not None]]
        after = [None if part is None else part.of(inputs) for part in row.remembered]
        _remember(self._state, self._names, after)
        self._state.update(row.counters)
        return (row.sample.of(inputs),)

    def scaled(self, sample: Tensor, timestep: Any) -> Tensor:
        """As the scheduler's `scale_model_input`."""
        self._found = None
        if sample.dtype != torch.float32:
            return self._scaled(sample, timestep)
        self._state["is_scale_input_called"] = True
        self._found = self._row(timestep, _remembered(self._state, self._names))
        return sample * self._found.scale

    def _row(self, timestep: Any, remembered: Sequence[Tensor | None]) -> Row:
        """The row of where it is: its counters, and what it remembers by now."""
        state = self._state
        levels = _levels(state)
        if self._levels is not levels:
            self._levels, self._table = levels, self._tables.of(self._scheduler)
        orders = state.get("lower_order_nums"), state.get("this_order")
        known = tuple([part is not None for part in remembered])
        key = self._place(timestep), orders, known
        row = self._table.get(key)
        if row is None:
            row = self._table[key] = _asked(self._scheduler, self._step, timestep)
        return row

    def _place(self, timestep: Any) -> int:
        """The number of the step, or the timestep where nobody counts."""
        if "_step_index" not in self._state:
            return int(timestep)
        if self._state["_step_index"] is None:
            self._scheduler._init_step_index(timestep)
        return int(self._state["_step_index"])


def _is_linear(scheduler: Any) -> bool:
    # A configuration may say things that are meant for other classes.
    known = _settings(type(scheduler))  # type: ignore[arg-type]  # a class can be hashed
    config = {name: value for name, value in scheduler.config.items() if name in known}
    return (
        type(scheduler).__name__ in REMEMBERED
        and not config.get("thresholding")
        and not config.get("clip_sample")
        and not str(config.get("algorithm_type")).startswith("sde")
        and config.get("solver_p") is None
    )


@cache
def _settings(kind: type) -> frozenset[str]:
    """The names of what the class can be told."""
    return frozenset(signature(kind.__init__).parameters)  # type: ignore[misc]


def _asked(scheduler: Any, by_object: Any, timestep: Any) -> Row:
    """Ask the scheduler's own step, on a copy, what it does with the unit vectors."""
    asked = copy.copy(scheduler)
    for name in ("step", "scale_model_input"):
        vars(asked).pop(name, None)
    # Where pictures are edited, DDIM has moved its levels to the device.
    here = {name: value.cpu() for name, value in vars(asked).items() if isinstance(value, Tensor)}
    vars(asked).update(here)
    timestep = timestep.cpu() if isinstance(timestep, Tensor) else timestep
    names = REMEMBERED[type(scheduler).__name__]
    known = [part is not None for part in _remembered(vars(scheduler), names)]
    units = iter(torch.eye(2 + sum(known)).unsqueeze(1))
    sample, output = next(units), next(units)
    _remember(vars(asked), names, [next(units) if is_known else None for is_known in known])
    if hasattr(asked, "timestep_list"):
        asked.timestep_list = list(asked.timestep_list)
    scale = asked.scale_model_input(torch.ones(1), timestep)[0].float()
    answer = by_object.__func__(asked, output, timestep, sample, return_dict=False)[0]
    after = [None if part is None else Sum.seen(part) for part in _remembered(vars(asked), names)]
    counters = tuple((name, vars(asked)[name]) for name in COUNTERS if name in vars(asked))
    return Row(scale=scale, sample=Sum.seen(answer), remembered=tuple(after), counters=counters)


def _levels(state: Mapping[str, Any]) -> Tensor:
    """At which levels of noise it will be."""
    levels = state.get("sigmas")
    return state["timesteps"] if levels is None else levels


def _remembered(state: Mapping[str, Any], names: Sequence[str]) -> list[Tensor | None]:
    """The tensors between two steps, in one row."""
    found: list[Tensor | None] = []
    for name in names:
        value = state[name]
        found += value if isinstance(value, list) else [value]
    return found


def _remember(state: dict[str, Any], names: Sequence[str], parts: list[Tensor | None]) -> None:
    start = 0
    for name in names:
        if isinstance(state[name], list):
            end = start + len(state[name])
            state[name] = parts[start:end]
        else:
            end = start + 1
            state[name] = parts[start]
        start = end
