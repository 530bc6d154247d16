"""What can be learned without a teacher model, a download or a licence?

programs.py   which small Python program comes next?
identity.py   are two programs the same?
steps.py      what happens when a program runs, step by step?
teacher.py    how would a patient teacher work it out: briefly, at length, or twice?
prose.py      the second world: which story comes next, and how is it worked out?
source.py     which programs and stories are problems, and in what order?
"""

from z1.synthetic.dataset import PROGRAMS, TEST_SHARE, WORD_PROBLEMS, DatasetRequest, collect
from z1.synthetic.prompt_match import held_out, recognise

__all__ = ["PROGRAMS", "TEST_SHARE", "WORD_PROBLEMS", "DatasetRequest", "collect", "held_out", "recognise"]
