"""Programs depend on (seed, index) alone and use only the supported syntax."""

from __future__ import annotations

import ast
import re
from collections import Counter
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.synthetic.programs import DRILLS, KINDS, LARGEST, generate
from z1.synthetic.tracer import Step, trace

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS, INDICES = st.integers(0, 10**6), st.integers(0, 10**6)


@given(seed=SEEDS, index=INDICES)
@PROPERTY
def test_a_program_is_a_function_of_seed_and_index_alone(seed: int, index: int) -> None:
    first = generate(seed, index)
    generate(seed + 1, index)
    Random(0).random()
    assert generate(seed, index) == first


def test_no_program_has_changed_since_models_were_trained_on_them() -> None:
    """With a changed generator a shipped model could be tested on its training problems."""
    text = "".join(source for index in range(400) for source in generate(1, index))
    assert sha256(text.encode()).hexdigest()[:16] == "57bd40e2c11810c2"


@given(seed=SEEDS, index=INDICES, kinds=st.sampled_from([(), tuple(DRILLS)]))
@PROPERTY
def test_a_program_is_valid_python_with_one_print_at_the_end(seed: int, index: int, kinds: tuple[str, ...]) -> None:
    kind, source = generate(seed, index, kinds)
    assert kind in (kinds or KINDS)
    assert source.endswith(")\n")
    tree = ast.parse(source)
    prints = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print"]
    assert len(prints) == 1
    assert prints[0].lineno == source.count("\n")
    assert prints[0].col_offset == 0


@given(seed=SEEDS, index=INDICES)
@PROPERTY
def test_one_line_holds_one_statement(seed: int, index: int) -> None:
    """Steps are counted by line, so a second statement in a line would not be counted."""
    statements = [
        node.lineno
        for node in ast.walk(ast.parse(generate(seed, index, tuple(DRILLS))[1]))
        if isinstance(node, ast.stmt)
    ]
    assert len(statements) == len(set(statements))


@given(seed=SEEDS, index=INDICES)
@PROPERTY
def test_constants_are_digits_short_lists_of_digits_and_short_words(seed: int, index: int) -> None:
    for node in ast.walk(ast.parse(generate(seed, index, tuple(DRILLS))[1])):
        if isinstance(node, ast.List):
            assert len(node.elts) <= 5
        if isinstance(node, ast.Constant):
            value = node.value
            good = re.fullmatch("[A-E]{0,5}", value) if isinstance(value, str) else value in range(LARGEST + 1)
            assert good, value


@given(seed=SEEDS, index=INDICES)
@PROPERTY
def test_names_are_single_letters_assigned_before_use(seed: int, index: int) -> None:
    names = [
        node for node in ast.walk(ast.parse(generate(seed, index, tuple(DRILLS))[1])) if isinstance(node, ast.Name)
    ]
    first_set: dict[str, int] = {}
    for name in names:
        if isinstance(name.ctx, ast.Store):
            assert re.fullmatch("[a-z]", name.id)
            first_set[name.id] = min(name.lineno, first_set.get(name.id, name.lineno))
    for name in names:
        if isinstance(name.ctx, ast.Load) and name.id not in ("print", "range"):
            assert first_set[name.id] < name.lineno


def test_all_kinds_are_about_equally_frequent() -> None:
    counts = Counter(generate(3, index)[0] for index in range(480))
    assert set(counts) == set(KINDS)
    assert all(30 < count < 90 for count in counts.values())


@pytest.mark.parametrize("kind", DRILLS)
def test_each_kind_can_write_many_programs(kind: str) -> None:
    assert len({"\n".join(DRILLS[kind](Random(seed))) for seed in range(60)}) > 30


def test_requested_kinds_are_those_of_the_practice_set() -> None:
    drawn = [generate(3, index, ("letters", "words")) for index in range(60)]
    assert {kind for kind, _ in drawn} == {"letters", "words"}
    assert max(source.count('" + ') + source.count(' + "') for _, source in drawn) > 2


@pytest.mark.parametrize("kind", ["branch", "letters", "text"])
def test_an_equality_test_often_holds(kind: str) -> None:
    """Rare cases are not learned: a model answered `E == E` with no."""
    tested = [_equal(step) for seed in range(400) for step in _steps("\n".join(DRILLS[kind](Random(seed))))]
    known = [equal for equal in tested if equal is not None]
    assert 0.3 < sum(known) / len(known) < 0.7


def _steps(source: str) -> tuple[Step, ...]:
    found = trace(source, 40)
    return found.steps if found else ()


def _equal(step: Step) -> bool | None:
    """Whether a tested pair was equal; None if the step tests no equality."""
    test = step.node.test if isinstance(step.node, ast.If) else None
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq | ast.NotEq):
        return None
    left, right = test.left, test.comparators[0]
    return isinstance(left, ast.Name) and isinstance(right, ast.Constant) and step.before[left.id] == right.value
