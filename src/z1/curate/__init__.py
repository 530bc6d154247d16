"""Which problems are worth thinking about, and how long?

    collect.py   gather problems with verified trajectories at every level, losing nothing
    select.py    choose one trajectory a problem, so that length follows difficulty

Source: arXiv 2504.00810, section 2.1. The teacher here is the interpreter (see `world/`), so every trajectory is
verified.
"""

from z1.curate.collect import LOG, collect
from z1.curate.select import ROWS, select

__all__ = ["LOG", "ROWS", "collect", "select"]
