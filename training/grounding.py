"""Shows the denoiser where in the picture each part of a caption belongs.

The last three places of a prompt hold item one, item two and the scene (`text_encoder.py`). Since
the pictures are drawn here, it is known which cells each item covers, so the first head of each
cross-attention can be taught directly: inside an item read that item's place, elsewhere the
scene's. Only the loss knows of this; the trained UNet is a plain one.
"""

from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional

from training.drawing import silhouette
from training.scene import PICTURE_SIZE, Scene, mirrored
from training.statement import Statement

#: Cells a side at which the truth is kept: the finest level that has attention.
CELLS = 8
#: Places of item one, item two and the scene among a prompt's tokens.
PLACES = 3
#: Keeps the logarithm finite.
TINY = 1e-6


def ground_of(scene: Scene) -> Tensor:
    """Share of each cell that item one, item two and the ground cover: (3, 8, 8), sum 1.

    Item one is the left, upper or inner one, as in a `Statement`.
    """
    told = mirrored(scene) if scene.relation in ("right of", "below") else scene
    free = torch.ones(PICTURE_SIZE, PICTURE_SIZE)
    visible = {}
    for item in scene.items:  # an inner item comes first and lies on top
        covered = torch.zeros(PICTURE_SIZE, PICTURE_SIZE)
        top, left = item.y - item.side // 2, item.x - item.side // 2
        shape = torch.from_numpy(silhouette(item.shape, item.side))
        covered[top : top + item.side, left : left + item.side] = shape
        visible[item] = covered * free
        free = free * (1 - covered)
    shares = [visible[item] for item in told.items]
    shares += [torch.zeros_like(free)] * (PLACES - 1 - len(shares))
    return functional.avg_pool2d(torch.stack([*shares, free]), PICTURE_SIZE // CELLS)


def told_share(statement: Statement, *, is_empty: bool) -> float:
    """1 if the caption says which item is which, else 0: then its places teach nothing."""
    return 0.0 if is_empty or statement.relation == "and" else 1.0


def grounding_loss(attention: list[Tensor], ground: Tensor) -> Tensor:
    """Cross-entropy of where the first heads look: (n, cells, tokens) each, ground (n, 3, 8, 8)."""
    losses = []
    for looks in attention:
        side = int(looks.shape[1] ** 0.5)
        truth = functional.avg_pool2d(ground, CELLS // side).flatten(2).transpose(1, 2)
        seen = looks[..., -PLACES:].clamp_min(TINY).log()
        losses.append(-(truth * seen).sum(-1).mean())
    return torch.stack(losses).mean()


class AttentionSight:
    """Watches the cross-attention of a UNet's middle and upper blocks during training."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self._seen: list[Tensor] = []
        for name, module in unet.named_modules():
            # On the way down the layout is not decided yet.
            if name.endswith("attn2") and not name.startswith("down_blocks"):
                module.get_attention_scores = self._watched(
                    module.get_attention_scores, heads=module.heads
                )

    def taken(self) -> list[Tensor]:
        """Where the first heads looked since the last call: (n, cells, tokens) each."""
        seen, self._seen = self._seen, []
        return seen

    def _watched(self, scores: Callable[..., Tensor], *, heads: int) -> Callable[..., Tensor]:
        def watched(*args: object, **kwargs: object) -> Tensor:
            attention = scores(*args, **kwargs)
            self._seen.append(attention.unflatten(0, (-1, heads))[:, 0])
            return attention

        return watched
