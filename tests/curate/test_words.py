"""Words are compared without what surrounds them, and spans say where they stood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from z1.curate.words import spans, words


def test_punctuation_case_and_latex_are_no_words() -> None:
    assert words('The list. "First_name", 10^5\xa0and $\\texttt{ab} \\leq 2$!') == [
        *("the", "list", "first", "name", "10", "5", "and", "ab", "leq", "2"),
    ]
    assert [word for word, _, _ in spans("\\textbf{ab} \\sin x")] == ["ab", "sin", "x"]
    assert words("ÜBER 素数 \\ _ __") == ["über", "素数"]


@given(st.text(alphabet="aB1_ \\.\né素", max_size=40))
def test_spans_are_the_words_with_their_places(text: str) -> None:
    found = list(spans(text))
    assert [word for word, _, _ in found] == words(text)
    assert all(text[first:end].lower() == word for word, first, end in found)
