"""Multiple-choice answers: the option that a reply chooses.

The last box with one letter in it; without a box, the last sentence with "answer" and then a letter. Lower-case letters
do not count, so the article "a" is not an option. LIMO's grader takes the last of A to E in the whole upper-cased text,
and so reads a reply that ends with "a pity" as A.
"""

from __future__ import annotations

import re

from z1.grading.boxed import extract_boxed
from z1.grading.verdict import Grade, Verdict, grade_no_answer

MARKUP = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol)\s*\{([^{}]*)\}|[\s$*().:]")
ANSWER_SENTENCE = re.compile(
    r"\b[Aa]nswer\b[^.\n]{0,40}?(?:is|be|:)[\s:*]*(?:option\s+)?[*$(\\{]*([A-Z])\b(?!\w|'|-\w)"
)
LEADING_LETTER = re.compile(r"^\(?([A-Z])\)?[.:)]?(?:\s|$)")


def extract_choice(text: str, options: int = 4) -> str | None:
    """The letter that `text` chooses; None if it chooses none of the first `options` letters."""
    letters = "ABCDEFGHIJ"[:options]
    content = extract_boxed(text)
    if content is not None:
        bare = MARKUP.sub(lambda match: match[1] or "", content)
        if bare in tuple(letters):
            return bare
        lead = LEADING_LETTER.match(MARKUP.sub(lambda match: match[1] or match[0], content).strip())
        return lead[1] if lead and lead[1] in letters else None
    found = [letter for letter in ANSWER_SENTENCE.findall(text) if letter in letters]
    return str(found[-1]) if found else None


def grade(text: str, expected: str, *, cut: bool, options: int = 4) -> Grade:
    """Compare the chosen letter with `expected`."""
    letter = extract_choice(text, options)
    if letter is None:
        return grade_no_answer(cut=cut)
    return Grade(Verdict.RIGHT) if letter == expected else Grade(Verdict.WRONG, f"chose {letter}")
