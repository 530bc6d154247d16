"""Calibration of reasoning efforts: the thinking budget of each effort, for one model and one task.

Other servers map efforts to fixed numbers of tokens (LiteLLM: 1024, 2048, 4096). Here they are read off a sweep, in
which every problem was answered at every budget: each effort gets the smallest budget that reaches a share of the
accuracy that thinking adds. The smallest budget within a given number of points of the best accuracy is named as well.

A budget that is chosen by its score looks better than it is. Its loss is corrected for that, and the intervals of
losses hold for the chosen one too (`losses.py`). Several samples of a problem are one problem with their mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from z1.errors import UserError
from z1.evaluate.intervals import mean, share
from z1.evaluate.losses import BudgetLosses
from z1.evaluate.scores import ModelScores, model_scores, split_samples
from z1.records import Attempt, Interval

GAIN_SHARES = {"minimal": 0.25, "low": 0.5, "medium": 0.75, "high": 0.9, "xhigh": 0.99}
"""The share of thinking's gain in accuracy that an effort reaches; `none` does not think, `max` is unlimited."""

UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """One thinking budget (-1 is unlimited): accuracy, mean thinking tokens, accuracy lost against the best budget."""

    thinking_budget: int
    accuracy: Interval
    thinking_tokens: Interval
    loss: Interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """What `z1 serve` loads: `efforts` in thinking tokens, and the measurements behind them. Losses are shares."""

    run: str
    model: str
    benchmark: str
    problems: int
    efforts: dict[str, int]
    max_accuracy_drop: float
    sufficient_budget: int
    """The smallest budget that loses at most `max_accuracy_drop` against the best, by the upper end of its interval;
    if no budget is shown to, the one with the best score.
    """
    is_shown: bool
    """Whether `sufficient_budget` is shown to lose at most `max_accuracy_drop`."""
    thinking_saved: float
    """The share of unlimited thinking that `sufficient_budget` saves."""
    loss: Interval
    """The loss of `sufficient_budget`, corrected for the selection bias; the interval holds for a chosen budget."""
    selection_bias: float
    """By how much the problems that chose it understate its loss; it is added to the value of `loss`."""
    rows: list[CalibrationRow]

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def calibrate(attempts: Iterable[Attempt], max_accuracy_drop: float, names: dict[str, str]) -> Calibration:
    """The calibration of a finished sweep; `max_accuracy_drop` is a share, `names` its `run`, `model` and `benchmark`.

    Raises UserError if `max_accuracy_drop` is not a share, or with fewer than two budgets or two problems.
    """
    if not 0 <= max_accuracy_drop < 1:
        raise UserError("max_accuracy_drop", max_accuracy_drop, "give at least 0 and less than 100 points")
    measured = model_scores(split_samples(attempts))
    budgets = _ascending(measured)
    problems = sorted(measured.right[budgets[0]])
    if len(budgets) < 2 or len(problems) < 2:
        got = f"{len(budgets)} thinking budgets and {len(problems)} problems"
        raise UserError("calibration", got, "evaluate at least two budgets and two problems")
    losses = BudgetLosses([[measured.right[budget][p] for budget in budgets] for p in problems])
    chosen = losses.choose(max_accuracy_drop)
    sufficient = budgets[chosen.index]
    used = [fmean(measured.thinking_tokens[w].values()) for w in (sufficient, budgets[-1])]
    return Calibration(
        **names,
        problems=len(problems),
        efforts=_efforts(measured, budgets, problems),
        max_accuracy_drop=max_accuracy_drop,
        sufficient_budget=_budget(sufficient),
        is_shown=chosen.is_shown,
        thinking_saved=1 - used[0] / used[1] if used[1] else 0.0,
        loss=chosen.loss,
        selection_bias=chosen.selection_bias,
        rows=[_row(measured, *one, problems) for one in zip(budgets, losses.intervals(), strict=True)],
    )


def _efforts(run: ModelScores, budgets: Sequence[int | None], problems: Sequence[str]) -> dict[str, int]:
    right = {budget: _right(run, budget, problems) for budget in budgets}
    lowest, best = right[budgets[0]], max(right.values())

    def budget_for(gain_share: float) -> int:
        target = lowest + gain_share * (best - lowest)
        return _budget(next(budget for budget in budgets if right[budget] >= target - 1e-9))

    return {
        "none": 0,
        **{effort: budget_for(gain_share) for effort, gain_share in GAIN_SHARES.items()},
        "max": UNLIMITED,
    }


def _row(run: ModelScores, budget: int | None, loss: Interval, problems: Sequence[str]) -> CalibrationRow:
    right, thought = ([kind[budget][p] for p in problems] for kind in (run.right, run.thinking_tokens))
    return CalibrationRow(_budget(budget), share(sum(right), len(right)), mean(thought), loss)


def _right(run: ModelScores, budget: int | None, problems: Sequence[str]) -> float:
    return fmean(run.right[budget][p] for p in problems)


def _ascending(run: ModelScores) -> list[int | None]:
    return sorted(run.right, key=lambda budget: float("inf") if budget is None else budget)


def _budget(budget: int | None) -> int:
    return UNLIMITED if budget is None else budget
