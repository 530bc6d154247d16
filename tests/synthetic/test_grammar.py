"""What the generator draws fits the grammar; what it cannot draw is refused in one line that says what would do."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.errors import UserError
from z1.synthetic import grammar, small_programs
from z1.synthetic.programs import DRILLS, KINDS, generate

PROPERTY = settings(max_examples=300, deadline=None, derandomize=True)


@given(seed=st.integers(0, 10**6), index=st.integers(0, 10**6))
@PROPERTY
def test_every_candidate_of_the_generator_fits_a_pattern(seed: int, index: int) -> None:
    source = generate(seed, index)[1].rstrip("\n")
    assert grammar.normalise(source) == source
    assert grammar.is_drawn(source)


@given(form=st.sampled_from(list(small_programs.FORMS)), seed=st.integers(0, 10**6))
@PROPERTY
def test_every_small_program_is_in_the_grammar(form: str, seed: int) -> None:
    source = small_programs.draw(Random(seed), form)
    assert grammar.normalise(source) + "\n" == source
    if form in small_programs.UNSURE:
        return
    grammar.check(source.rstrip("\n"), "model")


def test_forms_that_the_model_is_not_sure_of_are_refused() -> None:
    assert set(small_programs.FORMS) > small_programs.UNSURE
    for source in ("x = 1\ny = 2\nx = x + y\nprint(x)", 'w = "A"\nt = "B"\nprint(w + t)'):
        assert small_programs.run(source + "\n") is not None
        assert not grammar.is_answered(source)
    assert grammar.is_answered("a = 1\nb = 2\na = a + b\nprint(a)")


@given(index=st.integers(0, 10**6), at=st.integers(0, 10**6), what=st.sampled_from(list("0123456789abcdstxyABZ+-*%<>")))
@PROPERTY
def test_a_program_with_one_sign_changed_is_refused_or_fits_with_all_its_values_in_range(
    index: int, at: int, what: str
) -> None:
    source = generate(3, index)[1].rstrip("\n")
    at %= len(source)
    try:
        changed = grammar.normalise(source[:at] + what + source[at + 1 :])
    except (SyntaxError, ValueError):
        return
    if refusal := refused(changed):
        assert "\n" not in refusal
        assert refusal.startswith("model ")
        assert grammar.EXAMPLE in refusal
        return
    namespace: dict[str, object] = {"print": lambda value: namespace.update(printed=value)}
    exec(changed, namespace)
    values = [value for name, value in namespace.items() if isinstance(value, int) and not name.startswith("__")]
    assert all(0 <= value <= 9 for value in values)


def refused(source: str) -> str:
    """The refusal of a program; "" if it is in the grammar."""
    try:
        grammar.check(source, "model")
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("print(12)", "the numbers 12; use whole numbers from 0 to 9"),
        ("print(2.5)", "the numbers 2.5; use whole"),
        ("print(True)", "the numbers True; use whole"),
        ("print(7 + 8)", "keep every value between 0 and 9"),
        ("print(3 - 4)", "keep every value between 0 and 9"),
        ("a = 3\nprint(b)", "a name without a value"),
        ("total = 3\nprint(total)", "the names 'total'; call numbers a, b, c, d, x or y"),
        ("print(max(3, 4))", "calls 'max'; call append, print, range only"),
        ("print('hello')", "the texts 'hello'; use texts of the letters A to E"),
        ("print(3)\nprint(4)", "2 calls of print; print one value"),
        ("3 + 4", "0 calls of print; print one value"),
        ("print(3 ** 2)", "Pow; use ="),
        ("print(2 + 3 * 1)", "the form"),
        ("n = 9\nwhile n > 0:\n    n -= 1\nprint(n)", "more than 12 steps; make it shorter"),
    ],
)
def test_a_refusal_says_what_would_do(source: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        grammar.check(grammar.normalise(source), "model")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_kinds_have_patterns_of_their_own() -> None:
    """A pattern that fits everything would pass the tests above."""
    for kind in {*KINDS, *DRILLS} - {"words", "expression", "letters"}:
        drawn = ["\n".join(KINDS[kind](Random(number))) for number in range(20)]
        fitting = [{p.pattern for p in grammar.patterns() if p.fullmatch(source)} for source in drawn]
        assert all(fitting)
        assert len(set.union(*fitting)) < len(grammar.patterns()) / 2
