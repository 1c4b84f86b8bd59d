"""What the page posts to the API: the form's values as the body of a job."""

from collections.abc import Mapping
from typing import Any

from gradio_ui.control import controls
from jobs.view import ModelView

#: An input image brings its own size; see `jobs.inputs.FromImage`.
SIZE = frozenset({"width", "height"})


def job_request(model: ModelView, task: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `POST /v1/jobs`.

    Fields that were left empty, and those that the task does not have, are left out. Whether
    the rest is allowed is for the API to say: it is the only judge of that.
    """
    known = controls(model.parameters[task])
    wanted: dict[str, Any] = {"task": task}
    for name, value in values.items():
        if name not in known or (name in SIZE and "image" in known):
            continue
        if value not in (None, "") or known[name].required:
            wanted[name] = known[name].cast(value)
    return {"runtime": model.runtime, "model": model.id, "input": wanted}
