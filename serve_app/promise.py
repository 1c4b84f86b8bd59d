"""Whether this installation can serve what runtimes.yaml promises.

Everything here reads files only: the ingress must stay small, and the head of a cluster has
neither torch nor diffusers. What only loading can show is seen by the replica's constructor.
"""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from jobs.catalogue import Model, Runtime
from jobs.inputs import Task
from serve_app.errors import CannotServe

#: The class in model_index.json, and the classes that do each task with the same weights.
FAMILIES: dict[str, dict[Task, str]] = {
    f"{family}Pipeline": {
        Task.TEXT_TO_IMAGE: f"{family}Pipeline",
        Task.IMAGE_TO_IMAGE: f"{family}Img2ImgPipeline",
        Task.INPAINT: f"{family}InpaintPipeline",
    }
    for family in ("StableDiffusion", "StableDiffusionXL", "StableDiffusion3", "Flux")
}


def check(name: str, runtime: Runtime, models_root: Path) -> None:
    """Raise `CannotServe`, naming all that is missing, unless the runtime can be served."""
    known = known_schedulers()
    missing = [
        f"{name}/{model_name}: {reason}"
        for model_name, model in runtime.models.items()
        for reason in _missing(model, models_root / model.path, known)
    ]
    if missing:
        raise CannotServe("; ".join(missing))


def pipeline_class(directory: Path) -> str:
    """The pipeline class of the model in `directory`; `CannotServe` if there is no model."""
    index = directory / "model_index.json"
    if not directory.is_dir():
        raise CannotServe(f"there is no directory {directory}")
    try:
        name = json.loads(index.read_bytes())["_class_name"]
    except FileNotFoundError:
        raise CannotServe(f"{directory} has no model_index.json") from None
    except (ValueError, LookupError, TypeError) as error:
        raise CannotServe(f"{index} names no _class_name: {error}") from error
    if name not in FAMILIES:
        raise CannotServe(f"{index} is a {name}, served are {', '.join(sorted(FAMILIES))}")
    return str(name)


def known_schedulers() -> frozenset[str] | None:
    """The schedulers of the diffusers that is installed; None where there is none."""
    spec = find_spec("diffusers")
    if spec is None or spec.origin is None:
        return None
    # Importing it would take seconds and 300 MB; its list of names is a table of strings.
    table = Path(spec.origin).with_name("schedulers") / "__init__.py"
    return frozenset(re.findall(r'"(\w+Scheduler)"', table.read_text()))


def _missing(model: Model, directory: Path, known: frozenset[str] | None) -> Iterator[str]:
    try:
        family = pipeline_class(directory)
    except CannotServe as error:
        yield str(error)
    else:
        for task in model.tasks:
            if task not in FAMILIES[family]:
                yield f"{family} does not do {task}"
    for scheduler in model.schedulers:
        if known is not None and scheduler not in known:
            yield f"diffusers has no scheduler {scheduler}"
