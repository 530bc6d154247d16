"""The turn ends of a model: the tokens that end a reply besides the tokenizer's end of sequence.

They are in generation_config.json, as the list that `transformers.generate` stops at: Llama 3 ends a turn with another
token than a text, and so does Gemma. Without that file they are in config.json.
"""

from __future__ import annotations

import json
from pathlib import Path

FILES = ("generation_config.json", "config.json")


def read_turn_ends(model: str) -> frozenset[int]:
    """The turn ends of a folder or a hub id; none if its files have none."""
    for name in FILES:
        path = _find(model, name)
        ends = json.loads(path.read_text("utf-8")).get("eos_token_id") if path else None
        token_ids = [ends] if isinstance(ends, int) else ends or []
        if token_ids:
            return frozenset(int(token) for token in token_ids)
    return frozenset()


def _find(model: str, name: str) -> Path | None:
    if Path(model).is_dir():
        path = Path(model) / name
        return path if path.is_file() else None
    from transformers.utils import cached_file

    found = cached_file(
        model, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
    )
    return Path(found) if found else None
