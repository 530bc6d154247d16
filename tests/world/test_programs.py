"""Programs come from (seed, index) alone, and are written in nothing but what the rest of the world knows."""

from __future__ import annotations

import ast
import re
from collections import Counter
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.world.programs import KINDS, LARGEST, draw
from z1.world.recognise import ALLOWED

LAW = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS, INDICES = st.integers(0, 10**6), st.integers(0, 10**6)


@given(seed=SEEDS, index=INDICES)
@LAW
def test_a_program_is_a_function_of_seed_and_index_alone(seed: int, index: int) -> None:
    first = draw(seed, index)
    draw(seed + 1, index)
    Random(0).random()
    assert draw(seed, index) == first


def test_no_program_has_changed_since_models_were_trained_on_them() -> None:
    """A changed generator makes a shipped model's tests into problems that it may have been trained on."""
    text = "".join(source for index in range(400) for source in draw(1, index))
    assert sha256(text.encode()).hexdigest()[:16] == "35890f53c2cabc13"


@given(seed=SEEDS, index=INDICES)
@LAW
def test_a_program_is_whole_lines_of_python_with_one_print_at_the_end(seed: int, index: int) -> None:
    kind, source = draw(seed, index)
    assert kind in KINDS
    assert source.endswith(")\n")
    tree = ast.parse(source)
    prints = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print"]
    assert len(prints) == 1
    assert prints[0].lineno == source.count("\n")
    assert prints[0].col_offset == 0
    assert all(isinstance(node, ALLOWED) for node in ast.walk(tree))


@given(seed=SEEDS, index=INDICES)
@LAW
def test_one_line_holds_one_statement(seed: int, index: int) -> None:
    """Steps are counted by line, so a line with two statements would hide one."""
    statements = [node.lineno for node in ast.walk(ast.parse(draw(seed, index)[1])) if isinstance(node, ast.stmt)]
    assert len(statements) == len(set(statements))


@given(seed=SEEDS, index=INDICES)
@LAW
def test_constants_are_digits_short_lists_of_digits_and_short_words(seed: int, index: int) -> None:
    for node in ast.walk(ast.parse(draw(seed, index)[1])):
        if isinstance(node, ast.List):
            assert len(node.elts) <= 5
        if isinstance(node, ast.Constant):
            value = node.value
            good = re.fullmatch("[A-E]{0,5}", value) if isinstance(value, str) else value in range(LARGEST + 1)
            assert good, value


@given(seed=SEEDS, index=INDICES)
@LAW
def test_names_are_single_letters_that_are_set_above_where_they_are_read(seed: int, index: int) -> None:
    names = [node for node in ast.walk(ast.parse(draw(seed, index)[1])) if isinstance(node, ast.Name)]
    first_set: dict[str, int] = {}
    for name in names:
        if isinstance(name.ctx, ast.Store):
            assert re.fullmatch("[a-z]", name.id)
            first_set[name.id] = min(name.lineno, first_set.get(name.id, name.lineno))
    for name in names:
        if isinstance(name.ctx, ast.Load) and name.id not in ("print", "range"):
            assert first_set[name.id] < name.lineno


def test_every_kind_is_drawn_about_as_often_as_another() -> None:
    counts = Counter(draw(3, index)[0] for index in range(480))
    assert set(counts) == set(KINDS)
    assert all(30 < count < 90 for count in counts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_write_many_programs(kind: str) -> None:
    assert len({"\n".join(KINDS[kind](Random(seed))) for seed in range(60)}) > 30
