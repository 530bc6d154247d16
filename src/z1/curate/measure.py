"""What has to be known of a trajectory, and how is it found out?

A measure is a field of a candidate that follows from its content and the plan alone: its tokens, its repetition, the
verdict of its tests, its MinHash. `measure` is a pure function from a block of candidates to what they lacked, so it
may run anywhere (`spread.py`) and once (`measured.py`). Cheap measures come first: tests run only on what no other
check leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

from z1.curate import filters, verification
from z1.curate.dedup import MinHashDedup
from z1.curate.plan import CheckSettings, CuratePlan, DuplicateSettings
from z1.curate.sources import Candidate
from z1.curate.tokens import TokenCounter

Values = dict[str, Any]
"""Values of some fields of a candidate."""

tokens_by = cache(TokenCounter)
"""One tokenizer a process."""

near_by = cache(MinHashDedup)


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """What a plan wants to know of every candidate; small, so that it travels to where the candidates are."""

    tokenizer: str
    check: CheckSettings
    cheap: CheckSettings
    """The checks without the tests."""
    duplicates: DuplicateSettings
    seed: int

    @classmethod
    def of(cls, plan: CuratePlan) -> MeasureSettings:
        """What `plan` wants."""
        cheap = plan.check.model_copy(update={"tests": False})
        return cls(plan.tokens.tokenizer, plan.check, cheap, plan.duplicates, plan.seed)

    def names(self) -> dict[str, str]:
        """Field -> its name where it is kept, which also says by what it was measured."""
        near = self.duplicates.model_dump(exclude={"near"}) | {"seed": self.seed}
        by = blake2b(json.dumps(near, sort_keys=True).encode(), digest_size=4).hexdigest()
        tokens = {"tokens": f"tokens {tokens_by(self.tokenizer).hash}"} if self.tokenizer else {}
        return {
            **tokens,
            "repetition": "repetition",
            "verdict": "verdict",
            "fault": "fault",
            "minhash": f"packed minhash {by}",
        }


class MeasureStep(NamedTuple):
    """One measure: who lacks it, and how it is taken of a block. What `lacks` asks about was measured before."""

    lacks: Callable[[MeasureSettings, Candidate], bool]
    take: Callable[[MeasureSettings, Sequence[Candidate]], Iterable[Values]]


def _lacks_tokens(wanted: MeasureSettings, one: Candidate) -> bool:
    return bool(wanted.tokenizer) and one.tokens is None


def _tokens(wanted: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    return ({"tokens": size} for size in tokens_by(wanted.tokenizer).sizes([one.response for one in block]))


def _lacks_repetition(wanted: MeasureSettings, one: Candidate) -> bool:
    return wanted.check.repetition < 1 and one.repetition is None


def _repetition(_: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    return ({"repetition": filters.repetition(one.response)} for one in block)


def _lacks_verdict(wanted: MeasureSettings, one: Candidate) -> bool:
    return wanted.check.tests and bool(one.tests) and not one.verdict and not filters.wrong(one, wanted.cheap)


def _verdict(_: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    return ({"verdict": found.verdict.value, "fault": found.reason} for found in verification.grades(block))


def _lacks_minhash(wanted: MeasureSettings, one: Candidate) -> bool:
    return wanted.duplicates.near is not None and not one.minhash and not filters.wrong(one, wanted.check)


def _minhash(wanted: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    near = near_by(wanted.duplicates, wanted.seed)
    return ({"minhash": near.packed(one)} for one in block)


STEPS = (
    MeasureStep(_lacks_tokens, _tokens),
    MeasureStep(_lacks_repetition, _repetition),
    MeasureStep(_lacks_verdict, _verdict),
    MeasureStep(_lacks_minhash, _minhash),
)


def lacking(wanted: MeasureSettings, one: Candidate) -> bool:
    """Whether anything has to be measured of `one`."""
    return any(step.lacks(wanted, one) for step in STEPS)


def measure(wanted: MeasureSettings, block: Sequence[Candidate]) -> list[Values]:
    """What each candidate of `block` lacked."""
    found: list[Values] = [{} for _ in block]
    now = list(block)
    for step in STEPS:
        due = [at for at, one in enumerate(now) if step.lacks(wanted, one)]
        for at, values in zip(due, step.take(wanted, [now[at] for at in due]) if due else (), strict=True):
            found[at] |= values
            now[at] = replace(now[at], **values)
    return found
