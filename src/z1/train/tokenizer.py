"""Which tokenizer does a model from scratch get?

A byte-level BPE over the training texts in which digits, one-letter names, and capital letters that begin no word are
tokens of their own: a digit is then one value, and a name is the same token wherever it stands. Bases from a hub keep
their own tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from z1.chat import CHATML

PATTERN = r"\d| ?[a-z_]{2,}|[A-Z][a-z_]{2,}|[A-Za-z]| ?[^\sA-Za-z0-9]+ ?|\s+"
"""Where a text is split before merging; no merge crosses these borders."""

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` ids, with ChatML's special tokens and template."""
    bpe = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )
