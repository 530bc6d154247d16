"""Which rows fit a budget of tokens?

Rows are taken in order; one that no longer fits is passed over and the next is tried, as the paper's Algorithm 1 says
(arXiv 2504.00810). Stratified, difficulties take turns: the next row comes from the one that has the least tokens for
its share, until it has no more rows. Departs from the released data_select.py, which stops one row past the budget and
has no random order. The order follows from seed, ids and lengths, never from the order of the input.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from z1.curate.pairs import CandidateRow, draw
from z1.curate.plan import SelectSettings


def select(entries: Sequence[CandidateRow], settings: SelectSettings, seed: int) -> int:
    """Mark what does not fit; returns the tokens taken, which never pass the budget."""
    sign = {"random": 0, "longest": -1, "shortest": 1}[settings.order]
    strata: dict[str, deque[CandidateRow]] = defaultdict(deque)
    staying = [entry for entry in entries if not entry.why]
    for entry in sorted(staying, key=lambda one: (sign * one.tokens, draw(seed, one.id), one.id)):
        strata[entry.difficulty if settings.stratified else ""].append(entry)
    taken = dict.fromkeys(strata, 0)
    turns = [(0.0, name) for name in strata]
    heapify(turns)
    while turns:
        _, name = heappop(turns)
        entry = strata[name].popleft()
        left = None if settings.budget is None else settings.budget - sum(taken.values())
        if left is not None and entry.tokens > left:
            entry.why = f"over the budget: {entry.tokens} tokens, {left} left"
        else:
            taken[name] += entry.tokens
        if strata[name]:
            heappush(turns, (taken[name] / settings.shares.get(name, 1), name))
    return sum(taken.values())
