"""Measures of candidates (token count, repetition, verdicts, MinHash), computed once and cached on disk.

A measure is a field of a candidate that follows from its content and the plan alone. `measure` is a pure function from
a block of candidates to their missing fields, so it can run on any machine (`parallel.py`). Cheap measures come first:
tests run only on candidates that pass every other filter.

Cache: an append-only log, keyed by the hash of the content, so nothing is measured twice after a kill, a rebuild or an
unrelated change of the plan. Each shard writes a separate log, and the builder reads all of them. A verdict
*missing* is not cached, so the next run tries again.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from z1.curate import filters, verification
from z1.curate.dedup import MinHashDedup
from z1.curate.parallel import ParallelMap, in_process
from z1.curate.plan import CheckSettings, CuratePlan, DuplicateSettings
from z1.curate.sources import Candidate
from z1.curate.token_counts import TokenCounter
from z1.grading import Verdict
from z1.runs import Log, iterate_log
from z1.surrogates import encode_for_hash

LOG = "measured.jsonl"

Values = dict[str, Any]
"""Values of some fields of a candidate."""

token_counter = cache(TokenCounter)
"""One tokenizer per process."""

minhash_dedup = cache(MinHashDedup)


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """What to measure, from a plan; small, since it is sent to every worker."""

    tokenizer: str
    check: CheckSettings
    check_without_graders: CheckSettings
    check_without_tests: CheckSettings
    duplicates: DuplicateSettings
    seed: int

    @classmethod
    def from_plan(cls, plan: CuratePlan) -> MeasureSettings:
        """The settings of `plan`."""
        without_tests = plan.check.model_copy(update={"tests": False})
        without_graders = without_tests.model_copy(update={"answer": False})
        return cls(plan.tokens.tokenizer, plan.check, without_graders, without_tests, plan.duplicates, plan.seed)

    def log_keys(self) -> dict[str, str]:
        """Field -> its key in the log, which also names the tokenizer or the MinHash settings."""
        minhash = self.duplicates.model_dump(exclude={"min_similarity"}) | {"seed": self.seed}
        minhash_hash = blake2b(json.dumps(minhash, sort_keys=True).encode(), digest_size=4).hexdigest()
        tokens = {"tokens": f"tokens {token_counter(self.tokenizer).hash}"} if self.tokenizer else {}
        return {
            **tokens,
            "repetition": "repetition",
            "verdict": "verdict",
            "fault": "fault",
            "answer": "answer",
            "minhash": f"packed minhash {minhash_hash}",
        }


class MeasureStep(NamedTuple):
    """One measure: whether a candidate lacks it, and how to compute it for a block. Earlier steps have run by then."""

    is_missing: Callable[[MeasureSettings, Candidate], bool]
    compute: Callable[[MeasureSettings, Sequence[Candidate]], Iterable[Values]]


def _needs_tokens(settings: MeasureSettings, candidate: Candidate) -> bool:
    return bool(settings.tokenizer) and candidate.tokens is None


def _tokens(settings: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    counts = token_counter(settings.tokenizer).count([candidate.response for candidate in block])
    return ({"tokens": count} for count in counts)


def _needs_repetition(settings: MeasureSettings, candidate: Candidate) -> bool:
    return settings.check.repetition < 1 and candidate.repetition is None


def _repetition(_: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    return ({"repetition": filters.repetition(candidate.response)} for candidate in block)


def _needs_verdict(settings: MeasureSettings, candidate: Candidate) -> bool:
    if not settings.check.tests or not candidate.tests or candidate.verdict:
        return False
    return not filters.drop_reason(candidate, settings.check_without_tests)


def _verdict(_: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    return ({"verdict": grade.verdict.value, "fault": grade.reason} for grade in verification.grade_all(block))


def _needs_answer(settings: MeasureSettings, candidate: Candidate) -> bool:
    if not settings.check.answer or not candidate.reference or candidate.answer:
        return False
    return not filters.drop_reason(candidate, settings.check_without_graders)


def _answer(_: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    for grade in verification.grade_answers(block):
        is_missing = grade.verdict is Verdict.MISSING
        yield {"answer": f"{Verdict.MISSING}: {grade.reason}" if is_missing else grade.verdict.value}


def _needs_minhash(settings: MeasureSettings, candidate: Candidate) -> bool:
    if settings.duplicates.min_similarity is None or candidate.minhash:
        return False
    return not filters.drop_reason(candidate, settings.check)


def _minhash(settings: MeasureSettings, block: Sequence[Candidate]) -> Iterable[Values]:
    dedup = minhash_dedup(settings.duplicates, settings.seed)
    return ({"minhash": dedup.packed_signature(candidate)} for candidate in block)


STEPS = (
    MeasureStep(_needs_tokens, _tokens),
    MeasureStep(_needs_repetition, _repetition),
    MeasureStep(_needs_answer, _answer),
    MeasureStep(_needs_verdict, _verdict),
    MeasureStep(_needs_minhash, _minhash),
)


def is_incomplete(settings: MeasureSettings, candidate: Candidate) -> bool:
    """Whether any measure of `candidate` is missing."""
    return any(step.is_missing(settings, candidate) for step in STEPS)


def measure(settings: MeasureSettings, block: Sequence[Candidate]) -> list[Values]:
    """The missing measures of each candidate of `block`."""
    found: list[Values] = [{} for _ in block]
    candidates = list(block)
    for step in STEPS:
        missing = [at for at, candidate in enumerate(candidates) if step.is_missing(settings, candidate)]
        computed = step.compute(settings, [candidates[at] for at in missing]) if missing else ()
        for at, values in zip(missing, computed, strict=True):
            found[at] |= values
            candidates[at] = replace(candidates[at], **values)
    return found


class MeasureCache:
    """The measures stored in `folder`, and the only writer of its log `name`."""

    def __init__(self, settings: MeasureSettings, folder: Path, name: str = LOG) -> None:
        self._settings, self._path = settings, folder / name
        self._keys = settings.log_keys()
        self.tokenizer = self._keys.get("tokens", "").removeprefix("tokens ")
        """The hash of the tokenizer that counts; "" without one."""
        self._values: dict[str, Values] = {}
        for path in sorted(folder.glob("measured*.jsonl")):
            for record in iterate_log(path, dict):
                self._load(str(record["key"]), record)

    def _load(self, key: str, record: Values) -> None:
        values = {field: record[name] for field, name in self._keys.items() if name in record}
        if (known := self._values.setdefault(key, values)) is not values:
            known.update(values)

    def with_cached(self, candidate: Candidate) -> Candidate:
        """The candidate with its cached measures; a configured tokenizer replaces a source's token count."""
        base: Values = {"tokens": None} if self._settings.tokenizer else {}
        return candidate.with_values(base | self._values.get(content_hash(candidate), {}))

    def is_incomplete(self, candidate: Candidate) -> bool:
        """Whether a measure of the candidate is neither present nor cached."""
        return is_incomplete(self._settings, candidate)

    def measure_blocks(
        self, blocks: Iterable[Sequence[Candidate]], parallel_map: ParallelMap = in_process
    ) -> Iterator[list[Candidate]]:
        """The candidates with all measures, block by block; missing ones are computed through `parallel_map`."""
        waiting: deque[list[Candidate]] = deque()

        def incomplete_blocks() -> Iterator[list[Candidate]]:
            for block in blocks:
                waiting.append([self.with_cached(candidate) for candidate in block])
                yield [candidate for candidate in waiting[-1] if self.is_incomplete(candidate)]

        with Log(self._path) as log:
            for found in parallel_map(partial(measure, self._settings), incomplete_blocks()):
                block = waiting.popleft()
                if found:
                    incomplete = [candidate for candidate in block if self.is_incomplete(candidate)]
                    log.add(self._records(incomplete, found))
                    block = [self.with_cached(candidate) for candidate in block]
                yield block

    def _records(self, block: Sequence[Candidate], found: Sequence[Values]) -> Iterator[Values]:
        """Lines for the log; adds the values to the cache."""
        for candidate, values in zip(block, found, strict=True):
            key, stored = content_hash(candidate), dict(values)
            self._values.setdefault(key, {}).update(values)
            if stored.get("verdict") == Verdict.MISSING:
                del stored["verdict"], stored["fault"]
            if str(stored.get("answer", "")).startswith(Verdict.MISSING):
                del stored["answer"]
            yield {"key": key, **{self._keys[field]: value for field, value in stored.items()}}


def content_hash(candidate: Candidate) -> str:
    """32 hexadecimal digits of the content that measures depend on."""
    fields = (
        candidate.question,
        candidate.response,
        candidate.end,
        candidate.tests,
        candidate.entry,
        candidate.setup,
        *([candidate.reference] if candidate.reference else []),
    )
    return blake2b(encode_for_hash("\0".join(fields)), digest_size=16).hexdigest()
