"""Which tokenizer does a model get?

From scratch: bytes, and the most frequent pieces of the training texts as tokens of their own, matched before anything
else: words, signs, line numbers. Digits, one-letter names, and capital letters that begin no word stay single: a digit
is then one value, and a name is the same token wherever it stands. A base keeps its own, with a template in any case.

There are no merges. transformers' AutoTokenizer (and vLLM with it) gives every folder of type `qwen2` Qwen's own
pre-tokenizer, whatever the folder says; bytes that never merge are the same ids under any pre-tokenizer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from z1.errors import UserError
from z1.prompts import CHATML, chat_template

PATTERN = re.compile(
    r"</?think>|\n?\d+\| | -> |\d| ?[a-z_]{2,} ?|[A-Z][a-z_]{2,}|[A-Za-z]| ?[^\sA-Za-z0-9]+(?: (?!-> ))?|\s+"
)
"""What may be a piece; a piece of one byte is that byte."""

LINE = re.compile(r"\n?\d+\| ")
"""A token that begins a line of a listing: its number."""

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` ids, with ChatML's special tokens and template."""
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
    """The ids that begin a line of a listing, in order."""
    return sorted(token for piece, token in tokenizer.get_added_vocab().items() if LINE.fullmatch(piece))


def of(base: str) -> Any:
    """The tokenizer of a base, a folder or hub id, with a template in any case. Raises UserError, in one line.

    AutoTokenizer would give the same ids for a folder of ours, and write another file.
    """
    ours = (Path(base) / "z1.json").is_file()
    try:
        tokenizer = (PreTrainedTokenizerFast if ours else AutoTokenizer).from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        why = str(error).strip().partition("\n")[0]
        raise UserError(f"tokenizer of base {base}", why, "give a folder or hub id of a language model") from None
    tokenizer.chat_template = chat_template(tokenizer)
    return tokenizer
