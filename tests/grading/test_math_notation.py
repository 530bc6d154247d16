"""One notation for answers, their units and bases, and inequalities as intervals."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.grading.math_notation import as_intervals, is_relation, read_value

SAME = [
    ["\\frac{1}{2}", "½", "\\dfrac{1}{2}", "$\\frac{1}{2}$.", "**\\frac{1}{2}**", "\\displaystyle \\frac{1}{2}"],
    ["2\\sqrt{3}", "2√3", "2√(3)", "2\\sqrt(3)", "2sqrt(3)"],
    ["x^{10}", "x¹⁰"],
    ["x_{1}", "x₁"],
    ["\\emptyset", "∅", "\\varnothing", "\\{\\}"],
    ["1000000", "1,000,000", "1{,}000{,}000", "1\\,000\\,000", "1 000 000"],
    ["(0, 1]", "\\left(0, 1\\right]", "\\bigl(0, 1\\bigr]"],
    ["42", "`42`", "\\(42\\)", "\\[42\\]", "{42}", "\\mathbf{42}", "\\text{42}", "42.", "42 \\quad", "\\approx 42"],
]
UNITS = [
    ("18 dollars", "18", {"dollar"}),
    ("\\$18", "18", {"dollar"}),
    ("5 cm", "5", {"cm"}),
    ("5cm", "5", {"cm"}),
    ("5 \\text{ centimetres}", "5", {"cm"}),
    ("500\\ \\text{m/s}", "500", {"m", "s"}),
    ("3\\,\\text{m}/\\text{s}", "3", {"m", "s"}),
    ("864 \\mbox{ inches}^2", "864", {"in"}),
    ("60°", "60", {"degree"}),
    ("3 m", "3", {"m"}),
    ("3m", "3m", set()),
    ("5 xy", "5 xy", set()),
    ("2 \\pi", "2 \\pi", set()),
    ("3 or 4", "3 or 4", set()),
    ("3 + \\text{i}", "3 + \\text{i}", set()),
    ("2x \\text{ if } x", "2x \\text{ if } x", set()),
    ("5 million", "5  \\times 10^{6}", set()),
    ("June 20", "June 20", set()),
]
INTERVALS = [
    ("0 < x < 12.5", "(0, 12.5)"),
    ("3 ≤ x ≤ 5", "[3, 5]"),
    ("5 > t \\ge 3", "[3, 5)"),
    ("x > 5", "(5, \\infty)"),
    ("5 \\le x", "[5, \\infty)"),
    ("x < 2 \\text{ or } x \\geq 5", "(-\\infty, 2) \\cup [5, \\infty)"),
    ("x + y < 3", "x + y < 3"),
    ("(0, 1)", "(0, 1)"),
    ("0 < x < y < 3", "0 < x < y < 3"),
]


@pytest.mark.parametrize("texts", SAME, ids=[texts[0] for texts in SAME])
def test_a_value_has_one_notation(texts: list[str]) -> None:
    assert {read_value(text).words() for text in texts} == {read_value(texts[0]).words()}


@pytest.mark.parametrize(("text", "value", "units"), UNITS)
def test_units_are_taken_off_the_value(text: str, value: str, units: set[str]) -> None:
    found = read_value(text)
    assert (found.text, set(found.units)) == (value, units)


def test_other_units_and_bases_contradict_each_other() -> None:
    assert read_value("40").contradicts(read_value("40_9")) and not read_value("40").contradicts(read_value("40_{10}"))
    assert read_value("3 km").contradicts(read_value("3 m"))
    assert read_value("\\$5").contradicts(read_value("5 cents"))
    assert read_value("413_6").contradicts(read_value("413_{5}"))
    for one, other in (
        ("3 km", "3"),
        ("3 km", "3 kilometres"),
        ("2 ways", "2 solutions"),
        ("413_6", "413₆"),
        ("413_6", "413"),
    ):
        assert not read_value(one).contradicts(read_value(other))


@pytest.mark.parametrize(("text", "interval"), INTERVALS)
def test_inequalities_in_one_variable_are_intervals(text: str, interval: str) -> None:
    assert as_intervals(read_value(text).text) == interval
    assert is_relation(read_value(text).text) is any(sign in text for sign in [*"<>≤≥", "\\le", "\\ge"])


@given(st.text(alphabet="12.,/ x√²½°%$\\{}()[]<>≤*`'\"_^-=textcm", max_size=30))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_text_has_a_notation(text: str) -> None:
    value = read_value(text)
    as_intervals(value.text)
    assert not value.contradicts(value)
    assert len(value.text) <= 12 * len(text) + 1
