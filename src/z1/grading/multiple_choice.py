"""Which option does this reply choose?

The last box with one letter in it; without a box, the last sentence that says "answer" and then a letter. Small
letters are no options, so that the article "a" is none; LIMO's grader reads the last of A to E in the whole
upper-cased text, and a reply that ends with "a pity" as A.
"""

from __future__ import annotations

import re

from z1.grading.boxed import extract_boxed
from z1.grading.verdict import Grade, Verdict, grade_no_answer

DRESS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol)\s*\{([^{}]*)\}|[\s$*().:]")
SAYS = re.compile(r"\b[Aa]nswer\b[^.\n]{0,40}?(?:is|be|:)[\s:*]*(?:option\s+)?[*$(\\{]*([A-Z])\b(?!\w|'|-\w)")
LEADS = re.compile(r"^\(?([A-Z])\)?[.:)]?(?:\s|$)")


def extract_choice(text: str, options: int = 4) -> str | None:
    """The letter that `text` settles on; None where it does not settle on one of the first `options` letters."""
    letters = "ABCDEFGHIJ"[:options]
    found = extract_boxed(text)
    if found is not None:
        bare = DRESS.sub(lambda match: match[1] or "", found)
        if bare in tuple(letters):
            return bare
        lead = LEADS.match(DRESS.sub(lambda match: match[1] or match[0], found).strip())
        return lead[1] if lead and lead[1] in letters else None
    said = [letter for letter in SAYS.findall(text) if letter in letters]
    return str(said[-1]) if said else None


def grade(text: str, expected: str, *, cut: bool, options: int = 4) -> Grade:
    """Compare the chosen letter with `expected`."""
    found = extract_choice(text, options)
    if found is None:
        return grade_no_answer(cut=cut)
    return Grade(Verdict.RIGHT) if found == expected else Grade(Verdict.WRONG, f"chose {found}")
