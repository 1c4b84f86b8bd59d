"""The words that a small model knows: `vocabulary.txt` beside its weights, one a line."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model; none at all means that it takes whatever it is given."""

    words: tuple[str, ...] = ()

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The vocabulary of the model in `directory`; most models list none."""
        path = directory / "vocabulary.txt"
        return cls(tuple(path.read_text("utf-8").split())) if path.is_file() else cls()

    def warning(self, prompt: str) -> str | None:
        """Which words of `prompt` the model does not know, and those that it does."""
        if not self.words:
            return None
        unknown = dict.fromkeys(w for w in _WORD.findall(prompt.lower()) if w not in self.words)
        if not unknown:
            return None
        return f"the model does not know {', '.join(unknown)}; it knows {', '.join(self.words)}"
