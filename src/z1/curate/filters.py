"""Quality filters: each maps a candidate to the reason to drop it, or to "" if it passes.

All are pure predicates and run nothing: token counts, repetition and test verdicts are computed before (`measure.py`).

Repetition is the share of a text's words inside an n-gram of NGRAM_WORDS words that occurred in the text before. The
definition is ours: the paper drops "about 3 %" for repetitive reasoning without saying how (arXiv 2504.00810, section
2.1).

Foreign script is the share of letters in scripts that neither code and formulas (Latin, Greek, mathematical letters)
nor the question use. A teacher may switch language unasked (the model card of QwQ-32B-Preview warns of it:
https://huggingface.co/Qwen/QwQ-32B-Preview). Languages with the same script are not distinguished.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from z1.curate.plan import CheckSettings
from z1.curate.sources import Candidate
from z1.grading import Verdict, code_extraction
from z1.grading.fences import find_blocks

NGRAM_WORDS = 20
"""Words of a repeated n-gram. Shorter ones repeat in any correct derivation; code drafted twice repeats in part."""

COMMON_SCRIPTS = frozenset(
    {"LATIN", "GREEK", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "SUPERSCRIPT", "SUBSCRIPT", "MICRO", "FULLWIDTH"}
)
"""First words of the Unicode names of letters that occur in code, formulas and English text."""

_LETTER = re.compile(r"[^\W\d_]")

_BEYOND_ASCII = re.compile(r"[^\W\d_\x00-\x7f]")


def repetition(text: str) -> float:
    """Share of words, 0 to 1, in an n-gram of NGRAM_WORDS words that occurred before; 0 for a shorter text."""
    words = text.split()
    # hashes are equal within a process only, which is enough here
    ngrams = list(map(hash, zip(*(words[start:] for start in range(NGRAM_WORDS)), strict=False)))
    if len(set(ngrams)) == len(ngrams):
        return 0.0
    seen: set[int] = set()
    covered = end = 0
    for start, ngram in enumerate(ngrams):
        if ngram in seen:
            covered += start + NGRAM_WORDS - max(start, end)
            end = start + NGRAM_WORDS
        seen.add(ngram)
    return covered / len(words)


@cache
def script(letter: str) -> str:
    """The script of a letter, as the first word of its Unicode name; "" if it has none."""
    return unicodedata.name(letter, "").split(" ", 1)[0]


def foreign_script_share(question: str, response: str) -> float:
    """Share of the letters of `response`, 0 to 1, in scripts that neither code nor the question uses."""
    beyond = [] if response.isascii() else _BEYOND_ASCII.findall(response)
    if not beyond:
        return 0.0
    known = COMMON_SCRIPTS | {script(letter) for letter in _BEYOND_ASCII.findall(question)}
    return sum(script(letter) not in known for letter in beyond) / len(_LETTER.findall(response))


def check_ended(candidate: Candidate, max_tokens: int) -> str:
    """Passes if the finish reason is "stop"; if it is unknown, if the response is shorter than `max_tokens` and every
    code fence is closed.
    """
    if candidate.end:
        return "" if candidate.end == "stop" else f"ended by {candidate.end}"
    if candidate.tokens is not None and candidate.tokens >= max_tokens:
        return f"cut at {max_tokens} tokens"
    return "unclosed code fence" if code_extraction.has_open_block(candidate.response) else ""


def check_code(candidate: Candidate) -> str:
    """Passes if the response has a closed fenced block that is not empty, or is a program as a whole."""
    text = candidate.response
    has_block = any(block.code.strip() and not block.is_open for block in find_blocks(text))
    return "" if has_block or code_extraction.bare_program(text) else "no code"


def check_answer(candidate: Candidate) -> str:
    """Passes if a grader called the answer right (`verification.py`), or if there is no reference answer."""
    if not candidate.reference or candidate.answer == Verdict.RIGHT:
        return ""
    return f"answer {candidate.answer or 'not compared'}"


def check_passed(candidate: Candidate) -> str:
    """Passes if the source reports that the code passed its tests."""
    return "" if candidate.passed else "tests not run" if candidate.passed is None else "tests failed"


def check_tests(candidate: Candidate) -> str:
    """Passes if the program passed its problem's tests when they were run here (`verification.py`)."""
    if candidate.verdict == Verdict.RIGHT:
        return ""
    if not candidate.verdict:
        return "tests not run"
    kind = "missing" if candidate.verdict == Verdict.MISSING else "failed"
    return f"tests {kind}: {candidate.fault or candidate.verdict}"


def drop_reason(candidate: Candidate, settings: CheckSettings) -> str:
    """The reason of the first filter that rejects a candidate under a plan's settings; "" if all pass."""
    return candidate.left_out or _quality_reason(candidate, settings)


def _quality_reason(candidate: Candidate, settings: CheckSettings) -> str:
    if not candidate.response.strip():
        return "no response"
    if settings.ended and (reason := check_ended(candidate, settings.max_tokens)):
        return reason
    repeated = candidate.repetition
    if repeated is None and settings.repetition < 1:
        repeated = repetition(candidate.response)
    if settings.repetition < 1 and (repeated or 0) > settings.repetition:
        return f"repetition over {settings.repetition:g}"
    if settings.language < 1 and foreign_script_share(candidate.question, candidate.response) > settings.language:
        return "foreign script"
    checks = (
        (check_code, settings.code),
        (check_answer, settings.answer),
        (check_passed, settings.passed),
        (check_tests, settings.tests),
    )
    for check, is_enabled in checks:
        if is_enabled and (reason := check(candidate)):
            return reason
    return ""
