"""Alternating rounds of all arms, and ratios within a round.

Every arm runs once per round, and every second round in reverse order, so that a slowdown of the machine affects
all of them. A ratio is the median of the ratios within a round, with quartiles, by wall time and by process CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Measure:
    """One run of one arm: wall and CPU seconds, sampled tokens, and forward calls and rows where known."""

    seconds: float
    cpu: float
    tokens: int
    calls: int = 0
    rows: int = 0
    latency: float = 0.0
    """Mean seconds per request, where requests arrive one after another."""


Arm = Callable[[], Measure]
Round = Mapping[str, Measure]
Spread = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""


def timed(work: Callable[[], int]) -> Measure:
    """Run `work`, which returns the number of sampled tokens."""
    cpu, wall = time.process_time(), time.perf_counter()
    tokens = work()
    return Measure(time.perf_counter() - wall, time.process_time() - cpu, tokens)


def rounds(arms: Mapping[str, Arm], count: int, max_seconds: float, min_rounds: int = 1) -> list[Round]:
    """Up to `count` rounds of all arms; after `min_rounds` no round starts that would exceed `max_seconds`."""
    start = time.monotonic()
    found: list[Round] = []
    names = list(arms)
    while len(found) < count:
        spent = time.monotonic() - start
        if len(found) >= min_rounds and spent * (len(found) + 1) / len(found) > max_seconds:
            break
        order = names[::-1] if len(found) % 2 else names
        found.append({name: arms[name]() for name in order})
    return found


def spread(values: Sequence[float]) -> Spread:
    """Quartiles, to four places."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return round(low, 4), round(middle, 4), round(high, 4)


def over(found: Sequence[Round], one: str, other: str) -> dict[str, Spread]:
    """Ratio of the tokens per second of `one` to those of `other`, by wall time and by CPU time."""
    pairs = [(turn[one], turn[other]) for turn in found]
    return {
        "wall": spread([a.tokens / a.seconds / (b.tokens / b.seconds) for a, b in pairs]),
        "cpu": spread([a.tokens / a.cpu / (b.tokens / b.cpu) for a, b in pairs]),
    }


def cheaper(found: Sequence[Round], one: str, other: str) -> Spread:
    """Ratio of the CPU time of `other` to that of `one` for the same work; above 1, `one` is cheaper."""
    return spread([turn[other].cpu / turn[one].cpu for turn in found])


def exact(found: Sequence[Round]) -> dict[str, float]:
    """Forward calls and rows with a window over those of a free run of equal length; the maximum over rounds."""
    pairs = [(turn["window"], turn["free"]) for turn in found]
    return {
        "window_calls_over_free": round(max(a.calls / b.calls for a, b in pairs), 4),
        "window_rows_over_free": round(max(a.rows / b.rows for a, b in pairs), 4),
    }


def rates(found: Sequence[Round]) -> dict[str, float]:
    """Median tokens per second of each arm, to characterize the machine."""
    return {name: round(median(turn[name].tokens / turn[name].seconds for turn in found), 1) for name in found[0]}
