"""Turn ends: every token at which `transformers.generate` would stop ends a reply here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from z1.model_files import load_tokenizer
from z1.model_files.turn_ends import read_turn_ends
from z1.models import shipped
from z1.profiles import get_profile, stop_token_ids


@pytest.mark.parametrize(
    ("generation", "config", "ends"),
    [
        ({"eos_token_id": [5, 9]}, {"eos_token_id": 5}, {5, 9}),  # Llama 3: a text and a turn end differently
        ({"eos_token_id": 5}, {"eos_token_id": 7}, {5}),
        ({"temperature": 0.6}, {"eos_token_id": [7]}, {7}),
        (None, {"eos_token_id": 7}, {7}),
        (None, {"eos_token_id": None}, set()),
        (None, None, set()),
    ],
)
def test_turn_ends_are_those_of_the_generation_config_else_of_the_config(
    generation: object, config: object, ends: set[int], tmp_path: Path
) -> None:
    for name, content in (("generation_config.json", generation), ("config.json", config)):
        if content is not None:
            (tmp_path / name).write_text(json.dumps(content), "utf-8")
    assert read_turn_ends(str(tmp_path)) == ends


def test_a_loaded_tokenizer_stops_at_the_models_turn_ends(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json", "z1.json"):
        (tmp_path / name).write_bytes((shipped() / name).read_bytes())
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [41, 43]}', "utf-8")
    tokenizer = load_tokenizer(str(tmp_path))
    assert {41, 43, tokenizer.eos_token_id} <= stop_token_ids(tokenizer, get_profile("plain"))
