"""How the arguments of denoiser calls are put together along their rows, and taken apart again.

A row is one latent picture in a forward: with guidance a picture has two. Each denoiser class
has a rule that says which of its arguments differ from row to row and which must be equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import NoneType
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The arguments of a denoiser class that are not simply one tensor row per picture."""

    #: Names of what the pipelines pass by position; the first has the rows.
    positional: tuple[str, ...]
    #: Tensors without rows, the same for the whole forward.
    shared: frozenset[str] = frozenset()
    #: Numbers that become one per row, with this many further dimensions to broadcast over.
    numbers: Mapping[str, int]


_CONTROL = {"timestep": 0, "conditioning_scale": 3}
_IDS = frozenset({"txt_ids", "img_ids"})

#: By class name: the classes themselves would import all of Diffusers.
RULES: dict[str, Rule] = {
    "UNet2DConditionModel": Rule(positional=("sample", "timestep"), numbers={"timestep": 0}),
    "ControlNetModel": Rule(positional=("sample", "timestep"), numbers=_CONTROL),
    "MultiControlNetModel": Rule(positional=("sample", "timestep"), numbers=_CONTROL),
    "SD3Transformer2DModel": Rule(positional=("hidden_states",), numbers={"timestep": 0}),
    "FluxTransformer2DModel": Rule(
        positional=("hidden_states",), shared=_IDS, numbers={"timestep": 0}
    ),
}

#: What says the same for as long as it is the same object; a list may get other things in it.
LASTING = frozenset({NoneType, Tensor, bool, float, int, str})

#: What two calls must have in common to share a forward; equal signatures, equal shapes.
Signature = tuple[Any, ...]


def signature(rule: Rule, arguments: Mapping[str, Any], rows: int) -> Signature:
    """What of `arguments` must be equal for two calls to be put together."""
    return tuple([(name, _sign(rule, name, value, rows)) for name, value in arguments.items()])


def _sign(rule: Rule, name: str, value: Any, rows: int) -> Any:
    if value is None:
        return None  # most of them are, and every call of every step is signed
    if isinstance(value, Tensor):
        if name in rule.shared:
            return digest(value)
        if value.dim() == 0:
            return "number"
        # Anything else than one row per picture cannot be cut apart again: it runs alone.
        return value.dtype, value.shape[1:] if value.shape[0] == rows else ("alone", id(value))
    if name in rule.numbers and isinstance(value, int | float):
        return "number"
    if isinstance(value, Mapping):
        return tuple((key, _sign(rule, name, part, rows)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(_sign(rule, name, part, rows) for part in value)
    return value if isinstance(value, bool | int | float | str) else repr(value)


def have_one_signature(
    rule: Rule, ours: Mapping[str, Any], others: Mapping[str, Any], rows: int
) -> bool:
    """Whether they surely do, told at a glance; False means that one has to look."""
    return list(ours) == list(others) and all(
        _is_like(rule, name, ours[name], others[name], rows) for name in ours
    )


def _is_like(rule: Rule, name: str, ours: Any, other: Any, rows: int) -> bool:
    if ours is other and type(ours) in LASTING:
        return True
    if isinstance(ours, Tensor):
        is_row_by_row = isinstance(other, Tensor) and name not in rule.shared
        return (
            is_row_by_row
            and ours.shape == other.shape
            and ours.dtype == other.dtype
            and (ours.dim() == 0 or ours.shape[0] == rows)
        )
    if isinstance(ours, Mapping):
        return (
            isinstance(other, Mapping)
            and list(ours) == list(other)
            and all(_is_like(rule, name, ours[key], other[key], rows) for key in ours)
        )
    return False


def digest(tensor: Tensor) -> bytes:
    """The same for equal bytes; NumPy knows no bfloat16, so the bytes are taken."""
    data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return blake2b(data.tobytes(), digest_size=16).digest()


def merged(rule: Rule, calls: Sequence[Mapping[str, Any]], rows: Sequence[int]) -> dict[str, Any]:
    """The arguments of one forward for calls of equal signature."""
    sample: Tensor = calls[0][rule.positional[0]]
    return {
        name: _merge(rule, name, [call[name] for call in calls], rows, sample) for name in calls[0]
    }


def _merge(rule: Rule, name: str, values: list[Any], rows: Sequence[int], sample: Tensor) -> Any:
    first = values[0]
    if isinstance(first, Mapping):
        return {
            key: _merge(rule, name, [value[key] for value in values], rows, sample) for key in first
        }
    if isinstance(first, list | tuple):
        parts = zip(*values, strict=True)
        return type(first)(_merge(rule, name, list(part), rows, sample) for part in parts)
    if isinstance(first, Tensor) and first.dim() > 0:
        return first if name in rule.shared else torch.cat(values)
    if name in rule.numbers and first is not None:
        return _per_row(values, rows, sample, further=rule.numbers[name])
    return first


def _per_row(values: list[Any], rows: Sequence[int], sample: Tensor, *, further: int) -> Tensor:
    """One number per row, made without waiting for the device.

    Timesteps stay in single precision, which holds all of them exactly (they are whole, or were
    float32 before). What multiplies the sample must have its dtype, or it would change it.
    """
    dtype = sample.dtype if further else torch.float32
    each = [
        torch.as_tensor(value, dtype=dtype, device=sample.device).expand(count)
        for value, count in zip(values, rows, strict=True)
    ]
    return torch.cat(each).reshape(-1, *[1] * further)


def split(output: Any, rows: Sequence[int]) -> list[Any]:
    """The output of a forward, cut into one for each call."""
    if isinstance(output, Tensor):
        return list(output.split(list(rows)))
    parts = [split(part, rows) for part in output]
    return [type(output)(part[index] for part in parts) for index in range(len(rows))]


def padding(call: Mapping[str, Any], rule: Rule, rows: int) -> dict[str, Any]:
    """A call of `rows` rows that repeats the last row of `call`: company for a fixed count."""
    return {name: _last(rule, name, value, rows) for name, value in call.items()}


def _last(rule: Rule, name: str, value: Any, rows: int) -> Any:
    if isinstance(value, Mapping):
        return {key: _last(rule, name, part, rows) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_last(rule, name, part, rows) for part in value)
    if isinstance(value, Tensor) and value.dim() > 0 and name not in rule.shared:
        return value[-1:].expand(rows, *value.shape[1:])
    return value
