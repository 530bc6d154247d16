"""Evaluation: accuracy and tokens of a model at every thinking budget, with intervals.

    sweep.py           one problem at all thinking budgets from a single thought
    runner.py          many problems concurrently, resumable
    cost.py            an upper bound on the tokens of a sweep, and the difference that it can show
    curve.py           the numbers of a run: accuracy against tokens, by budget and by difficulty
    intervals.py       95 % intervals, and s1's three metrics
    paired.py          paired differences, pass@k, and sample sizes
    matched.py         tokens at matched accuracy
    run_comparison.py  both for two runs, budget by budget
    scores.py          scores of a model over several seeds, and ratios between two models
    losses.py          accuracy lost at each budget against the best, for a budget that is chosen by it
    calibrate.py       the thinking budget of each reasoning effort, for a model and a task
    exit_savings.py    what early exits by probes would have saved on a finished sweep
    exit_bounds.py     the earliest exit of each policy whose risk is shown to be small
    exit_combiner.py   a logistic regression on the signals of probes
    replay.py          what thinking budgets would have saved on recorded requests
    conversations.py   conversations as a benchmark whose replies are graded elsewhere
    recorded.py        early exits on traces whose probes others recorded

Uses the engine protocol only; callers choose the engine.
"""

from z1.evaluate.cost import CostEstimate, estimate_cost
from z1.evaluate.curve import curve
from z1.evaluate.matched import ratio, ratio_with_interval
from z1.evaluate.paired import Difference, difference, pass_at_k, problems_needed
from z1.evaluate.run_comparison import compare
from z1.evaluate.runner import (
    ATTEMPTS,
    PROBLEMS,
    AttemptCounter,
    count_finished,
    evaluate,
    has_attempts,
    hash_answer,
    read_attempts,
    record_evaluation,
)
from z1.evaluate.sweep import Sweep, make_sweep

__all__ = [
    "ATTEMPTS",
    "PROBLEMS",
    "AttemptCounter",
    "CostEstimate",
    "Difference",
    "Sweep",
    "compare",
    "count_finished",
    "curve",
    "difference",
    "estimate_cost",
    "evaluate",
    "has_attempts",
    "hash_answer",
    "make_sweep",
    "pass_at_k",
    "problems_needed",
    "ratio",
    "ratio_with_interval",
    "read_attempts",
    "record_evaluation",
]
