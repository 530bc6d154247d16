"""Which ids has a text, when most of its words have been encoded before?

A byte-level tokenizer parts a text into words by one pattern and encodes each word by itself, so the ids of a text are
those of its words, one after the other; each different word is encoded once. Only for tokenizers that say so in their
own `tokenizer.json` (the GPT-2 pattern, or one pattern and nothing else, as Qwen2's and Llama 3's) and for texts in
ASCII without special tokens, where Python's `re` and the tokenizer's own engine mean the same by a pattern; for all
else the tokenizer is asked. One text in CHECKED is encoded by the tokenizer too, and the first that differs ends it.
Source: https://huggingface.co/docs/tokenizers/components (ByteLevel, Split).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

from tokenizers import Tokenizer

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""The pattern of ByteLevel."""

CLASSES = {"L": "A-Za-z", "N": "0-9"}
"""What letters and numbers are in ASCII."""

MOST_WORDS = 500_000
"""Words kept, so that memory stays flat; then it begins anew."""

CHECKED = 64


class WordEncoder:
    """Encodes texts by their words with `tokenizer`, and is silent about what it cannot do: those are encoded whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        facts = json.loads(tokenizer.to_str())
        self._pattern = pattern(facts)
        special = [re.escape(token["content"]) for token in facts["added_tokens"]]
        self._special = re.compile("|".join(special) or r"(?!)")
        self._known: dict[str, list[int]] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without a template's special ids."""
        parted = [self._words(text) for text in texts]
        self._learn(parted)
        whole = [number for number, words in enumerate(parted) if words is None]
        checked = [number for number in range(0, len(texts), CHECKED) if parted[number] is not None]
        asked = self._ask([texts[number] for number in (*whole, *checked)])
        ids = dict(zip(whole, asked, strict=False))
        for number, right in zip(checked, asked[len(whole) :], strict=True):
            if self._joined(parted[number]) != right:
                self._pattern = None
                return self._ask(texts)
        return [self._joined(words) if words is not None else ids[number] for number, words in enumerate(parted)]

    def _words(self, text: str) -> list[str] | None:
        if self._pattern is None or not text.isascii() or self._special.search(text):
            return None
        return self._pattern.findall(text)

    def _learn(self, parted: Sequence[list[str] | None]) -> None:
        if len(self._known) > MOST_WORDS:
            self._known.clear()
        new = list({word for words in parted if words for word in words if word not in self._known})
        self._known.update(zip(new, self._ask(new), strict=True))

    def _joined(self, words: list[str] | None) -> list[int]:
        return list(chain.from_iterable(map(self._known.__getitem__, words or ())))

    def _ask(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def pattern(facts: dict[str, Any]) -> re.Pattern[str] | None:
    """The pattern that parts ASCII texts into words, by a tokenizer's own description; None where it says more."""
    if (facts.get("normalizer") or {"type": "NFC"})["type"] != "NFC" or facts["model"]["type"] != "BPE":
        return None
    if facts["model"].get("dropout") or facts.get("truncation") or facts.get("padding"):
        return None
    match _steps(facts.get("pre_tokenizer") or {}):
        case [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}]:
            said = GPT2
        case [
            {"type": "Split", "pattern": {"Regex": said}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
        ]:
            pass
        case _:
            return None
    try:
        return re.compile(in_ascii(said), re.ASCII)
    except re.error:
        return None


def _steps(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return list(facts["pretokenizers"]) if facts.get("type") == "Sequence" else [facts]


def in_ascii(said: str) -> str:
    r"""A pattern with `\p{L}` and `\p{N}` as ASCII's; other classes stay, and `re` refuses them."""
    found, inside = [], False
    for part in re.findall(r"\\p\{[A-Z]\}|\\.|.", said, re.DOTALL):
        inside = part == "[" or (inside and part != "]")
        name = part[3:-1] if part.startswith("\\p{") else ""
        found.append((CLASSES[name] if inside else f"[{CLASSES[name]}]") if name in CLASSES else part)
    return "".join(found)
