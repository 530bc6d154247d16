"""Selection of the replies that a report shows, by a fixed rule.

Every reply is of a kind: model, right or not, natural or shifted, easy or hard. The next reply is of the kind whose
traits, and pairs of traits, were shown least so far; a hash of its name picks it among the replies of that kind. So a
few replies are a mix that includes failures, no model is shown by its failures only, and the same folders always show
the same replies. Missing replies are not shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from statistics import median_low

from z1.records import Attempt, Problem
from z1.report.load import Evaluation
from z1.surrogates import encode_for_hash

RULE = (
    "Chosen by a fixed rule: the next reply is of the kind (model; right or not; shifted or not; easy or hard, split "
    "at the median of steps) that was shown least so far, and a hash of its name picks it. This mix is not a random "
    "sample: failures may be shown more often than they occur. The table has the shares."
)
"""The rule, as text of the page."""

Traits = tuple[tuple[str, object], ...]
"""Name and value of each trait."""


@dataclass(frozen=True, slots=True)
class ShownTranscript:
    """A reply with its evaluation and problem."""

    evaluation: Evaluation
    problem: Problem
    attempt: Attempt


def choose(evaluations: Sequence[Evaluation], most: int) -> tuple[ShownTranscript, ...]:
    """At most `most` replies, in the order of choice; problems not yet shown come first."""
    kinds: defaultdict[Traits, list[ShownTranscript]] = defaultdict(list)
    for evaluation in evaluations:
        middle = _middle(evaluation)
        for attempt in evaluation.attempts:
            if attempt.verdict != "missing":
                shown = ShownTranscript(evaluation, evaluation.problems[attempt.problem], attempt)
                kinds[_traits(shown, middle)].append(shown)
    for replies in kinds.values():
        replies.sort(key=_name_hash)
    chosen: list[ShownTranscript] = []
    counts: Counter[Traits] = Counter()
    while kinds and len(chosen) < most:
        kind = min(kinds, key=lambda one: (sum(counts[part] for part in _parts(one)), str(one)))
        counts.update(_parts(kind))
        seen = {(one.problem.origin, one.problem.id) for one in chosen}
        replies = kinds[kind]
        fresh = (index for index, one in enumerate(replies) if (one.problem.origin, one.problem.id) not in seen)
        chosen.append(replies.pop(next(fresh, 0)))
        if not replies:
            del kinds[kind]
    return tuple(chosen)


def _middle(evaluation: Evaluation) -> int | None:
    steps = [problem.steps for problem in evaluation.problems.values() if problem.steps is not None]
    return median_low(steps) if steps else None


def _traits(shown: ShownTranscript, middle: int | None) -> Traits:
    steps = shown.problem.steps
    return (
        ("model", shown.evaluation.label),
        ("failed", shown.attempt.verdict != "right"),
        ("shifted", shown.attempt.shift != "natural"),
        ("hard", None if steps is None or middle is None else steps > middle),
    )


def _parts(kind: Traits) -> list[Traits]:
    """The traits of a kind: single, in pairs, and all."""
    return [*combinations(kind, 1), *combinations(kind, 2), kind]


def _name_hash(shown: ShownTranscript) -> str:
    attempt = shown.attempt
    return sha256(encode_for_hash(f"{attempt.problem}\n{attempt.thinking_budget}\n{attempt.sample}")).hexdigest()
