"""Is a trajectory fit to be learned from?

Pure predicates, each from a candidate to what is wrong with it ("" where nothing is). Nothing is run here: what had to
be computed was measured before (`measure.py`). The paper
drops "about 3 %" for repetitive reasoning and does not say how (arXiv 2504.00810, section 2.1), so the score is defined
here: the share of a text's words that stand in a run of 20 words which stood in the text before.
"""

from __future__ import annotations

import re

from z1.curate.language import foreign
from z1.curate.plan import CheckSettings
from z1.curate.sources import Candidate
from z1.grading import Verdict, exact_match

RUN = 20
"""Words of a run. Shorter runs repeat in any honest derivation; code drafted twice repeats in part."""

FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)

BLOCK = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def repetition(text: str) -> float:
    """Share of words, 0 to 1, that stand in a run of RUN words seen before; 0 for a text shorter than a run."""
    words = text.split()
    runs = list(map(hash, zip(*(words[begin:] for begin in range(RUN)), strict=False)))  # hashes hold within a process
    if len(set(runs)) == len(runs):
        return 0.0
    seen: set[int] = set()
    covered = upto = 0
    for begin, run in enumerate(runs):
        if run in seen:
            covered += begin + RUN - max(begin, upto)
            upto = begin + RUN
        seen.add(run)
    return covered / len(words)


def ended(one: Candidate, longest: int) -> str:
    """It ended by itself: its end says so, or, where none is known, it is shorter than `longest` with every fence
    closed.
    """
    if one.end:
        return "" if one.end == "stop" else f"ended by {one.end}"
    if one.tokens is not None and one.tokens >= longest:
        return f"cut at {longest} tokens"
    return "an open fence at its end" if len(FENCE.findall(one.response)) % 2 else ""


def has_code(one: Candidate) -> str:
    """A fenced block with something in it."""
    return "" if any(block.strip() for block in BLOCK.findall(one.response)) else "no code"


def agrees(one: Candidate) -> str:
    """Its last box holds the reference answer, where there is one."""
    if not one.reference:
        return ""
    verdict = exact_match(one.response, one.reference, cut=False)
    return "" if verdict is Verdict.RIGHT else f"answer {verdict.value}"


def passed(one: Candidate) -> str:
    """Its source says that its code passed its tests."""
    return "" if one.passed else "tests not run" if one.passed is None else "tests failed"


def tested(one: Candidate) -> str:
    """Its program passed its problem's tests when they were run here; `verify.py` says how."""
    if one.verdict == Verdict.RIGHT:
        return ""
    if not one.verdict:
        return "tests not run"
    kind = "missing" if one.verdict == Verdict.MISSING else "failed"
    return f"tests {kind}: {one.fault or one.verdict}"


def wrong(one: Candidate, settings: CheckSettings) -> str:
    """The first thing that is wrong with a candidate, by the plan's settings; "" where nothing is."""
    if not one.response.strip():
        return "empty"
    if settings.ended and (why := ended(one, settings.longest)):
        return why
    repeated = repetition(one.response) if one.repetition is None and settings.repetition < 1 else one.repetition
    if settings.repetition < 1 and (repeated or 0) > settings.repetition:
        return f"repetition over {settings.repetition:g}"
    if settings.language < 1 and foreign(one.question, one.response) > settings.language:
        return "another language"
    rest = (has_code, settings.code), (agrees, settings.answer), (passed, settings.passed), (tested, settings.tests)
    for check, wanted in rest:
        if wanted and (why := check(one)):
            return why
    return ""
