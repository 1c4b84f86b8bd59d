"""The words the model knows, and a CLIP tokenizer in which each of them is one token."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from training.captions import LEADS, RELATION_WORDS
from training.scene import COLOURS, FILLS, SHAPES, SIZES

#: Tokens of one prompt, both ends included: the longest caption has 22, and the text encoder
#: needs a few free places at the end in which to gather the whole sentence.
MAX_TOKENS = 32
START, END, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORD_END = "</w>"

Merge = tuple[str, str]


def known_words() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    phrases = [*COLOURS, *SHAPES, *SIZES, *FILLS, *LEADS, "a an and background is on shape"]
    phrases += [wording for wordings in RELATION_WORDS.values() for wording in wordings]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))


def learn_merges(words: tuple[str, ...]) -> list[Merge]:
    """Byte-pair encoding carried on until each word is a single token."""
    pieces = {word: [*word[:-1], word[-1] + WORD_END] for word in words}
    merges: list[Merge] = []
    while pairs := Counter(p for parts in pieces.values() for p in _neighbours(parts)):
        # Ties go to the alphabet, so that the files are the same on every machine.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: _merged(parts, best) for word, parts in pieces.items()}
    return merges


def vocabulary() -> dict[str, int]:
    """Token to id: known words first, then punctuation, pieces of words, special tokens."""
    words = [word + WORD_END for word in known_words()]
    pieces = [letter + end for letter in LETTERS for end in ("", WORD_END)]
    pieces += ["".join(merge) for merge in learn_merges(known_words())]
    tokens = [*words, "," + WORD_END, "." + WORD_END, *pieces, UNKNOWN, START, END]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def piece_ids() -> list[int]:
    """Ids of the tokens that only unknown words produce; they share one meaningless vector."""
    meaningful = {word + WORD_END for word in known_words()}
    meaningful |= {"," + WORD_END, "." + WORD_END, START, END}
    return [index for token, index in vocabulary().items() if token not in meaningful]


def write_tokenizer(folder: Path) -> None:
    """Write the files from which `CLIPTokenizer.from_pretrained` builds itself."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = ["#version: 0.2", *(" ".join(merge) for merge in learn_merges(known_words()))]
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_TOKENS,
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": UNKNOWN,
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary(), indent=0))
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))


def _neighbours(parts: list[str]) -> list[Merge]:
    return list(pairwise(parts))


def _merged(parts: list[str], merge: Merge) -> list[str]:
    result: list[str] = []
    for part in parts:
        if result and (result[-1], part) == merge:
            result[-1] += part
        else:
            result.append(part)
    return result
