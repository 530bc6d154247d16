"""The tokenizer of a model from scratch.

Bytes, and the most frequent pieces of the training texts (words, signs, line numbers) as added tokens, which are
matched first. Digits, one-letter names, and capital letters that do not begin a word are single tokens, so a digit is
one value and a name is the same token everywhere.

There are no merges. transformers' AutoTokenizer (and vLLM with it) gives every folder of type `qwen2` Qwen's own
pre-tokenizer, regardless of the folder's files; bytes that never merge are the same tokens under any pre-tokenizer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from z1.prompts import CHATML

PATTERN = re.compile(
    r"</?think>|\n?\d+\| | -> |\d| ?[a-z_]{2,} ?|[A-Z][a-z_]{2,}|[A-Za-z]| ?[^\sA-Za-z0-9]+(?: (?!-> ))?|\s+"
)
"""Pieces of a text; a piece of one byte is that byte."""

LINE = re.compile(r"\n?\d+\| ")
"""A token that begins a line of a listing: the line number."""

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` tokens, with ChatML's special tokens and template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    counts = Counter(piece for text in texts for piece in PATTERN.findall(text))
    frequent = sorted((piece for piece in counts if len(piece) > 1), key=lambda piece: (-counts[piece], piece))
    vocabulary = {piece: number for number, piece in enumerate([*SPECIAL, *alphabet])}
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens(list(SPECIAL))
    bpe.add_tokens([AddedToken(piece, normalized=False) for piece in frequent[: max(0, size - len(vocabulary))]])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )


def line_numbers(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The tokens that begin a line of a listing, in order."""
    return sorted(token for piece, token in tokenizer.get_added_vocab().items() if LINE.fullmatch(piece))
