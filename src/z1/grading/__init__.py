"""Is this answer right?

Pure functions from text to a verdict. A model's failure is data: wrong, unparsed and cut are verdicts; only an engine's
or a sandbox's failure is *missing*, and it is never counted as wrong.
"""

from z1.grading.boxed import boxed
from z1.grading.verdict import Verdict, exact

__all__ = ["Verdict", "boxed", "exact"]
