"""The autoencoder: 64x64 pictures to 16x16 latents of 4 channels and back."""

from collections.abc import Callable
from itertools import islice
from random import Random

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from training.drawing import as_tensor, draw
from training.scene import PICTURE_SIZE, Scene
from training.split import training_scenes
from training.stage import Plan

#: Four, because Diffusers' inpaint pipeline takes denoisers of 4 or 9 input channels only.
LATENT_CHANNELS = 4
BATCH = 16
#: Pixels on an edge count this much more: flat areas are learnt at once, outlines make the shape.
EDGE_WEIGHT = 4.0
#: Keeps the latents near unit variance and the decoder smooth around them.
KL_WEIGHT = 1e-3

#: Most noise on a picture's latents while the decoder is polished, in deviations: about what the
#: denoiser leaves wrong after 20 steps. Half of them have none, so that round trips stay sharp.
LATENT_NOISE = 0.25

#: Channels a level while the latents are found, and of the decoder that is polished.
NARROW, WIDE = (16, 32, 32), (16, 32, 96)

PLAN = Plan(name="autoencoder", steps=3000, learning_rate=2e-3, decay_share=0.5)
POLISH_PLAN = Plan(name="decoder", steps=2000, learning_rate=6e-4, decay_share=0.7, ema_decay=0.99)


#: A batch while the decoder is polished: what round trips need, and what the denoiser left.
TRUE_PICTURES, DRAWN_PICTURES = 8, 12

#: Latents that a denoiser has drawn, and their true pictures, by a seed and how many.
DrawnLatents = Callable[[Random, int], tuple[Tensor, Tensor]]


def build_autoencoder() -> AutoencoderKL:
    """Two halvings; about 0.25 M parameters, 16 ms a picture and step on one core."""
    return AutoencoderKL(
        block_out_channels=NARROW,
        down_block_types=("DownEncoderBlock2D",) * len(NARROW),
        up_block_types=("UpDecoderBlock2D",) * len(NARROW),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=PICTURE_SIZE,
    )


def picture_batch(seed: str, count: int, *, hard_share: float = 0.0) -> Tensor:
    """Training pictures of a seed: (count, 3, 64, 64), -1 to 1.

    At least `hard_share` of them are of what round trips lose most often.
    """
    scenes = training_scenes(Random(seed))
    hard = filter(is_hard, scenes)
    few = round(count * hard_share)
    chosen = [*islice(hard, few), *islice(scenes, count - few)]
    return as_tensor([draw(scene) for scene in chosen])


def is_hard(scene: Scene) -> bool:
    """Thin points, thin rings, and stripes."""
    return scene.relation == "inside" or any(
        item.shape == "star" or item.fill == "striped" for item in scene.items
    )


def autoencoder_loss(autoencoder: AutoencoderKL, *, seed: int, step: int, device: str) -> Tensor:
    """Weighted L1 of the round trip plus a little KL."""
    pictures = picture_batch(f"autoencoder {seed} {step}", BATCH).to(device)
    posterior = autoencoder.encode(pictures).latent_dist
    # Of the step's own, or a resumed run would see other noise than an unbroken one.
    noise = torch.Generator().manual_seed(Random(f"noise {seed} {step}").getrandbits(63))
    restored = autoencoder.decode(posterior.sample(noise)).sample
    error = (restored - pictures).abs() * edge_weights(pictures)
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return error.mean() + KL_WEIGHT * kl


def decoding_half(autoencoder: AutoencoderKL) -> nn.Module:
    """All that lies behind the latents, as one module that shares the autoencoder's weights."""
    return nn.ModuleList([autoencoder.post_quant_conv, autoencoder.decoder])


def polish_loss(
    autoencoder: AutoencoderKL, drawn: DrawnLatents, *, seed: int, step: int, device: str
) -> Tensor:
    """Weighted L1 of decoding what the denoiser left, and noisy latents of true pictures.

    The encoder is left alone, so the latents stay as the denoiser learnt them. What the round
    trip loses is in stars, stripes and what is inside something else.
    """
    pictures = picture_batch(f"decoder {seed} {step}", TRUE_PICTURES, hard_share=0.7).to(device)
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        latents = autoencoder.encode(pictures).latent_dist.mode()
    spread = torch.rand(TRUE_PICTURES, 1, 1, 1, generator=generator)
    strength = LATENT_NOISE * (2 * spread - 1).relu()
    noise = strength * torch.randn(latents.shape, generator=generator)
    left, wanted = drawn(Random(f"drawn {seed} {step}"), DRAWN_PICTURES)
    latents = torch.cat([latents + noise.to(device), left.to(device)])
    pictures = torch.cat([pictures, wanted.to(device)])
    restored = autoencoder.decode(latents).sample
    return ((restored - pictures).abs() * edge_weights(pictures)).mean()


def edge_weights(pictures: Tensor) -> Tensor:
    """1 on flat ground, 1 + EDGE_WEIGHT within a pixel of an edge: (n, 1, 64, 64)."""
    return 1 + EDGE_WEIGHT * edges(pictures, 0.2)


def edges(values: Tensor, step: float) -> Tensor:
    """1 where some channel differs by more than `step` from a neighbour, else 0: (n, 1, h, w)."""
    high = functional.max_pool2d(values, 3, 1, 1)
    low = -functional.max_pool2d(-values, 3, 1, 1)
    return ((high - low).amax(1, keepdim=True) > step).float()
