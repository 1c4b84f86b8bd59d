"""Options of `deploy` that are the installation's: said once, they hold until others are said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

#: What holds where nobody has ever said anything.
USUAL: Mapping[str, Sequence[str]] = {
    "overlay": ("dev",),
    "runtime": ("demo",),
    "expose": ("none",),
}
#: They go with the load balancer that they are about.
_OF_A_BALANCER = frozenset({"hostname", "zone", "expose-cidr"})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Name of an option -> its values; none: it was said to be as if it had never been given."""

    values: Mapping[str, Sequence[str]]

    @classmethod
    def given(cls, **said: str | Sequence[str] | None) -> Self:
        """Those of a command line; None: it does not say it, empty: it takes it back."""
        values = {}
        for name, value in said.items():
            if value is not None:
                all_of_it = (value,) if isinstance(value, str) else value
                values[name.replace("_", "-")] = tuple(filter(None, all_of_it))
        return cls(values=values)

    def over(self, before: "Options") -> "Options":
        """These, and of `before` what these say nothing of."""
        return Options(values={**before._without(self), **self.values})

    def told(self, before: "Options") -> Iterator[str]:
        """For people: what is taken from `before`, and what is not as it was."""
        kept = before._without(self)
        unusual = {name: values for name, values in kept.items() if values != USUAL.get(name)}
        if unusual:
            yield f"as before: {' '.join(Options(values=unusual).words())}"
        for name in sorted({*self.values, *(before.values.keys() - kept.keys())}):
            was, now = before.of(name), self.of(name)
            if was != now:
                yield f"--{name} was {_said(was)}, now {_said(now)}"

    def words(self) -> list[str]:
        """The words of a command line that says the same."""
        pairs = [
            (f"--{name}", each)
            for name, all_of_it in self.values.items()
            for each in all_of_it or ("''",)
        ]
        return [word for pair in pairs for word in pair]

    def of(self, name: str) -> Sequence[str]:
        """All values of an option that may be given more than once."""
        return self.values.get(name, ()) or USUAL.get(name, ())

    def one(self, name: str) -> str | None:
        """The value of an option that is given once."""
        return next(iter(self.of(name)), None)

    def _without(self, said: "Options") -> dict[str, Sequence[str]]:
        gone = set(said.values)
        if "expose" in gone and said.one("expose") == "none":
            gone |= _OF_A_BALANCER
        elif "expose" in gone and said.one("expose") != self.one("expose"):
            # Who may come from the internet is not who may come from the VPC.
            gone.add("expose-cidr")
        return {name: values for name, values in self.values.items() if name not in gone}


def _said(values: Sequence[str]) -> str:
    return " ".join(values) or "not given"
