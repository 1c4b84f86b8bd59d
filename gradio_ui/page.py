"""The page: its layout, and what happens on it."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from client import Client, ClientError
from gradio_ui.form import Form
from gradio_ui.generation import Moment, Picture, generate
from gradio_ui.picture import encode_pictures
from gradio_ui.request import job_request
from gradio_ui.status import IDLE, StatusLine, Tone, of_error
from gradio_ui.tray import tray
from jobs.view import ModelView

_TITLE = """<header><i></i><h1>darkroom</h1><p>Words in, a picture develops.</p></header>"""
_TASKS = {
    "text-to-image": "From words",
    "image-to-image": "From an image",
    "inpaint": "Inpaint",
}
#: Pictures stay on this machine for as long as somebody may look at them, looked at each
#: ten minutes. The bucket keeps its own.
_KEEP_S = 3600
_SWEEP_S = 600


class Page:
    """One page for all its visitors; what belongs to one of them is in Gradio's state."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._form = Form()
        self.blocks = gr.Blocks(
            title="Darkroom", analytics_enabled=False, delete_cache=(_SWEEP_S, _KEEP_S)
        )
        with self.blocks:
            self._draw()
            self._connect()

    def _draw(self) -> None:
        gr.HTML(_TITLE, padding=False)
        self._models = gr.State({})
        self._uid = gr.State(None)
        with gr.Row(equal_height=False, elem_id="room"):
            with gr.Column(scale=5, min_width=320, elem_id="bench"):
                self._task = gr.Radio(show_label=False, container=False, elem_id="task")
                self._form.draw_words()
                with gr.Row(elem_id="actions"):
                    self._generate = gr.Button("Generate", variant="primary", elem_id="generate")
                    self._stop = gr.Button("Stop", variant="stop", elem_id="stop", visible=False)
                self._form.draw_uploads()
                with gr.Row():
                    self._model = gr.Dropdown(
                        label="Model", elem_id="model", min_width=140, interactive=True
                    )
                    self._form.draw_seed()
                self._form.draw_parameters()
            with gr.Column(scale=6, min_width=320, elem_id="wall"):
                self._status = gr.HTML(IDLE.html(), elem_id="status", padding=False)
                self._tray = gr.HTML(tray(IDLE), elem_id="tray", padding=False)
                self._gallery = gr.Gallery(
                    show_label=False,
                    visible=False,
                    interactive=False,
                    object_fit="contain",
                    buttons=["download", "fullscreen"],
                    elem_id="gallery",
                )

    def _connect(self) -> None:
        hidden = {"show_progress": "hidden", "api_visibility": "private"}
        parts = [*self._form.parts.values()]
        choice = [self._models, self._model, self._task]
        seen = [self._status, self._tray, self._gallery]
        buttons = [self._generate, self._stop]
        self.blocks.load(
            self._enter, None, [*choice, *parts, *seen, self._generate], queue=False, **hidden
        )
        self._model.input(self._choose_model, [*choice], [*choice, *parts], queue=False, **hidden)
        self._task.input(self._choose_task, [*choice], parts, queue=False, **hidden)
        self._form.parts["seed"].input(None, None, self._form.randomise, js="() => false", **hidden)
        run = gr.on(
            [self._generate.click, self._form.parts["prompt"].submit],
            self._run,
            {*choice, *parts, self._form.randomise},
            [*seen, *buttons, self._uid, self._form.parts["seed"]],
            trigger_mode="once",
            **hidden,
        )
        # Also after a mistake of ours in `_run`: the page must stay usable.
        run.then(_ready, None, buttons, queue=False, **hidden)
        self._stop.click(self._cancel, [self._uid], self._status, queue=False, **hidden)

    def _enter(self) -> dict[Any, Any]:
        """Ask the API what there is: at each visit, so that the page may start before it."""
        try:
            page = self._client.models()
        except ClientError as error:
            return {**self._seen(of_error(error)), self._generate: gr.update(interactive=False)}
        models = {f"{model.runtime}/{model.id}": model for model in page.data}
        chosen = next((name for name, model in models.items() if model.default), next(iter(models)))
        names = [
            (f"{m.id} · {m.runtime}" if m.id != m.runtime else m.id, n) for n, m in models.items()
        ]
        return {
            self._models: models,
            self._model: gr.update(choices=names, value=chosen),
            **self._choose_model(models, chosen, None),
            self._generate: gr.update(interactive=True),
        }

    def _choose_model(
        self, models: dict[str, ModelView], name: str, task: str | None
    ) -> dict[Any, Any]:
        model = models[name]
        task = task if task in model.tasks else model.tasks[0]
        tasks = [(_TASKS.get(each, each), each) for each in model.tasks]
        return {
            self._task: gr.update(choices=tasks, value=task),
            **self._form.for_model(model, task),
        }

    def _choose_task(self, models: dict[str, ModelView], name: str, task: str) -> dict[Any, Any]:
        return self._form.for_task(models[name], task)

    def _run(self, given: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        model, task = given[self._models][given[self._model]], given[self._task]
        request = job_request(model, task, self._form.values(given))
        try:
            pictures = encode_pictures(model.parameters[task], self._form.uploads(given))
        except OSError:
            line = StatusLine(tone=Tone.FAILED, text="This file is not a picture that can be read")
            yield self._seen(line)
            return
        request["input"] |= pictures
        for moment in generate(self._client, request):
            # Gradio has copied the files to its cache by the time it asks for more.
            with tempfile.TemporaryDirectory() as folder:
                files = [_stored(picture, Path(folder)) for picture in moment.pictures]
                yield self._shown(moment, files)

    def _shown(self, moment: Moment, files: list[tuple[str, str]]) -> dict[Any, Any]:
        updates = {
            **self._seen(moment.line, files),
            self._uid: moment.uid,
            # Nothing can be stopped before the API has given it a name.
            self._generate: gr.update(visible=moment.uid is None, interactive=False),
            self._stop: gr.update(visible=moment.uid is not None),
        }
        if moment.pictures:
            updates[self._form.parts["seed"]] = str(moment.pictures[0].seed)
        return updates

    def _seen(self, line: StatusLine, files: Sequence[tuple[str, str]] = ()) -> dict[Any, Any]:
        alone = len(files) == 1
        return {
            self._status: line.html(),
            self._tray: gr.update(value=tray(line), visible=not files),
            self._gallery: gr.update(
                value=[*files],
                visible=bool(files),
                columns=1 if alone else 2,
                preview=alone,
                selected_index=0 if alone else None,
            ),
        }

    def _cancel(self, uid: str | None) -> Any:
        if uid is None:
            return gr.skip()
        try:
            self._client.cancel(uid)
        except ClientError as error:
            return of_error(error, uid=uid).html()
        # What became of it is told by `_run`, which goes on watching.
        return gr.skip()


def _ready() -> list[Any]:
    return [gr.update(visible=True, interactive=True), gr.update(visible=False)]


def _stored(picture: Picture, folder: Path) -> tuple[str, str]:
    """A file of the picture's bytes, and what is written below it."""
    path = folder / picture.name
    path.write_bytes(picture.data)
    return str(path), f"seed {picture.seed}"
