"""Bounds on what exits by probes lose: the earliest exit of each policy whose risk is shown to be small.

A policy (`exit_policy.POLICIES`) has minimums to try. Those of `agreement` and `confidence` have an order before there
are data; `both` takes the order, and `combined` its weights and then the order, from problems of their own. So up to
three sets of problems are disjoint: one fits the combiner, one orders the minimums from careful to aggressive, and the
third is tested in that order (learn-then-test, arXiv 2110.01052, section 4.3 on split fixed-sequence testing).

Thoughts of one cluster (samples of a problem, problems of a user) are one value, their mean loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from itertools import groupby
from statistics import fmean
from typing import Any

from z1.errors import UserError
from z1.evaluate import intervals
from z1.evaluate.exit_combiner import fit_combiner
from z1.exit_policy import POLICIES, ExitMinimums, ProbeSignals
from z1.records import Interval
from z1.risk_control import learn_then_test, required_problems
from z1.surrogates import encode_for_hash

FIFTHS = {"agreement": (0, 0), "confidence": (0, 0), "both": (0, 2), "combined": (1, 1)}
"""How many fifths of the problems fit the combiner and order the minimums; the rest is tested."""

ASSUMPTION = "independent problems from where the calibration's come, answered by the same model with the same settings"


@dataclass(frozen=True, slots=True)
class ProbedThought:
    """A thought with its probes: their signals, the loss of an exit at each, and the tokens that each sampled and, with
    its hint, computed.

    `tokens` are those of the whole thought; exits are compared with it. Thoughts of one `cluster` are not independent.
    """

    cluster: str
    signals: tuple[ProbeSignals, ...]
    losses: tuple[float, ...]
    sampled_tokens: tuple[int, ...]
    probe_tokens: tuple[int, ...]
    tokens: float


@dataclass(frozen=True, slots=True)
class RiskLimit:
    """The risk named `risk` is to be at most `max_risk`, with this confidence."""

    risk: str
    max_risk: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PolicyBound:
    """The earliest exit of a policy whose risk is shown to be at most that of `limit`; `minimums` is None if none is.

    `problems` were tested, `set_aside` fitted and ordered. `measured` is the risk on the tested ones. `thinking_ratio`
    is their thinking tokens over those of whole thoughts, `step_ratio` the same with the tokens that probes sample
    (the time of a reply that has the engine for itself), and `paid_ratio` with the hints of probes too (the work of an
    engine that is full). Without an exit there is nothing to probe, and all are 1.
    """

    policy: str
    limit: RiskLimit
    minimums: ExitMinimums | None
    problems: int
    set_aside: int
    measured: Interval
    exited: float
    thinking_ratio: float
    step_ratio: float
    paid_ratio: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def policy_bound(policy: str, thoughts: Sequence[ProbedThought], limit: RiskLimit) -> PolicyBound:
    """The bound of a row of `POLICIES`. Raises UserError if the problems are too few to show it."""
    clusters = _clusters(thoughts)
    needed = problems_needed(policy, limit)
    if len(clusters) < needed:
        do = f"give {needed} or more for the policy {policy}, a risk of {limit.max_risk:g} and confidence "
        raise UserError("problems to calibrate on", len(clusters), f"{do}{limit.confidence:g}")
    to_fit, to_order = (fifths * len(clusters) // 5 for fifths in FIFTHS[policy])
    fitting, ordering = clusters[:to_fit], clusters[to_fit : to_fit + to_order]
    tested = clusters[to_fit + to_order :]
    minimums: Sequence[ExitMinimums] = POLICIES[policy]
    if fitting:
        flat = [thought for cluster in fitting for thought in cluster]
        combiner = fit_combiner([t.signals for t in flat], [t.losses for t in flat], [t.tokens for t in flat])
        minimums = [replace(one, combiner=combiner) for one in minimums]
    if ordering:
        minimums = order_minimums(minimums, ordering)
    losses, _ = _outcomes(minimums, tested)
    chosen = learn_then_test(losses, limit.max_risk, limit.confidence)
    return _bound(policy, limit, None if chosen is None else minimums[chosen], tested, to_fit + to_order)


def problems_needed(policy: str, limit: RiskLimit) -> int:
    """The smallest number of problems with which a bound of this policy can be shown."""
    tested = required_problems(limit.max_risk, limit.confidence)
    total = tested
    while total - sum(fifths * total // 5 for fifths in FIFTHS[policy]) < tested:
        total += 1
    return total


def order_minimums(minimums: Sequence[ExitMinimums], clusters: Sequence[_Cluster]) -> list[ExitMinimums]:
    """`minimums` from careful to aggressive by what they lose and save on `clusters`; those that think more and lose
    more than another are left out.
    """
    losses, tokens = _outcomes(minimums, clusters)
    by_tokens = sorted(range(len(minimums)), key=lambda index: -tokens[index])
    kept: list[int] = []
    least = 1.0
    for index in reversed(by_tokens):  # from the most aggressive one
        if fmean(losses[index]) <= least:
            kept.append(index)
            least = fmean(losses[index])
    return [minimums[index] for index in reversed(kept)]


_Cluster = Sequence[ProbedThought]


def _clusters(thoughts: Sequence[ProbedThought]) -> list[_Cluster]:
    """The thoughts by cluster, in an order that has nothing to do with them, and is always the same."""
    ordered = sorted(thoughts, key=lambda one: (_shuffled(one.cluster), one.cluster))
    return [list(found) for _, found in groupby(ordered, lambda one: one.cluster)]


def _shuffled(name: str) -> bytes:
    return blake2b(encode_for_hash(name), digest_size=8).digest()


def exit_indices(minimums: Sequence[ExitMinimums], thought: ProbedThought) -> list[int | None]:
    """The probe at which each of `minimums`, which share their combiner, ends a thought; None if it ends by itself."""
    combiner = minimums[0].combiner
    signals = thought.signals
    scores = [None] * len(signals) if combiner is None else [combiner.score(one) for one in signals]
    pairs = list(enumerate(zip(signals, scores, strict=True)))
    return [next((at for at, (one, score) in pairs if least.are_met(one, score)), None) for least in minimums]


def _outcomes(minimums: Sequence[ExitMinimums], clusters: Sequence[_Cluster]) -> tuple[list[list[float]], list[float]]:
    """The losses [minimums][clusters], and the thinking tokens of all clusters for each of `minimums`."""
    losses: list[list[float]] = [[] for _ in minimums]
    tokens = [0.0] * len(minimums)
    for cluster in clusters:
        exits = [exit_indices(minimums, thought) for thought in cluster]
        for row, ends in enumerate(zip(*exits, strict=True)):
            found = list(zip(cluster, ends, strict=True))
            losses[row].append(fmean(0.0 if at is None else thought.losses[at] for thought, at in found))
            tokens[row] += sum(_thinking_tokens(thought, at) for thought, at in found)
    return losses, tokens


def _thinking_tokens(thought: ProbedThought, at: int | None) -> float:
    return thought.tokens if at is None else thought.signals[at].thinking_tokens


def _bound(
    policy: str, limit: RiskLimit, minimums: ExitMinimums | None, clusters: Sequence[_Cluster], set_aside: int
) -> PolicyBound:
    thoughts = [thought for cluster in clusters for thought in cluster]
    whole = max(1.0, sum(thought.tokens for thought in thoughts))
    names = (policy, limit, minimums, len(clusters), set_aside)
    if minimums is None:
        return PolicyBound(*names, intervals.share(0.0, len(clusters)), 0.0, 1.0, 1.0, 1.0)
    losses, tokens = _outcomes([minimums], clusters)
    ends = [exit_indices([minimums], thought)[0] for thought in thoughts]
    both = [(thought, None if at is None else at + 1) for thought, at in zip(thoughts, ends, strict=True)]
    sampled = sum(sum(thought.sampled_tokens[:count]) for thought, count in both)
    probes = sum(sum(thought.probe_tokens[:count]) for thought, count in both)
    return PolicyBound(
        *names,
        intervals.share(sum(losses[0]), len(clusters)),
        sum(at is not None for at in ends) / len(ends),
        tokens[0] / whole,
        (tokens[0] + sampled) / whole,
        (tokens[0] + probes) / whole,
    )
