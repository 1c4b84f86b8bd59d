"""The decoder is widened before it is polished, and the latents stay what they were."""

import torch

from training.autoencoder import NARROW, WIDE, build_autoencoder
from training.widening import widened


def test_a_wider_autoencoder_computes_the_same() -> None:
    """Latents and pictures, up to rounding."""
    torch.manual_seed(1)
    narrow = build_autoencoder().eval()
    wide = widened(narrow, WIDE).eval()
    assert tuple(wide.config.block_out_channels) == WIDE != NARROW
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        latents = narrow.encode(pictures).latent_dist.mode()
        assert torch.allclose(wide.encode(pictures).latent_dist.mode(), latents, atol=1e-4)
        assert torch.allclose(wide.decode(latents).sample, narrow.decode(latents).sample, atol=1e-4)


def test_copies_learn_different_things() -> None:
    """Equal shares would give equal gradients for ever: then the width would be worth nothing."""
    torch.manual_seed(1)
    wide = widened(build_autoencoder(), WIDE)
    wide.decode(torch.randn(1, 4, 16, 16)).sample.square().mean().backward()
    gradient = wide.decoder.mid_block.resnets[0].conv1.weight.grad
    assert gradient is not None
    group = gradient.view(8, 3, 4, -1)  # eight norm groups of three copies of four channels
    assert not torch.allclose(group[:, 0], group[:, 1], rtol=0.01)


def test_the_scale_of_the_latents_is_kept() -> None:
    """A pipeline multiplies by it before decoding."""
    narrow = build_autoencoder()
    narrow.register_to_config(scaling_factor=0.5)
    assert widened(narrow, WIDE).config.scaling_factor == 0.5
