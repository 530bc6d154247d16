"""Pairs: the shortest and the longest verified trajectory of each problem.

Which trajectories of a problem remain is a setting. The paper mixes short and long ones without labels (arXiv
2504.00810, section 2.1); preference pairs of shortest and longest are SkyThought-Flash's
(https://github.com/NovaSky-AI/SkyThought).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from z1.curate.plan import PairSettings
from z1.surrogates import encode_for_hash


@dataclass(slots=True)
class CandidateRow:
    """A candidate without its text. `reason` says why it is dropped; "" while it is kept."""

    id: str
    problem: str
    tokens: int
    reason: str = ""
    difficulty: str = ""
    origin: str = ""
    repetition: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """The shortest and the longest verified trajectory of a problem, which are distinct."""

    problem: str
    shortest: CandidateRow
    longest: CandidateRow

    @property
    def ratio(self) -> float:
        """Tokens of the longest over tokens of the shortest; 1 or more."""
        return self.longest.tokens / max(1, self.shortest.tokens)


def hash_uniform(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on seed and name alone, not on the order of calls."""
    return int.from_bytes(sha256(encode_for_hash(f"{seed}:{name}")).digest()[:6]) / 2**48


def find_pairs(rows: Iterable[CandidateRow], settings: PairSettings, seed: int) -> list[Pair]:
    """Mark the rows that the settings drop, and return the pairs; of two equally long rows the first is the shorter."""
    groups: dict[str, list[CandidateRow]] = {}
    for row in rows:
        if not row.reason:
            groups.setdefault(row.problem, []).append(row)
    pairs = []
    for problem, group in groups.items():
        shortest, longest = min(group, key=lambda row: row.tokens), max(reversed(group), key=lambda row: row.tokens)
        if shortest is not longest:
            pairs.append(Pair(problem, shortest, longest))
        kept = _kept(settings, shortest, longest, hash_uniform(seed, problem))
        for row in group if settings.keep != "all" else ():
            if row not in kept:
                row.reason = f"pairing kept {settings.keep}"
    return pairs


def _kept(settings: PairSettings, shortest: CandidateRow, longest: CandidateRow, uniform: float) -> list[CandidateRow]:
    match settings.keep:
        case "shortest":
            return [shortest]
        case "longest":
            return [longest]
        case "mix":
            return [longest if uniform < settings.long_share else shortest]
        case _:
            return [shortest, longest]
