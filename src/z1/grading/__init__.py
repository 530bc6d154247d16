r"""Graders: from the text of a reply to a verdict.

    verdict.py           the verdicts, a grade (verdict and reason), exact comparison of boxed answers
    boxed.py             the boxes of a text, and the last one
    thoughts.py          where a thought ends in a text
    fences.py            the fenced code blocks of a text
    code_extraction.py   the program in a reply
    math_answers.py      mathematical answers: what is compared with what
    stated_answers.py    the answer that a text states without a box
    math_notation.py     one notation for answers, their units and bases
    math_comparison.py   comparison by math-verify, with guards; runs in a sandbox
    multiple_choice.py   the option that a reply chooses
    stdio.py             programs, by their output for given inputs
    function_tests.py    functions, by their results for given arguments
    unit_tests.py        solutions, by unittest classes and bare assertions
    pytests.py           solutions, by files of pytest functions
    equivalence.py       whether two answers are equal, if no reference answer is known

Graders are functions of the text, and of what a program does in the sandbox (`z1.sandbox`). A model's failure is data:
wrong, unparsed and cut are verdicts. Only a failure of an engine or a sandbox is *missing*, and it never counts as
wrong.
"""

from z1.grading.boxed import extract_boxed
from z1.grading.verdict import Grade, Verdict, exact_match

__all__ = ["Grade", "Verdict", "exact_match", "extract_boxed"]
