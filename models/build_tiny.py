"""Build a tiny Stable Diffusion with random weights in Diffusers' layout.

    python models/build_tiny.py DIR [--seed 0] [--width-factor 1]

It paints noise, but every part is the real one (CLIP text encoder and tokenizer, UNet, VAE of
factor 8, scheduler), so whatever runs Stable Diffusion runs it, in a fraction of a second on
one core. The same arguments write the same bytes.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

#: Words whose letters merge, most of them into one token, so that ordinary prompts stay below
#: the 77 tokens at which CLIP cuts.
_WORDS = """
    a an and at big black blue brown bright by castle cat circle city
    cloud cloudy cold dark dawn day detailed dog field fire flower forest from gold
    green grey high house hill image in lake light moon mountain night of ocean
    on orange over painting photo pink purple quality rain red river sea sky small
    snow square star street style sun sunset the to tree triangle under warm water
    white wind winter with yellow background
"""
WORDS = _WORDS.split()
START, END = "<|startoftext|>", "<|endoftext|>"
#: CLIP's own; prompts are cut there.
MAX_TOKENS = 77
LATENT_CHANNELS = 4


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for bytes in CLIP's and GPT-2's vocabularies."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + k) for k in range(len(others))]


def vocabulary() -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens and merges: every byte, alone and at a word's end, and `WORDS` built up of them."""
    letters = byte_letters()
    tokens = dict.fromkeys([*letters, *(f"{letter}</w>" for letter in letters)])
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges[parts[0], parts[1]] = None
            parts[:2] = [parts[0] + parts[1]]
            tokens[parts[0]] = None
    return [*tokens, START, END], list(merges)


def tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer over `vocabulary`."""
    tokens, merges = vocabulary()
    with TemporaryDirectory() as folder:
        vocab_file, merges_file = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocab_file.write_text(json.dumps({token: k for k, token in enumerate(tokens)}))
        merges_file.write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
        for name, text in (
            ("tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer"}),
            ("special_tokens_map.json", {}),
        ):
            Path(folder, name).write_text(json.dumps(text))
        return CLIPTokenizer.from_pretrained(
            folder,
            model_max_length=MAX_TOKENS,
            bos_token=START,
            eos_token=END,
            unk_token=END,
            pad_token=END,
        )


def text_encoder(words: CLIPTokenizer, width: int) -> CLIPTextModel:
    """Two layers of CLIP."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=2 * width,
            projection_dim=width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def unet(width: int) -> UNet2DConditionModel:
    """Two levels, attention to the prompt on both; its own size is 64 x 64 pixels."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(width, 2 * width),
        layers_per_block=1,
        cross_attention_dim=width,
        attention_head_dim=8,
        norm_num_groups=8,
    )


def vae(width: int) -> AutoencoderKL:
    """Four levels: each but the last halves the sides, so the factor is 8."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(width // 2, width // 2, width, width),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=64,
    )


def build(seed: int = 0, width_factor: int = 1) -> Any:
    """The pipeline; `width_factor` multiplies the number of channels."""
    torch.manual_seed(seed)
    width = 32 * width_factor
    words = tokenizer()
    return StableDiffusionPipeline(
        tokenizer=words,
        text_encoder=text_encoder(words, width),
        unet=unet(width),
        vae=vae(width),
        # Stable Diffusion 1.5's noise schedule.
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def main() -> None:
    """Read the command line, build, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width-factor", type=int, default=1)
    options = parser.parse_args()
    build(options.seed, options.width_factor).save_pretrained(
        options.folder, safe_serialization=True
    )


if __name__ == "__main__":
    main()
