"""Synthetic tasks: small Python programs and word problems, with trajectories written without a teacher model.

programs.py       generates small Python programs; the question is what they print
small_programs.py programs of at most two operations, by form
word_problems.py  generates word problems of sums and bookkeeping
program_hash.py   hash of a program that ignores names and layout; the train/test split follows from it
tracer.py         runs a program and records its steps
trajectories.py   writes the trajectory of a run at one of six levels of detail
dataset.py        problems of one split, spread evenly over the numbers of steps
grammar.py        whether the generator can draw a program, and if not, why
prompt_match.py   the question of a prompt, and problems of the test split
"""

from z1.synthetic.dataset import PROGRAMS, SMALL_PROGRAMS, TEST_SHARE, WORD_PROBLEMS, DatasetRequest, collect
from z1.synthetic.prompt_match import find_held_out, recognise, to_question

__all__ = [
    "PROGRAMS",
    "SMALL_PROGRAMS",
    "TEST_SHARE",
    "WORD_PROBLEMS",
    "DatasetRequest",
    "collect",
    "find_held_out",
    "recognise",
    "to_question",
]
