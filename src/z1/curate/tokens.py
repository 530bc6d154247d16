"""How many tokens has a text?

Counts by any fast tokenizer. Counts a text alone: no template, no special ids. The reference encodes row by row and
twice over (efficientscaling/Z1, train/preprocess.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from tokenizers import Tokenizer

from z1.curate.token_counts import WordEncoder
from z1.errors import UserError

BATCH = 512


class TokenCounter:
    """Counts for one tokenizer: a tokenizer.json, a folder with one, or a name on the hub."""

    def __init__(self, tokenizer: str) -> None:
        loaded = _load(tokenizer)
        self.hash = blake2b(loaded.to_str().encode(), digest_size=8).hexdigest()
        """16 hexadecimal digits of what the tokenizer is."""
        self._encoding = WordEncoder(loaded)

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        blocks = (texts[begin : begin + BATCH] for begin in range(0, len(texts), BATCH))
        return [len(ids) for block in blocks for ids in self._encoding.encode(block)]


def _load(name: str) -> Tokenizer:
    path = Path(name) / "tokenizer.json" if Path(name).is_dir() else Path(name)
    try:
        return Tokenizer.from_file(str(path)) if path.is_file() else Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises bare Exception for all that can go wrong
        raise UserError("tokenizer", f"{name} ({error})", "give a tokenizer.json, its folder or a hub name") from None
