"""The combiner tells probes that keep the answer from others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.evaluate.test_exit_bounds import PROBES, population
from z1.evaluate.exit_combiner import fit_combiner


def test_the_combiner_prefers_what_keeps_the_answer() -> None:
    some = population()[:400]
    combiner = fit_combiner([t.signals for t in some], [t.losses for t in some], [t.tokens for t in some])
    pairs = [
        (combiner.score(s), loss) for t in population()[400:800] for s, loss in zip(t.signals, t.losses, strict=True)
    ]
    kept, lost = ([score for score, loss in pairs if loss == value] for value in (0, 1))
    assert np.mean(kept) > np.mean(lost) + 0.2
    assert abs(np.mean(kept + lost) - len(kept) / len(pairs)) < 0.1  # about calibrated


def test_probes_that_all_agree_have_a_combiner_too() -> None:
    some = [replace(one, losses=(0.0,) * PROBES) for one in population()[:30]]
    combiner = fit_combiner([t.signals for t in some], [t.losses for t in some], [t.tokens for t in some])
    assert min(combiner.score(s) for t in some for s in t.signals) > 0.5
    assert fit_combiner([()], [()], [50.0]).score(some[0].signals[0]) == 0.5
