"""How often an arm thinks briefly, and how often it is then right.

A thought is brief if it has fewer than `BRIEF` times the tokens of *full* on the same problem, the mean of its seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.smol.claims import Scores
from z1.evaluate.intervals import clustered_share

BRIEF = 0.6

SHARES = ("brief", "right_if_brief", "right_if_not")

LONG_PROGRAMS = 7
"""Executed lines from which a program counts as long."""


def shares(ours: Scores, full: Scores, steps: Mapping[str, int]) -> list[dict[str, Any]]:
    """For all problems and for the long programs: the `SHARES` of brief thoughts, and of right answers after them and
    after the others. Without a thinking budget; the seeds of a problem are a cluster.
    """
    order = {problem: index for index, problem in enumerate(full.problems)}
    reference = full.thought[:, -1].mean(0)[[order[problem] for problem in ours.problems]]
    brief = ours.thought[:, -1] < BRIEF * reference
    rows = []
    for least, name in ((0, "all"), (LONG_PROGRAMS, f"{LONG_PROGRAMS} and more")):
        chosen = [index for index, problem in enumerate(ours.problems) if steps[problem] >= least]
        is_brief, right = brief[:, chosen].T, ours.right[:, -1][:, chosen].T > 0
        rows.append(
            {
                "lines": name,
                "brief": clustered_share(is_brief.tolist()) if chosen else None,
                "right_if_brief": _right(right, is_brief),
                "right_if_not": _right(right, ~is_brief),
                "n": len(chosen),
            }
        )
    return rows


def _right(right: NDArray[np.bool_], where: NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """The share of right answers `where` a reply counts; None if none does."""
    groups = [values[counts].tolist() for values, counts in zip(right, where, strict=True)]
    return clustered_share(groups) if where.any() else None
