"""A wider autoencoder that does what a narrow one does, from where its decoder can learn more.

The narrow one is cheap to train, and its latents are good enough; but to turn what a denoiser
leaves into sharp outlines takes a decoder of more channels. Each new channel begins as a copy of
an old one in the same norm group, and the copies share what the old one passed on (Net2Net, Chen
et al. 2016): the same function, so that the latents stay what the denoiser learnt.
"""

import torch
from diffusers import AutoencoderKL
from torch import Tensor

#: By how much the copies' shares differ: equal ones would stay equal for ever.
UNLIKENESS = 0.3


def widened(narrow: AutoencoderKL, channels: tuple[int, ...]) -> AutoencoderKL:
    """One of `channels` a level, multiples of the narrow one's, that computes the same."""
    config = dict(narrow.config) | {"block_out_channels": channels}
    wide = AutoencoderKL.from_config(config)
    # What the narrow one was told after it was built is taken for a default otherwise.
    wide.register_to_config(scaling_factor=narrow.config.scaling_factor)
    groups = narrow.config.norm_num_groups
    generator = torch.Generator().manual_seed(0)
    own, grown = narrow.state_dict(), wide.state_dict()
    for name, values in grown.items():
        if name not in own:
            values.copy_(_added(own, name, values, groups))
        elif values.ndim == 1:
            values.copy_(own[name][_copied(len(own[name]), len(values), groups)])
        else:
            values.copy_(_shared(own[name], values, groups, generator))
    wide.load_state_dict(grown)
    return wide


def _copied(old: int, new: int, groups: int) -> Tensor:
    """Which old channel each new one copies: every norm group is repeated within itself."""
    if old == new:
        return torch.arange(old)
    size = old // groups
    rows = torch.arange(old).view(groups, size)
    return rows.repeat(1, new // old).flatten()


def _shared(old: Tensor, like: Tensor, groups: int, generator: torch.Generator) -> Tensor:
    """A matrix or convolution: rows are copied, columns' copies have shares that add up to one."""
    rows = _copied(old.shape[0], like.shape[0], groups)
    columns = _copied(old.shape[1], like.shape[1], groups)
    copies = like.shape[1] // old.shape[1]
    if copies == 1:
        return old[rows]
    share = 1 + UNLIKENESS * torch.randn(like.shape[:2], generator=generator)
    total = torch.zeros(len(rows), old.shape[1]).index_add_(1, columns, share)
    share = (share + (copies - total)[:, columns] / copies) / copies
    return old[rows][:, columns] * share.view(*share.shape, *[1] * (old.ndim - 2))


def _added(own: dict[str, Tensor], name: str, values: Tensor, groups: int) -> Tensor:
    """A shortcut where both widths were equal: there the input itself was added."""
    if values.ndim == 1:
        return torch.zeros_like(values)
    width = len(own[name.replace("conv_shortcut.weight", "conv2.bias")])
    rows, columns = (_copied(width, size, groups) for size in values.shape[:2])
    same = (rows[:, None] == columns[None, :]).float()
    return (same / same.sum(1, keepdim=True)).view_as(values)
