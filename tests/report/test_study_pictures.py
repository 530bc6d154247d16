"""The pictures of a study show its numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.test_study_page import NUMBERS, PAGE, level
from z1.report import findings, plots, study_pictures
from z1.report.load import Curve


@pytest.mark.parametrize("budgets", [(), (16,)])
def test_curves_are_those_of_the_study(budgets: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Curve] = []

    def draw(curves: list[Curve]) -> dict[str, Any]:
        drawn.extend(curves)
        return {}

    monkeypatch.setattr(plots, "draw", draw)
    limited = {arm: [{**level(2, 0.5, 16), "thinking_budget": one} for one in budgets] for arm in ("z1", "long")}
    numbers = NUMBERS | ({"by_budget_and_difficulty": limited} if budgets else {})
    assert study_pictures.draw(numbers, PAGE) == {}
    ours, theirs = drawn
    assert isinstance(ours, Curve) and (ours.label, theirs.label) == ("z1", "long")
    assert (ours.count, ours.benchmark, len(ours.points)) == (143, "programs", 2)
    assert [(cell.thinking_budget, cell.steps) for cell in ours.cells] == [(one, 2) for one in budgets] + [
        (None, 1),
        (None, 2),
    ]
    assert findings.ratios([ours, theirs]) == {"long": pytest.approx(40.5 / 150)}
