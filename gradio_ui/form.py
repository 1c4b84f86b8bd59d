"""The parameters on the page: which components there are, and how a model changes them."""

from collections.abc import Iterable
from typing import Any

import gradio as gr

from gradio_ui.control import Control, controls
from gradio_ui.request import SIZE
from jobs.view import ModelView

LABELS = {
    "width": "Width",
    "height": "Height",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "num_images_per_prompt": "Images",
    "strength": "Strength: 1 ignores the image",
    "scheduler": "Scheduler",
    "output_format": "Format",
}
_UNCHOSEN = ("default", "")
_UPLOADS = ("image", "mask_image")


class Form:
    """The components for a job's input; call inside of `gr.Blocks`, part by part."""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {}

    def draw_words(self) -> None:
        """What the picture shows."""
        self.parts["prompt"] = gr.Textbox(
            label="Prompt",
            placeholder="a red circle on a blue background",
            lines=1,  # with more of them Enter would make a new one; so it generates
            max_lines=6,
            autofocus=True,
            elem_id="prompt",
        )

    def draw_uploads(self) -> None:
        """The pictures that some tasks start from."""
        with gr.Row():
            for name, label in (("image", "Image"), ("mask_image", "Mask: white is painted anew")):
                self.parts[name] = gr.Image(
                    label=label,
                    type="filepath",
                    format="png",
                    sources=["upload"],
                    height=150,
                    visible=False,
                    buttons=[],
                    placeholder="Drop a picture or click",
                    elem_id=name,
                )

    def draw_seed(self) -> None:
        """The seed, as text: a browser's numbers are exact to 2**53 only, seeds go to 2**63."""
        self.parts["seed"] = gr.Textbox(
            label="Seed", placeholder="one of its own", elem_id="seed", min_width=120, max_lines=1
        )
        self.randomise = gr.Checkbox(
            label="Randomise", value=True, elem_id="randomise", min_width=110
        )

    def draw_parameters(self) -> None:
        """Everything else, with bounds that come with the model."""
        with gr.Row():
            self._draw_sliders("width", "height")
        with gr.Row():
            self._draw_sliders("num_inference_steps", "guidance_scale")
        self._draw_sliders("strength")
        with gr.Accordion("More", open=False):
            self.parts["negative_prompt"] = gr.Textbox(
                label="Negative prompt", placeholder="what is not to be seen", lines=1
            )
            self._draw_sliders("num_images_per_prompt")
            with gr.Row():
                for name in ("scheduler", "output_format"):
                    self.parts[name] = gr.Dropdown(label=LABELS[name], min_width=140)

    def _draw_sliders(self, *names: str) -> None:
        for name in names:
            self.parts[name] = gr.Slider(0, 1, label=LABELS[name], elem_id=name, min_width=140)

    def values(self, given: dict[Any, Any]) -> dict[str, Any]:
        """The values by field name, of what an event hands over; a random seed is no value."""
        values = {name: given[part] for name, part in self.parts.items() if name not in _UPLOADS}
        return {**values, "seed": None} if given[self.randomise] else values

    def uploads(self, given: dict[Any, Any]) -> dict[str, str | None]:
        """The paths of the uploaded pictures, by field name."""
        return {name: given[self.parts[name]] for name in _UPLOADS}

    def for_model(self, model: ModelView, task: str) -> dict[Any, Any]:
        """Updates that set bounds, choices and defaults of the model."""
        known = controls(model.parameters[task])
        return {
            part: _update(known.get(name), is_shown=_is_shown(name, known))
            for name, part in self.parts.items()
        }

    def for_task(self, model: ModelView, task: str) -> dict[Any, Any]:
        """Updates that show what the task needs and leave what the user has set."""
        known = controls(model.parameters[task])
        updates = {
            part: gr.update(visible=_is_shown(name, known)) for name, part in self.parts.items()
        }
        if "strength" in known:
            updates[self.parts["strength"]] = _update(known["strength"], is_shown=True)
        return updates


def _is_shown(name: str, known: Iterable[str]) -> bool:
    return name in known and not (name in SIZE and "image" in known)


def _update(control: Control | None, *, is_shown: bool) -> Any:
    if control is None or not is_shown:
        return gr.update(visible=False)
    if control.choices:
        choices: list[Any] = [*control.choices]
        if control.default is None:
            choices = [_UNCHOSEN, *choices]
        return gr.update(visible=True, choices=choices, value=control.default or "")
    if control.name in LABELS and control.maximum is not None:
        return gr.update(
            visible=True,
            minimum=control.minimum,
            maximum=control.maximum,
            step=control.step,
            value=control.default,
        )
    return gr.update(visible=True)
