"""Which rows of vLLM's batch are forced to which ids, now?

vLLM has two runners, and each tells a logits processor in its own way who sits where. `V1BatchRows` is for the first
(V1: the CPU, and where Triton is missing): rows come, go and move, and each has a live list of its ids. `V2BatchSlots`
is for the second (V2): a request has a slot for its life, its ids lie on the device, and with speculative decoding it
has a row for each draft. Both keep a `TokenConstraint` a request and look at nobody before that guide is due.

Neither imports vLLM: what they are handed is described here and in vLLM's `logits_processor/interface.py` (0.32).
`vllm_window.py` makes of each the class that vLLM loads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor

from z1.engines.logit_mask import force
from z1.vllm_plugin.token_constraint import TokenConstraint

New = Callable[[Any, int | None], TokenConstraint | None]
"""The guide for sampling parameters and a prompt of so many ids; None for a request that asks for none."""


class V1BatchRows:
    """Guides by row, for the first runner."""

    def __init__(self, new: New) -> None:
        self._new = new
        self._rows: dict[int, tuple[TokenConstraint, Sequence[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """Forcing changes the largest logit; a batch that is greedy throughout must not skip it."""
        return False

    def update_state(self, update: Any) -> None:
        """Rows that left, came and moved since the last step, in this order; None where none did.

        A reply that comes again after it was preempted brings its ids along, and its new guide reads them.
        """
        if update is None:
            return
        for row in update.removed:
            self._rows.pop(row, None)
        for row, params, prompt, ids in update.added:
            self._rows.pop(row, None)
            guide = self._new(params, None if prompt is None else len(prompt))
            if guide is not None:
                self._rows[row] = (guide, ids)
        for one, other, how in update.moved:
            leaving, there = self._rows.pop(one, None), self._rows.pop(other, None)
            if leaving is not None:
                self._rows[other] = leaving
            if there is not None and how.name == "SWAP":
                self._rows[one] = there

    def apply(self, logits: Tensor) -> Tensor:
        """Force what is due. logits: [rows, V]."""
        due = ((row, guide.next(ids)) for row, (guide, ids) in self._rows.items() if len(ids) >= guide.due)
        forced = {row: token for row, token in due if token is not None}
        return force(logits, list(forced), list(forced.values()))


class V2BatchSlots:
    """Guides by slot, for the second runner. `states` are vLLM's buffers a slot: ids, lengths."""

    def __init__(self, new: New, states: Any) -> None:
        self._new, self._states = new, states
        self._slots: dict[int, TokenConstraint] = {}

    def add_request(self, slot: int, params: Any) -> bool:
        """A request takes `slot`, whoever had it before; returns whether it will ever be forced."""
        self._slots.pop(slot, None)
        guide = self._new(params, int(self._states.prompt_len.np[slot]))
        if guide is not None:
            self._slots[slot] = guide
        return guide is not None

    def apply(self, logits: Tensor, batch: Any) -> Tensor:
        """Force what is due. logits: [rows, V]; `batch` says which row is whose.

        The device is waited for only where somebody is due.
        """
        due = [slot for at, slot in enumerate(batch.idx_mapping_np.tolist()) if self._due(slot, batch, at)]
        if not due:
            return logits
        slots, drafts = batch.expanded_idx_mapping.tolist(), batch.input_ids.tolist()
        places = batch.expanded_local_pos.tolist()
        forced: dict[int, int] = {}
        for slot in due:
            rows = sorted((row for row, owner in enumerate(slots) if owner == slot), key=places.__getitem__)
            ids = self._ids(slot)
            for row in rows:
                if places[row]:  # what was drafted may be thrown away again, so a copy of the guide is asked
                    ids = [*ids, drafts[row]]
                guide = deepcopy(self._slots[slot]) if places[row] else self._slots[slot]
                if (token := guide.next(ids)) is not None:
                    forced[row] = token
        return force(logits, list(forced), list(forced.values()))

    def _due(self, slot: int, batch: Any, at: int) -> bool:
        guide = self._slots.get(slot)
        prompt = int(self._states.prompt_len.np[slot])
        return guide is not None and int(batch.seq_lens_upper_bound_np[at]) - prompt >= guide.due

    def _ids(self, slot: int) -> list[int]:
        """The ids of the reply that are settled."""
        states = self._states
        start, end = int(states.prompt_len.np[slot]), int(states.total_len.gpu[slot])
        ids: list[int] = states.all_token_ids.gpu[slot, start:end].tolist()
        return ids


def guarded(new: New) -> New:
    """`new`, which answers None and says so in the log where a request that was let in cannot be kept.

    By then nobody can refuse it, and an exception would end the whole server.
    """

    def made(params: Any, prompt: int | None) -> TokenConstraint | None:
        from z1.errors import UserError

        try:
            return new(params, prompt)
        except UserError as error:
            logging.getLogger(__name__).error("a reply goes without its window: %s", error)
            return None

    return made
