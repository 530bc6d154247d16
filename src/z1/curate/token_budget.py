"""Selection of rows under a token budget.

Rows are taken in order; one that no longer fits is skipped and the next is tried, as in the paper's Algorithm 1 (arXiv
2504.00810). With stratification the next row comes from the difficulty with the fewest tokens relative to its share,
until it has no more rows. The order depends on seed, ids and lengths, never on the order of the input. Departs from
the released data_select.py, which stops one row past the budget and has no random order.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from z1.curate.pairs import CandidateRow, hash_uniform
from z1.curate.plan import SelectSettings


def apply_budget(rows: Sequence[CandidateRow], settings: SelectSettings, seed: int) -> int:
    """Mark the rows that do not fit; returns the tokens of the selected rows, which never exceed the budget."""
    sign = {"random": 0, "longest": -1, "shortest": 1}[settings.order]
    strata: dict[str, deque[CandidateRow]] = defaultdict(deque)
    kept = [row for row in rows if not row.reason]
    for row in sorted(kept, key=lambda row: (sign * row.tokens, hash_uniform(seed, row.id), row.id)):
        strata[row.difficulty if settings.stratified else ""].append(row)
    selected = dict.fromkeys(strata, 0)
    queue = [(0.0, name) for name in strata]
    heapify(queue)
    while queue:
        _, name = heappop(queue)
        row = strata[name].popleft()
        left = None if settings.budget is None else settings.budget - sum(selected.values())
        if left is not None and row.tokens > left:
            row.reason = f"over the budget: {row.tokens} tokens, {left} left"
        else:
            selected[name] += row.tokens
        if strata[name]:
            heappush(queue, (selected[name] / settings.shares.get(name, 1), name))
    return sum(selected.values())
