"""Tests of the vocabulary: class names are unique, and the field's words can be searched for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.test_architecture import ROOT, SOURCE, Modules, clean, listed, made

SEARCHED = ["KV cache", "sampler", "dedup", "prefill", "throughput", "n-gram", "data loader", "latency"]
"""Words that an engineer of the field searches for."""

PRIVATE = re.compile(r"\b(desk|the door|apart\.py|team\.py|keeper|walls)\b", re.IGNORECASE)
"""Words that this project used before it had the field's."""


def class_names(modules: Modules) -> Iterator[str]:
    """Class names that two modules define."""
    owners: dict[str, list[str]] = {}
    for module in modules.values():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                owners.setdefault(node.name, []).append(module.name)
    yield from (f"{name} is defined in {' and '.join(found)}" for name, found in owners.items() if len(found) > 1)


def test_no_class_name_is_defined_twice() -> None:
    clean(class_names(SOURCE))


def test_a_class_name_that_is_defined_twice_is_found() -> None:
    assert not list(class_names(made({"runs": "class Log: ...", "records": "class Row: ..."})))
    (found,) = class_names(made({"runs": "class Log: ...", "records": "class Log: ..."}))
    assert found == "Log is defined in z1.runs and z1.records"


@pytest.mark.parametrize("word", SEARCHED)
def test_the_words_of_the_field_are_in_docstrings(word: str) -> None:
    found = [name for name, module in SOURCE.items() if word in (ast.get_docstring(module.tree) or "")]
    assert found, f"no module's docstring has the word {word!r}"


def test_no_private_word_is_left() -> None:
    files = [
        name for name in listed() if name.startswith(("src/", "docs/")) or name in ("README.md", "CONTRIBUTING.md")
    ]
    texts = {name: (ROOT / name).read_bytes() for name in files}
    clean(
        f"{name}: {found[0]}"
        for name, content in texts.items()
        if b"\0" not in content and (found := PRIVATE.search(content.decode()))
    )
