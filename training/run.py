"""Which run a folder's checkpoints belong to: another seed or start must not go on with them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from training.errors import FolderTakenError, NoModelError


@dataclass(frozen=True, kw_only=True)
class Run:
    """What all of a run's batches and first weights follow from."""

    seed: int
    #: SHA-256 of the weights that it goes on from; None from scratch.
    start: str | None
    decoder_only: bool

    @classmethod
    def of(cls, *, seed: int, start_from: Path | None, decoder_only: bool) -> "Run":
        """Read the weights to go on from."""
        start = None if start_from is None else _digest(start_from)
        return cls(seed=seed, start=start, decoder_only=decoder_only)

    def claim(self, folder: Path) -> None:
        """Mark the folder as this run's; FolderTakenError if it is another's."""
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / "run.json"
        if mark.exists():
            found = json.loads(mark.read_text())
            if found != asdict(self):
                raise FolderTakenError(
                    f"{folder} holds another run's checkpoints ({found}, this is {asdict(self)}): "
                    "give another --folder, or delete this one"
                )
            return
        if any(folder.glob("*.pt")):
            raise FolderTakenError(
                f"{folder} holds checkpoints of nobody knows which run: give another --folder, or "
                "delete this one"
            )
        unfinished = mark.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self)) + "\n")
        unfinished.replace(mark)


def _digest(model: Path) -> str:
    digest = hashlib.sha256()
    weights = sorted(model.rglob("*.safetensors"))
    if not weights:
        raise NoModelError(f"{model} holds no weights to go on from: --from models/demo does")
    for path in weights:
        digest.update(str(path.relative_to(model)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
