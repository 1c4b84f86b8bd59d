"""Writes trained parts as a Diffusers folder that plain `from_pretrained` loads."""

import json
import tempfile
from copy import deepcopy
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel

from training.denoiser import NOISE_SCHEDULE
from training.text_encoder import load_tokenizer
from training.vocabulary import known_words, write_tokenizer


def export(
    autoencoder: AutoencoderKL,
    text_encoder: CLIPTextModel,
    unet: UNet2DConditionModel,
    *,
    folder: Path,
) -> None:
    """Write the pipeline in half precision; each file is replaced at once, never half."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        written = Path(unfinished)
        pipeline = StableDiffusionPipeline(
            vae=deepcopy(autoencoder),  # training goes on with the originals, in full precision
            text_encoder=deepcopy(text_encoder),
            tokenizer=load_tokenizer(written / "tokenizer"),
            unet=deepcopy(unet),
            scheduler=sampling_schedule(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.to(dtype=torch.float16)
        pipeline.save_pretrained(written)
        _keep_plain_tokenizer(written / "tokenizer")
        _load_in_single_precision(written / "text_encoder" / "config.json")
        (written / "vocabulary.txt").write_text("\n".join(known_words()) + "\n")
        for path in sorted(written.rglob("*")):
            if path.is_file():
                target = folder / path.relative_to(written)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.chmod(0o644)  # Diffusers writes weights for the owner alone
                path.replace(target)


def sampling_schedule() -> EulerAncestralDiscreteScheduler:
    """Euler's ancestral sampler from the last timestep on: it starts at (almost) pure noise.

    The noise that it adds in each step mends outlines that a sampler without noise leaves soft.
    """
    return EulerAncestralDiscreteScheduler.from_config(
        {
            **NOISE_SCHEDULE,
            "timestep_spacing": "trailing",
            "steps_offset": 1,  # without it the pipelines warn; only "leading" spacing reads it
            # Kept for whoever asks for DDIM, which cuts latents off unless told.
            "clip_sample": False,
        }
    )


def _keep_plain_tokenizer(folder: Path) -> None:
    """Only the files that every version of CLIPTokenizer reads; `tokenizer.json` repeats them."""
    for path in folder.iterdir():
        path.unlink()
    write_tokenizer(folder)


def _load_in_single_precision(config: Path) -> None:
    """Transformers takes the dtype of the file unless told, Diffusers float32: they must agree."""
    described = json.loads(config.read_text())
    described["dtype"] = "float32"
    config.write_text(json.dumps(described, indent=2) + "\n")
