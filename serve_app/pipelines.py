"""Models in memory. Imports diffusers, which takes seconds: only a replica does."""

import copy
import inspect
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import diffusers
import torch
import transformers

from jobs.catalogue import Model
from jobs.inputs import Task
from serve_app import options
from serve_app.errors import CannotServe
from serve_app.promise import FAMILIES, pipeline_class
from serve_app.settings import ServeSettings
from serve_app.vocabulary import Vocabulary


def quiet() -> None:
    """Keep the libraries from logging: what they warn of quotes the prompt."""
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


class LoadedModel:
    """One set of weights on the device, and a pipeline over it for each task."""

    def __init__(self, spec: Model, pipelines: Mapping[Task, Any], vocabulary: Vocabulary) -> None:
        self.spec = spec
        self._pipelines = pipelines
        self._vocabulary = vocabulary
        # Its own: a tokenizer keeps state, and the engine's thread uses the pipelines'.
        any_task = next(iter(pipelines.values()))
        self._tokenizer = copy.deepcopy(any_task.tokenizer)
        # Beside CLIP's encoders T5's reads several hundred tokens: hardly a prompt is cut off.
        self._is_cut_off = not any(
            "T5" in type(getattr(any_task, name, None)).__name__
            for name in ("tokenizer_2", "tokenizer_3")
        )
        self._tokenizer_lock = threading.Lock()
        for name in spec.schedulers:
            try:
                self.pipeline(spec.tasks[0], scheduler=name)
            except (AttributeError, ImportError, ValueError, TypeError) as error:
                raise CannotServe(
                    f"{spec.path}: scheduler {name} does not load: {error}"
                ) from error

    @classmethod
    def load(cls, spec: Model, settings: ServeSettings) -> Self:
        """Read the weights from disk; whatever diffusers raises means that they are broken."""
        directory = settings.models_root / spec.path
        classes = FAMILIES[pipeline_class(directory)]
        first = _load(directory, classes[Task.TEXT_TO_IMAGE], settings)
        pipelines = {
            # The same modules under another class: no second copy of the weights.
            task: getattr(diffusers, classes[task]).from_pipe(
                first, torch_dtype=getattr(torch, settings.dtype)
            )
            for task in spec.tasks
        }
        # Last: `from_pipe` gives all modules one dtype, the autoencoder's own included.
        options.apply(spec.options, first)
        return cls(spec, pipelines, Vocabulary.read(directory))

    def pipeline(self, task: Task, *, scheduler: str | None = None) -> Any:
        """A pipeline for one job: the model's modules, but a scheduler of its own.

        Schedulers keep the state of a run. Sharing one let a job that was stopped half-way
        leave its steps to the next.
        """
        pipeline = copy.copy(self._pipelines[task])
        config = pipeline.scheduler.config
        kind = type(pipeline.scheduler) if scheduler is None else getattr(diffusers, scheduler)
        pipeline.scheduler = kind.from_config(config)
        return pipeline

    @property
    def to_compile(self) -> list[Any]:
        """The modules that the engine should compile."""
        any_task = next(iter(self._pipelines.values()))
        return list(options.denoisers(any_task)) if self.spec.options.compiled else []

    def warnings(self, prompt: str, negative_prompt: str) -> tuple[str, ...]:
        """What the client should know about its prompts."""
        most = self._tokenizer.model_max_length
        found: list[str] = []
        for name, text in (("prompt", prompt), ("negative prompt", negative_prompt)):
            with self._tokenizer_lock:
                count = len(self._tokenizer(text, truncation=False).input_ids)
            if self._is_cut_off and count > most:
                found.append(f"the {name} has {count} tokens, the model read the first {most}")
        unknown = self._vocabulary.warning(f"{prompt} {negative_prompt}")
        return (*found, *([] if unknown is None else [unknown]))


def _load(directory: Path, class_name: str, settings: ServeSettings) -> Any:
    kind = getattr(diffusers, class_name)
    # Filtering is a decision of who runs this, made in its own place, not of the weights.
    filters = {"safety_checker": None, "requires_safety_checker": False}
    known = inspect.signature(kind.__init__).parameters
    pipeline = kind.from_pretrained(
        directory,
        dtype=getattr(torch, settings.dtype),
        local_files_only=True,
        use_safetensors=True,
        **{name: value for name, value in filters.items() if name in known},
    )
    return pipeline.to(settings.device)
