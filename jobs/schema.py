"""JSON Schema of a job's input as one model takes it: what API, UI and docs show."""

from typing import Any

from jobs.catalogue import Model
from jobs.inputs import INPUTS, FromImage, Task


def input_schema(model: Model, task: Task) -> dict[str, Any]:
    """JSON Schema (2020-12) of the `input` for `task`, with the model's defaults and limits."""
    kind = INPUTS[task]
    schema = kind.model_json_schema()
    fields: dict[str, dict[str, Any]] = schema["properties"]
    limits = model.limits
    for name in ("width", "height"):
        _narrow(
            fields[name],
            minimum=limits.min_side,
            maximum=limits.max_side,
            multipleOf=limits.side_multiple,
        )
    for name in ("num_inference_steps", "guidance_scale", "num_images_per_prompt"):
        _narrow(fields[name], maximum=getattr(limits, f"max_{name}"))
    for name in ("prompt", "negative_prompt"):
        _narrow(fields[name], maxLength=limits.max_prompt_chars)
    if model.schedulers:
        _narrow(fields["scheduler"], enum=[*model.schedulers])
    else:
        del fields["scheduler"]
    # JSON Schema cannot say it of a product.
    schema["x-max-pixels"] = limits.max_pixels
    from_image = issubclass(kind, FromImage)
    for name, value in model.defaults:
        if not (from_image and name in ("width", "height")):
            fields[name]["default"] = value
    return schema


def parameters(model: Model) -> dict[str, Any]:
    """The input schema of every task that the model does, by task."""
    return {task.value: input_schema(model, task) for task in model.tasks}


def _narrow(field: dict[str, Any], **keywords: Any) -> None:
    """Set `keywords` on the value schema of a field, which may be `T | None`."""
    branches = field.get("anyOf", [field])
    for branch in branches:
        if branch.get("type") != "null":
            branch.update(keywords)
