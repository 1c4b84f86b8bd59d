"""Which runtimes and models there are, and what each allows: the content of runtimes.yaml.

API, bridge and Serve read the same file, because a Lambda cannot ask a Serve app that is at
zero. Reading the file is the caller's business; here is only its meaning.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jobs.errors import Fault, InvalidCatalogue, InvalidJob, UnknownModel, UnknownRuntime
from jobs.inputs import FromImage, GenerationInput, Task


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Entry):
    """What a job may ask of a model. Sides in pixels."""

    min_side: int = Field(default=64, ge=8)
    max_side: int = Field(ge=8)
    #: The VAE's factor; other sides would be cut or padded silently.
    side_multiple: int = Field(default=8, ge=1)
    max_pixels: int = Field(ge=64)
    max_num_inference_steps: int = Field(default=100, ge=1)
    max_guidance_scale: float = Field(default=30.0, ge=0)
    max_num_images_per_prompt: int = Field(default=8, ge=1)
    max_prompt_chars: int = Field(default=2000, ge=1)


class Defaults(_Entry):
    """What a job gets that does not say."""

    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float


class Options(_Entry):
    """How a model is run. Off by default; none changes a picture beyond its dtype's rounding."""

    #: Convolutions in the layout that GPUs prefer.
    channels_last: bool = False
    #: One projection in place of three in each attention.
    fused_attention: bool = False
    #: `torch.compile` of the denoiser's repeated blocks, beside the work.
    compiled: bool = False
    #: Of the autoencoder, if it is to differ from the rest.
    vae_dtype: Literal["float32", "float16", "bfloat16"] | None = None


class Model(_Entry):
    """One set of weights in Diffusers' layout."""

    path: str
    tasks: tuple[Task, ...] = Field(default=tuple(Task), min_length=1)
    defaults: Defaults
    limits: Limits
    #: Diffusers class names that may replace the model's own scheduler.
    schedulers: tuple[str, ...] = ()
    options: Options = Options()

    def resolve(self, wanted: GenerationInput) -> GenerationInput:
        """`wanted` with this model's defaults filled in; `InvalidJob` if it exceeds the limits."""
        faults = list(self._faults(wanted))
        if faults:
            raise InvalidJob(faults)
        names = set(Defaults.model_fields)
        if isinstance(wanted, FromImage):
            names -= {"width", "height"}
        return wanted.model_copy(
            update={
                name: getattr(self.defaults, name)
                for name in names
                if getattr(wanted, name) is None
            }
        )

    def _faults(self, wanted: GenerationInput) -> Iterator[Fault]:
        task: Task = getattr(wanted, "task")  # noqa: B009  # every branch of the union has it
        limits = self.limits
        if task not in self.tasks:
            yield Fault(pointer="/input/task", detail=f"this model does {_listed(self.tasks)}")
        for side in ("width", "height"):
            pixels = getattr(wanted, side)
            if pixels is None:
                continue
            if not limits.min_side <= pixels <= limits.max_side or pixels % limits.side_multiple:
                yield Fault(
                    pointer=f"/input/{side}",
                    detail=f"must be a multiple of {limits.side_multiple} from "
                    f"{limits.min_side} to {limits.max_side} pixels",
                )
        area = (wanted.width or self.defaults.width) * (wanted.height or self.defaults.height)
        if area > limits.max_pixels:
            yield Fault(
                pointer="/input/width",
                detail=f"width x height is {area} pixels, the most is {limits.max_pixels}",
            )
        for name in ("num_inference_steps", "guidance_scale", "num_images_per_prompt"):
            value, most = getattr(wanted, name), getattr(limits, f"max_{name}")
            if value is not None and value > most:
                yield Fault(pointer=f"/input/{name}", detail=f"must be at most {most}")
        for name in ("prompt", "negative_prompt"):
            if len(getattr(wanted, name) or "") > limits.max_prompt_chars:
                yield Fault(
                    pointer=f"/input/{name}",
                    detail=f"must be at most {limits.max_prompt_chars} characters",
                )
        if wanted.scheduler is not None and wanted.scheduler not in self.schedulers:
            yield Fault(
                pointer="/input/scheduler", detail=f"must be one of {_listed(self.schedulers)}"
            )


class Bridges(_Entry):
    """How the bridges of each of a runtime's queues scale on the cluster."""

    #: Messages for each bridge. One is enough for correctness: what it takes is Serve's room.
    queue_length: int = Field(default=10, ge=1)
    min: int = Field(default=0, ge=0)
    max: int = Field(default=5, ge=1)
    #: Seconds without a message until the last one goes.
    cooldown_s: int = Field(default=300, ge=0)

    @model_validator(mode="after")
    def _min_below_max(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"bridges: min ({self.min}) is above max ({self.max})")
        return self


class Replicas(_Entry):
    """How a runtime's Serve app scales."""

    max: int = Field(default=1, ge=1)
    #: Jobs that one replica admits at once: some share a step, others are encoded or decoded.
    admit_window: int = Field(default=4, ge=2)
    #: Main memory of a worker pod; 12 of the 13.8 GiB that a g5.xlarge has for pods.
    memory_gib: int = Field(default=12, ge=1)
    num_cpus: float = Field(default=1, ge=0)
    num_gpus: float = Field(default=0, ge=0)
    #: Seconds from the wish for a replica to its first step; on GPUs a node has to come.
    boot_s: float = Field(default=120, gt=0)
    #: Row-steps (a row of a forward, once) per second of one replica, until one has measured it.
    row_steps_per_s: float = Field(default=50, gt=0)


class Runtime(_Entry):
    """A queue and the Serve app that works on it."""

    type: Literal["diffusers"] = "diffusers"
    models: dict[str, Model] = Field(min_length=1)
    default_model: str | None = None
    replicas: Replicas = Replicas()
    bridges: Bridges = Bridges()

    @model_validator(mode="after")
    def _default_exists(self) -> Self:
        if self.default_model is not None and self.default_model not in self.models:
            raise ValueError(f"default_model {self.default_model!r} is not among its models")
        return self

    def model_name(self, wanted: str | None) -> str:
        """The name of the model to use; without a wish the default or the first."""
        name = wanted or self.default_model or next(iter(self.models))
        if name not in self.models:
            raise UnknownModel(
                [Fault(pointer="/model", detail=f"must be one of {_listed(self.models)}")]
            )
        return name


class Catalogue(_Entry):
    """All runtimes of one installation, by name."""

    runtimes: dict[str, Runtime] = Field(min_length=1)

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read the content of runtimes.yaml; `InvalidCatalogue` names what is wrong."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise InvalidCatalogue(f"runtimes.yaml is not YAML: {error}") from error
        except ValidationError as error:
            faults = InvalidJob.from_validation(error)
            raise InvalidCatalogue(f"runtimes.yaml: {faults}") from error

    def runtime(self, name: str) -> Runtime:
        """The runtime of that name, or `UnknownRuntime`."""
        try:
            return self.runtimes[name]
        except KeyError:
            raise UnknownRuntime(
                [Fault(pointer="/runtime", detail=f"must be one of {_listed(self.runtimes)}")]
            ) from None

    def route(self, runtime: str | None, model: str | None) -> tuple[str, str]:
        """The (runtime, model) that a job with these wishes goes to.

        A model without a runtime picks the first runtime that has it.
        """
        if runtime is None and model is not None:
            runtime = next((n for n, r in self.runtimes.items() if model in r.models), None)
            if runtime is None:
                names = _listed({m for r in self.runtimes.values() for m in r.models})
                raise UnknownModel([Fault(pointer="/model", detail=f"must be one of {names}")])
        name = runtime or next(iter(self.runtimes))
        return name, self.runtime(name).model_name(model)

    def model(self, runtime: str, model: str) -> Model:
        """The model of a routed job; `InvalidJob` if the file no longer has it."""
        return self.runtime(runtime).models[self.runtime(runtime).model_name(model)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
