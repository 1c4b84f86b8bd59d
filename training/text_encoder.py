"""The text encoder: a three-layer CLIP text model, first taught to find the facts in a caption.

Learning words from the denoiser's loss alone takes most of the training time (the words are not
bound to colours and shapes after 1,300 steps), while finding the facts takes minutes. The last
three places of a prompt are always padding, and CLIP's causal attention lets them see all words:
they are taught to hold item one, item two and the scene, ready for the cross-attention.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.captions import random_caption
from training.split import training_scenes
from training.stage import Plan
from training.statement import ITEM_FACTS, SCENE_FACTS
from training.vocabulary import END, MAX_TOKENS, START, piece_ids, vocabulary, write_tokenizer

TEXT_WIDTH = 128
BATCH = 64

PLAN = Plan(name="text_encoder", steps=1200, learning_rate=2e-3)


def build_text_encoder() -> CLIPTextModel:
    """About 0.6 M parameters."""
    ids = vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(ids),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=ids[START],
        eos_token_id=ids[END],
        pad_token_id=ids[END],
        attn_implementation="eager",  # PyTorch's fused attention is slower for 32 tokens on a CPU
    )
    return CLIPTextModel(config)


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write the tokenizer's files into the folder and load them as a user would."""
    write_tokenizer(folder)
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    return tokenizer


def token_ids(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Ids as the pipelines make them: (n, MAX_TOKENS)."""
    ids: Tensor = tokenizer(
        list(texts),
        padding="max_length",
        truncation=True,
        max_length=MAX_TOKENS,
        return_tensors="pt",
    ).input_ids
    return ids


def mute_pieces(text_encoder: CLIPTextModel) -> None:
    """Give every token that only unknown words produce one and the same vector."""
    with torch.no_grad():
        table = text_encoder.get_input_embeddings().weight
        table[piece_ids()] = table[piece_ids()].mean(0)


class FactReader(nn.Module):  # type: ignore[misc]  # PyTorch counts as untyped here
    """The text encoder with linear read-outs at the last three places."""

    def __init__(self, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        item, scene = ([len(v) for v in facts.values()] for facts in (ITEM_FACTS, SCENE_FACTS))
        self.sizes = (item, item, scene)
        self.heads = nn.ModuleList(nn.Linear(TEXT_WIDTH, sum(sizes)) for sizes in self.sizes)

    def forward(self, ids: Tensor) -> list[tuple[Tensor, ...]]:
        """Logits of each fact for (n, MAX_TOKENS) ids: three rows as in `Statement.labels`."""
        hidden = self.text_encoder(ids).last_hidden_state
        places = zip(self.heads, self.sizes, (-3, -2, -1), strict=True)
        return [head(hidden[:, place]).split(sizes, -1) for head, sizes, place in places]


def fact_loss(reader: FactReader, tokenizer: CLIPTokenizer, *, step: int, device: str) -> Tensor:
    """Mean cross-entropy over the facts of a step's captions."""
    rng = Random(f"text {step}")
    told = [random_caption(scene, rng) for scene in islice(training_scenes(rng), BATCH)]
    ids = token_ids(tokenizer, [text for text, _ in told]).to(device)
    labels = [statement.labels() for _, statement in told]
    losses = []
    for place, logits in enumerate(reader(ids)):
        truth = torch.tensor([rows[place] for rows in labels], device=device)
        losses += [functional.cross_entropy(fact, truth[:, i]) for i, fact in enumerate(logits)]
    return torch.stack(losses).mean()
