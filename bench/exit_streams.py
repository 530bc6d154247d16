"""Streams of recorded replies under an exit policy, watched by the server's monitor; part of `bench/early_exit.py`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from z1.evaluate import intervals, read_attempts
from z1.evaluate.exit_bounds import exit_indices
from z1.evaluate.exit_savings import probed_thoughts, swept_thoughts
from z1.exit_policy import CalibratedPolicy
from z1.serve.runtime.exit_watch import ExitOutcome, ExitResult, ExitWatch

WATCHED = 0.1
"""Share of the requests of a stream that keep their whole thought."""

STREAMS, STREAM_LENGTH, SHIFT_AT = 1000, 6000, 2000

Pool = Sequence[tuple[int, ExitResult]]
"""Replies under the policy: the probe tokens until the exit, and the result if the whole thought is kept."""


def simulate(folder: Path, policy: CalibratedPolicy) -> dict[str, Any]:
    """1,000 streams each: easy programs, a mixture with a risk of exactly the maximum, and a shift to hard ones."""
    pools = {name: pool_of(folder / name, policy) for name in ("easy", "hard")}
    risks = {name: fmean(result.outcome == "changed" for _, result in pool) for name, pool in pools.items()}
    worst = (policy.max_risk - risks["easy"]) / (risks["hard"] - risks["easy"])  # the mixture with a risk of 5 %
    rng = random.Random(5)
    calm = {"easy": lambda _: 0.0, "risk of exactly 5 %": lambda _: worst}
    result: dict[str, Any] = {
        "risks": risks, "watched": WATCHED, "streams": STREAMS, "length": STREAM_LENGTH, "shift at": SHIFT_AT
    }  # fmt: skip
    for name, share in calm.items():
        result[name] = calm_row([Stream(policy, pools, share, rng) for _ in range(STREAMS)])
    shifted = [Stream(policy, pools, lambda number: float(number >= SHIFT_AT), rng) for _ in range(STREAMS)]
    result["shift to hard"] = shift_row(shifted)
    return result


def pool_of(folder: Path, policy: CalibratedPolicy) -> Pool:
    """The recorded replies of a sweep under the policy."""
    _, thoughts = swept_thoughts(read_attempts(folder).values(), policy.every)
    pool = []
    for one in probed_thoughts(thoughts, policy.risk):
        at = exit_indices([policy.minimums], one)[0]
        exit_tokens = one.tokens if at is None else one.signals[at].thinking_tokens
        outcome: ExitOutcome = "unaffected" if at is None else "changed" if one.losses[at] else "same"
        probes = sum(one.probe_tokens[: None if at is None else at + 1])
        pool.append((probes, ExitResult(outcome, int(one.tokens), int(exit_tokens), sum(one.probe_tokens))))
    return pool


class Stream:
    """Requests until the alarm, drawn from the hard pool with probability `hard_share(number)`, else from the easy."""

    def __init__(
        self,
        policy: CalibratedPolicy,
        pools: Mapping[str, Pool],
        hard_share: Callable[[int], float],
        rng: random.Random,
    ) -> None:
        watch = ExitWatch(policy, WATCHED, lambda _: b"", lambda _: None)
        self.alarm: int | None = None
        self.changed_after_shift = self.saved = self.probes = self.thinking = 0
        for number in range(STREAM_LENGTH):
            probes, result = rng.choice(pools["hard" if rng.random() < hard_share(number) else "easy"])
            self.thinking += result.thinking_tokens
            if rng.random() < WATCHED:
                watch.add(result, None)
                self.probes += result.probe_tokens
                if watch.monitor.alarm:
                    self.alarm = number
                    break
            else:
                self.changed_after_shift += result.outcome == "changed" and number >= SHIFT_AT
                self.saved += result.thinking_tokens - result.exit_tokens
                self.probes += probes


def calm_row(streams: Sequence[Stream]) -> dict[str, Any]:
    """False alarms, and what was saved in streams without one."""
    calm = [one for one in streams if one.alarm is None]
    return {
        "false alarms": intervals.share(len(streams) - len(calm), len(streams)),
        "thinking tokens saved, watched requests counted": fmean(one.saved / one.thinking for one in calm),
        "probe tokens over thinking tokens": fmean(one.probes / one.thinking for one in calm),
    }


def shift_row(streams: Sequence[Stream]) -> dict[str, Any]:
    """The delay of the alarm in requests, and the answers that were changed before it."""
    after = [one for one in streams if one.alarm is None or one.alarm >= SHIFT_AT]
    delays = sorted(STREAM_LENGTH if one.alarm is None else one.alarm - SHIFT_AT for one in after)
    lost = sorted(one.changed_after_shift for one in after)
    return {
        "alarms before the shift": intervals.share(len(streams) - len(after), len(streams)),
        "missed": sum(one.alarm is None for one in after),
        "delay in requests, median and p95": [median(delays), delays[len(delays) * 95 // 100]],
        "changed answers before the alarm, median and p95": [median(lost), lost[len(lost) * 95 // 100]],
    }
