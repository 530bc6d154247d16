"""Another script is told from code, formulas and the question's own."""

from __future__ import annotations

import pytest

from z1.curate import filters
from z1.curate.language import foreign
from z1.curate.plan import CheckSettings
from z1.curate.sources import Candidate


@pytest.mark.parametrize(
    ("question", "response", "share"),
    [
        ("Q", "Plain 123 text, `code_1` and λ, π, 𝑥ⁿ, ﬁ, ℝ, ℓ, ä, 2×3 → ∞ 😀", 0.0),
        ("Q", "", 0.0),
        ("Q", "abcd 首先", 2 / 6),
        ("Q", "首先", 1.0),
        ("这是什么?", "abcd 首先", 0.0),
        ("это?", "abcd 首先", 2 / 6),
        ("Q", "да", 1.0),
        ("Q", "こ漢", 1.0),
    ],
)
def test_the_share_of_letters_of_other_scripts(question: str, response: str, share: float) -> None:
    assert foreign(question, response) == pytest.approx(share)


def test_a_trajectory_over_the_share_goes() -> None:
    one = Candidate("a", "p", "Q", "abcdefghi 首", tokens=1)
    assert filters.wrong(one, CheckSettings(language=0.09)) == "another language"
    assert filters.wrong(one, CheckSettings(language=0.1)) == ""
    assert filters.wrong(Candidate("a", "p", "Q", "首", tokens=1), CheckSettings(language=1)) == ""
