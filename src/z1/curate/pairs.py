"""What are the short and the long way to the same answer?

Verified trajectories are grouped by problem; the shortest and the longest are its pair. Which stay is a setting. The
paper mixes short and long without labels (arXiv 2504.00810, section 2.1); preference pairs of shortest and longest
are SkyThought-Flash's (https://github.com/NovaSky-AI/SkyThought).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from z1.curate.plan import PairSettings


@dataclass(slots=True)
class CandidateRow:
    """What is known of a candidate besides its text. `why` it is left out; "" while it stays."""

    id: str
    problem: str
    tokens: int
    why: str = ""
    difficulty: str = ""
    origin: str = ""
    repetition: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """The shortest and the longest verified trajectory of a problem, which are two; `ratio` of their lengths is 1 or
    more.
    """

    problem: str
    shortest: CandidateRow
    longest: CandidateRow

    @property
    def ratio(self) -> float:
        """Tokens of the longest over tokens of the shortest."""
        return self.longest.tokens / max(1, self.shortest.tokens)


def draw(seed: int, name: str) -> float:
    """A number from 0 to below 1 that follows from seed and name alone, so that order and company do not matter."""
    return int.from_bytes(sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()[:6]) / 2**48


def keep(entries: Iterable[CandidateRow], settings: PairSettings, seed: int) -> list[Pair]:
    """Mark what the settings leave out, and return the pairs; of two as long the first is the shorter."""
    groups: dict[str, list[CandidateRow]] = {}
    for entry in entries:
        if not entry.why:
            groups.setdefault(entry.problem, []).append(entry)
    pairs = []
    for problem, group in groups.items():
        shortest, longest = min(group, key=lambda one: one.tokens), max(reversed(group), key=lambda one: one.tokens)
        if shortest is not longest:
            pairs.append(Pair(problem, shortest, longest))
        chosen = _chosen(settings, shortest, longest, draw(seed, problem))
        for entry in group if settings.keep != "all" else ():
            if entry not in chosen:
                entry.why = f"pairing kept {settings.keep}"
    return pairs


def _chosen(settings: PairSettings, shortest: CandidateRow, longest: CandidateRow, drawn: float) -> list[CandidateRow]:
    match settings.keep:
        case "shortest":
            return [shortest]
        case "longest":
            return [longest]
        case "mix":
            return [longest if drawn < settings.long_share else shortest]
        case _:
            return [shortest, longest]
