"""One parked call of a denoiser, and one forward for several of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from serve_app.engine.rows import (
    RULES,
    Rule,
    Signature,
    have_one_signature,
    merged,
    padding,
    signature,
    split,
)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Calls of equal key can share a forward: same weights, shapes, text length, adapters."""

    module: int
    signature: Signature
    #: Worked out once: a key is looked up several times a tick for each call.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash the signature, which is long and never changes."""
        object.__setattr__(self, "_hash", hash((self.module, self.signature)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def shape(self) -> Any:
        """The sample's shape without its rows, for logs and metrics."""
        return self.signature[0][1][1]


class Forward(NamedTuple):
    """A call of a denoiser that waits for its turn; each step of each job makes one."""

    module: Any
    rule: Rule
    arguments: Mapping[str, Any]
    rows: int
    key: Key

    @classmethod
    def of_call(
        cls,
        module: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        last: "Forward | None" = None,
    ) -> "Forward":
        """The call that a pipeline makes; most differ from its `last` one in numbers alone."""
        rule = RULES[type(module).__name__]
        arguments = dict(zip(rule.positional, args, strict=False))
        arguments.update(kwargs)
        rows = arguments[rule.positional[0]].shape[0]
        if last is not None and have_one_signature(rule, last.arguments, arguments, rows):
            key = last.key
        else:
            key = Key(module=id(module), signature=signature(rule, arguments, rows))
        return cls(module=module, rule=rule, arguments=arguments, rows=rows, key=key)


def run(calls: Sequence[Forward], *, to_rows: int = 0, module: Any = None) -> list[Any]:
    """One forward for calls of equal key; what each would have got alone.

    With `to_rows` the forward has at least that many: the rest repeats the last row. `module`
    may be another one with the same weights.
    """
    first = calls[0]
    module = module or first.module
    rows = [call.rows for call in calls]
    missing = to_rows - sum(rows)
    if len(calls) == 1 and missing <= 0:
        return [module(**first.arguments)]
    arguments = [call.arguments for call in calls]
    if missing > 0:
        arguments.append(padding(arguments[-1], first.rule, missing))
        rows.append(missing)
    output = module(**merged(first.rule, arguments, rows))
    return split(output, rows)[: len(calls)]
