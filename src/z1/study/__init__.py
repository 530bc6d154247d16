"""Studies: several recipes and seeds side by side.

    settings.py  the study's TOML file
    members.py   a run for each arm and seed: carried out, found, and recorded in a small form
    numbers.py   the numbers of a study, its criteria, and its page

Each arm and seed is an ordinary run in a folder of its own, so an interrupted study continues where it stopped and
finished work is skipped. Seeds change the training data and their order, never the base or the evaluation problems, so
that all comparisons are paired by problem.
"""

from z1.study.members import (
    RECORDS,
    EvaluationFolders,
    Member,
    carry_out,
    evaluations_of,
    finished,
    members,
    plan,
    record,
)
from z1.study.numbers import arm_scores, criteria, numbers, write
from z1.study.settings import Criterion, Study, StudyArm, StudyEvaluation, load

__all__ = [
    "RECORDS",
    "Criterion",
    "EvaluationFolders",
    "Member",
    "Study",
    "StudyArm",
    "StudyEvaluation",
    "arm_scores",
    "carry_out",
    "criteria",
    "evaluations_of",
    "finished",
    "load",
    "members",
    "numbers",
    "plan",
    "record",
    "write",
]
