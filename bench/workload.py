"""What the engine's benchmarks run: models, calls, and the policies that are compared."""

import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import diffusers
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from serve_app.engine.engine import Engine, EngineSettings
from serve_app.engine.order import Order

BUNDLED = Path(__file__).resolve().parents[1] / "models/demo"
#: The second model has the shape that Diffusers' own tests of pipelines use.
SECOND = {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "norm_num_groups": 32,
}
#: Of the traces, which are thousands of jobs in real time: as little as a denoiser can have.
LIGHT = SECOND | {
    "block_out_channels": (32,),
    "down_block_types": ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",),
    "layers_per_block": 1,
}
#: Steps of eight jobs that arrive together.
RAGGED = (4, 30, 8, 20, 12, 26, 6, 16)
TIMEOUT_S = 600
T = TypeVar("T")
#: Different words for jobs that come together; the bundled model knows no numbers.
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white")
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")


@dataclass(frozen=True, kw_only=True)
class Load:
    """One call: its steps, the side of its latents, and its seed."""

    steps: int
    latent_side: int
    seed: int

    def arguments(self, pipeline: Any) -> dict[str, Any]:
        """Of the pipeline's call; decoding is left out, what is compared is denoising."""
        side = self.latent_side * pipeline.vae_scale_factor
        return {
            "prompt": f"a {COLOURS[self.seed % len(COLOURS)]} {SHAPES[self.seed % len(SHAPES)]}",
            "num_inference_steps": self.steps,
            "guidance_scale": 5.0,
            "width": side,
            "height": side,
            "generator": torch.Generator().manual_seed(self.seed),
            "output_type": "latent",
        }


def model(name: str) -> Any:
    """The pipeline `bundled`, or with the same parts around another denoiser."""
    pipeline = StableDiffusionPipeline.from_pretrained(BUNDLED, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    if name != "bundled":
        torch.manual_seed(0)
        config = dict(pipeline.unet.config) | {"second": SECOND, "light": LIGHT}[name]
        vars(pipeline)["unet"] = UNet2DConditionModel.from_config(config).eval()
    return pipeline


def under(pipeline: Any, scheduler: str) -> Any:
    """The same pipeline with another scheduler."""
    own = copy.copy(pipeline)
    kind = getattr(diffusers, scheduler)
    vars(own)["scheduler"] = kind.from_config(pipeline.scheduler.config)
    return own


def driven(policy: str, threads: int, work: Callable[[Engine], T]) -> T:
    """What `work` returns, which orders from a thread of its own while the engine has this one.

    `plainly` has the process's first thread too: a second thread with OpenMP helpers of its own
    would make both slower (docs/engine.md).
    """
    settings = EngineSettings.of_replica(policy=policy, device="cpu", threads=threads)
    engine = Engine(settings, own_thread=False)

    def working() -> T:
        try:
            return work(engine)
        finally:
            engine.close()

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(working)
        engine.run()
        return result.result()


def plainly(pipeline: Any, loads: Sequence[Load]) -> float:
    """Seconds of the plain loop over `pipe()`."""
    started = time.perf_counter()
    with torch.no_grad():
        for load in loads:
            pipeline(**load.arguments(pipeline))
    return time.perf_counter() - started


def together(engine: Engine, pipeline: Any, loads: Sequence[Load]) -> float:
    """Seconds of the engine for the same calls, ordered at once."""
    started = time.perf_counter()
    tickets = [
        engine.submit(
            Order(pipeline=pipeline, arguments=load.arguments(pipeline), steps=load.steps, rows=2)
        )
        for load in loads
    ]
    for ticket in tickets:
        ticket.future.result(TIMEOUT_S)
    return time.perf_counter() - started
