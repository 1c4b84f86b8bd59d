"""The denoiser's attention is taught where in the picture each part of a caption belongs."""

from random import Random

import torch

from training.captions import random_caption
from training.denoiser import build_unet
from training.grounding import (
    CELLS,
    PLACES,
    AttentionSight,
    ground_of,
    grounding_loss,
    told_share,
)
from training.scene import Item, Scene
from training.statement import Statement, everything
from training.text_encoder import TEXT_WIDTH


def item(colour: str, *, x: int, y: int = 32, side: int = 20, shape: str = "square") -> Item:
    """A plain item."""
    return Item(colour=colour, shape=shape, size="small", fill="plain", x=x, y=y, side=side)


def centre(share: torch.Tensor) -> float:
    """Where along the picture's width a share lies, 0-1."""
    columns = (torch.arange(CELLS) + 0.5) / CELLS
    return float((share.sum(0) * columns).sum() / share.sum())


def test_the_shares_of_each_cell_add_up_to_one() -> None:
    """Item one, item two, ground."""
    scene = Scene(background="red", items=(item("blue", x=16), item("green", x=48)), relation=None)

    assert torch.allclose(ground_of(scene).sum(0), torch.ones(CELLS, CELLS))


def test_item_one_is_the_left_one_however_it_is_told() -> None:
    """As in the statements that the text encoder learnt from."""
    blue, green = item("blue", x=16), item("green", x=48)
    told = Scene(background="red", items=(blue, green), relation="left of")
    turned = Scene(background="red", items=(green, blue), relation="right of")

    for scene in (told, turned):
        one, two, _ = ground_of(scene)
        assert centre(one) < 0.5 < centre(two)


def test_an_inner_item_hides_the_outer_one() -> None:
    """Each pixel belongs to what one sees there."""
    inner, outer = item("blue", x=32), item("green", x=32, side=44)
    scene = Scene(background="red", items=(inner, outer), relation="inside")
    one, two, _ = ground_of(scene)

    assert float(one[4, 4]) == 1
    assert float(two[4, 4]) == 0


def test_a_caption_that_leaves_the_order_open_teaches_no_places() -> None:
    """Nor does an empty one."""
    scene = Scene(background="red", items=(item("blue", x=16), item("green", x=48)), relation=None)
    said = everything(scene)
    open_order = Statement(mentions=said.mentions, relation="and", background="red")

    assert told_share(said, is_empty=False) == 1
    assert told_share(said, is_empty=True) == 0
    assert told_share(open_order, is_empty=False) == 0


def test_looking_in_the_right_place_costs_nothing() -> None:
    """And looking elsewhere does."""
    scene = Scene(background="red", items=(item("blue", x=32, side=28),), relation=None)
    ground = ground_of(scene)[None]
    right = torch.zeros(1, CELLS * CELLS, 32)
    right[..., -PLACES:] = ground.flatten(2).transpose(1, 2)
    wrong = right.flip(-1)

    assert grounding_loss([right], ground) < 0.5 < grounding_loss([wrong], ground)


def test_the_denoiser_is_seen_looking_and_stays_a_plain_one() -> None:
    """Each upper cross-attention of one head, once per forward; the weights are untouched."""
    unet = build_unet()
    names = set(unet.state_dict())
    sight = AttentionSight(unet)
    unet(torch.randn(2, 4, 16, 16), torch.tensor([3, 4]), torch.randn(2, 32, TEXT_WIDTH))
    seen = sight.taken()

    assert {looks.shape[1] for looks in seen} == {16, 64}
    assert all(looks.shape[0] == 2 and looks.shape[2] == 32 for looks in seen)
    assert sight.taken() == []
    assert set(unet.state_dict()) == names


def test_random_captions_of_one_item_teach_places() -> None:
    """Most of the training does."""
    scene = Scene(background="red", items=(item("blue", x=32),), relation=None)
    _, statement = random_caption(scene, Random(0))

    assert told_share(statement, is_empty=False) == 1
