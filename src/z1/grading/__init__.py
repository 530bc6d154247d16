"""Is this answer right?

    verdict.py     what can be said of a reply
    boxed.py       the last box;  fences.py  the last program
    maths.py  choice.py  stdio.py  functions.py  units.py     graders
    agree.py       do two answers say the same, where none is known to be right?
    sandbox.py  pipes.py  inside/                             where programs run

Graders are pure functions from text to a verdict, with runs in a sandbox where they need them. A model's failure is
data: wrong, unparsed and cut are verdicts; only an engine's or a sandbox's failure is *missing*, and it is never
counted as wrong.
"""

from z1.grading.boxed import extract_boxed
from z1.grading.verdict import Grade, Verdict, exact_match

__all__ = ["Grade", "Verdict", "exact_match", "extract_boxed"]
