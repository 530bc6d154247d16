"""Loading a tokenizer as its file defines it.

transformers' AutoTokenizer makes a tokenizer of the class that the model type or tokenizer_config.json names, and for
some classes it replaces the pre-tokenizer of tokenizer.json by the class's own, which changes token ids: with the class
of Llama over a byte-level file, "Add 2 and 3, please." becomes "Add2and3,please.". So every tokenizer is compared with
its file on a probe text, and where they differ the file's is taken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from z1.model_files.turn_ends import read_turn_ends
from z1.profiles import TURN_ENDS

PROBE = (
    "Add 2 and 3, please.\n\n  The sum is 12345.67 (café, naïve, 日本語, 🙂).\n"
    "def f(x):\n\treturn x ** 2  # don't, DON'T\n<think>\nSo\u00a0…\n</think>\n\n\\frac{1}{2}\r\n "
)
"""Digits, contractions, spaces, code, letters of several scripts: where pre-tokenizers differ."""


FILE_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes of transformers that are what tokenizer.json says; to import others takes seconds."""


def read_tokenizer(folder: str) -> Any:
    """The tokenizer of a folder or a hub id, with the model's turn ends as an attribute (`profiles.TURN_ENDS`)."""
    tokenizer = _read(folder)
    setattr(tokenizer, TURN_ENDS, read_turn_ends(folder))
    return tokenizer


def _read(folder: str) -> Any:
    if (Path(folder) / "z1.json").is_file() or _class_name(Path(folder)) in FILE_CLASSES:
        return _file_tokenizer(folder)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    file = Path(folder) / "tokenizer.json"
    if not file.is_file() or _agrees(tokenizer, file):
        return tokenizer
    return _file_tokenizer(folder)


def _class_name(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    return str(json.loads(path.read_text("utf-8")).get("tokenizer_class", "")) if path.is_file() else ""


def _file_tokenizer(folder: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)


def _agrees(tokenizer: Any, file: Path) -> bool:
    """Whether `tokenizer` and the one in `file` give the same tokens for the probe, and the same text for those."""
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(file))
    token_ids = own.encode(PROBE, add_special_tokens=False).ids
    if tokenizer.encode(PROBE, add_special_tokens=False) != token_ids:
        return False
    return bool(tokenizer.decode(token_ids, clean_up_tokenization_spaces=False) == own.decode(token_ids))
