"""What did the thinking buy?

    sweep.py        one problem under every window, for the price of one thought
    running.py      many problems at once, losing nothing
    statistics.py   how sure are we? intervals, and s1's three metrics
    plan.py         what will it cost, and what could it show?
    compare.py      is one run better than another?
    matched.py      tokens at matched accuracy
    against.py      both of that for two runs, window by window
    curve.py        the numbers of a run: accuracy against tokens, by window and by difficulty
    arms.py         which of two trained arms thinks less for the same answers?
    calibrate.py    how many ids is each effort worth, for this model and task?
    converge.py     what would early exit by convergence have saved?
    replay.py       what would windows have saved on my own traffic?
    leakage.py      after a forced close, does the model answer or go on thinking?
    second_look.py  does going through everything again mend mistakes, or make them?

Verbs know the engine protocol only; the door picks the engine.
"""

from z1.evaluate.cost import CostEstimate, estimate_cost
from z1.evaluate.curve import curve
from z1.evaluate.matched import ratio, ratio_with_interval
from z1.evaluate.paired import Difference, difference, pass_at_k, problems_needed
from z1.evaluate.run_comparison import compare
from z1.evaluate.runner import ATTEMPTS, PROBLEMS, evaluate, read_attempts
from z1.evaluate.sweep import Sweep

__all__ = [
    "ATTEMPTS",
    "PROBLEMS",
    "CostEstimate",
    "Difference",
    "Sweep",
    "compare",
    "curve",
    "difference",
    "estimate_cost",
    "evaluate",
    "pass_at_k",
    "problems_needed",
    "ratio",
    "ratio_with_interval",
    "read_attempts",
]
