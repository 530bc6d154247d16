"""How many ids of thought is each effort worth, for this model and this task?

Maps from an effort to a number of ids are made-up constants everywhere else (LiteLLM: 1024, 2048, 4096). Here they are
read off a sweep, where every problem was thought through once and answered at every window: an effort buys a share of
what thinking gains. And the smallest window is named whose accuracy is surely within so many points of the best.

What is chosen by its score looks better than it is, so the choice is also made on one half of the problems and measured
on the other, and the other way round: `honest_loss`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from z1.errors import UserError
from z1.evaluate.intervals import mean
from z1.evaluate.paired import bootstrap
from z1.evaluate.scores import ModelScores, scores
from z1.records import Attempt, Interval

GAINS = {"minimal": 0.25, "low": 0.5, "medium": 0.75, "high": 0.9, "xhigh": 0.99}
"""Share of thinking's gain that an effort buys; `none` answers at once and `max` is free."""

FREE = -1


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """One window: ids allowed (FREE is -1), share right, ids of thought used, and what is lost against the best."""

    thinking_budget: int
    accuracy: Interval
    thought: Interval
    loss: Interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the server loads: `efforts` in ids of thought, and what they rest on. Losses are shares."""

    run: str
    model: str
    benchmark: str
    problems: int
    efforts: dict[str, int]
    within: float
    enough: int
    """The smallest window that surely loses no more than `within` against the best."""
    saved: float
    """Share of a free run's thought that `enough` saves."""
    honest_loss: Interval
    """Of a window chosen so on other problems."""
    rows: list[CalibrationRow]

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def calibrate(attempts: Iterable[Attempt], within: float, names: dict[str, str]) -> Calibration:
    """The calibration of a finished sweep; `within` is a share, `names` its `run`, `model` and `benchmark`.

    Raises UserError where `within` is no share, or where there is one window, or fewer than two problems, to choose by.
    """
    if not 0 <= within < 1:
        raise UserError("within", within, "give points from 0 to below 100")
    draws: dict[int, list[Attempt]] = {}
    for attempt in attempts:
        draws.setdefault(attempt.sample, []).append(attempt)
    all_of_it = scores(list(draws.values()))
    windows = _ascending(all_of_it)
    problems = sorted(all_of_it.right[windows[0]])
    if len(windows) < 2 or len(problems) < 2:
        got = f"{len(windows)} windows and {len(problems)} problems"
        raise UserError("a sweep to calibrate from", got, "evaluate two windows and two problems at least")
    chosen = _enough(all_of_it, problems, within)
    used = [fmean(all_of_it.thought[w].values()) for w in (chosen, windows[-1])]
    return Calibration(
        **names,
        problems=len(problems),
        efforts=_efforts(all_of_it, windows, problems),
        within=within,
        enough=_ids(chosen),
        saved=1 - used[0] / used[1] if used[1] else 0.0,
        honest_loss=_honest(all_of_it, problems, within),
        rows=[_row(all_of_it, window, _best(all_of_it, problems), problems) for window in windows],
    )


def _efforts(found: ModelScores, windows: Sequence[int | None], problems: Sequence[str]) -> dict[str, int]:
    right = {window: _right(found, window, problems) for window in windows}
    least, best = right[windows[0]], max(right.values())

    def buys(share: float) -> int:
        wanted = least + share * (best - least)
        return _ids(next(window for window in windows if right[window] >= wanted - 1e-9))

    return {"none": 0, **{effort: buys(share) for effort, share in GAINS.items()}, "max": FREE}


def _best(found: ModelScores, problems: Sequence[str]) -> int | None:
    """The most accurate window on `problems`; of equal ones the smallest."""
    return max(_ascending(found), key=lambda window: _right(found, window, problems))


def _enough(found: ModelScores, problems: Sequence[str], within: float) -> int | None:
    """The smallest window whose loss is surely no more than `within`: by the upper end of its interval."""
    best = _best(found, problems)
    fits = (w for w in _ascending(found) if w == best or bootstrap(_losses(found, w, best, problems))[2] <= within)
    return next(fits)


def _honest(found: ModelScores, problems: Sequence[str], within: float) -> Interval:
    halves = problems[::2], problems[1::2]
    lost: list[list[float]] = []
    for chosen_on, measured_on in (halves, halves[::-1]):
        window = _enough(found, chosen_on, within)
        lost += _losses(found, window, _best(found, chosen_on), measured_on)
    return bootstrap(lost)


def _row(found: ModelScores, window: int | None, best: int | None, problems: Sequence[str]) -> CalibrationRow:
    right, thought = ([kind[window][p] for p in problems] for kind in (found.right, found.thought))
    return CalibrationRow(_ids(window), mean(right), mean(thought), bootstrap(_losses(found, window, best, problems)))


def _losses(found: ModelScores, window: int | None, best: int | None, problems: Sequence[str]) -> list[list[float]]:
    return [[found.right[best][p] - found.right[window][p]] for p in problems]


def _right(found: ModelScores, window: int | None, problems: Sequence[str]) -> float:
    return fmean(found.right[window][p] for p in problems)


def _ascending(found: ModelScores) -> list[int | None]:
    return sorted(found.right, key=lambda window: float("inf") if window is None else window)


def _ids(window: int | None) -> int:
    return FREE if window is None else window
