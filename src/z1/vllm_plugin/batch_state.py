"""The token constraints of a batch inside vLLM: which rows are forced to which tokens in this step.

vLLM has two runners with different interfaces for logits processors. `V1BatchRows` is for the V1 runner (CPU, or no
Triton): rows are added, removed and moved, and each has a live list of its tokens. `V2BatchSlots` is for the V2 runner:
a request has one slot for its lifetime, its tokens are on the device, and with speculative decoding it has a row for
each draft token. Both hold a `TokenConstraint` a request and skip it until its `next_check`.

Neither imports vLLM. Their arguments are described here and in vLLM's `logits_processor/interface.py` (0.32);
`logits_processor.py` combines each with vLLM's interface. `V2BatchSlots` has never run on a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor

from z1.engines.logit_mask import force
from z1.errors import UserError
from z1.vllm_plugin.token_constraint import TokenConstraint

MakeConstraint = Callable[[Any, int | None], TokenConstraint | None]
"""From sampling parameters and prompt length to a constraint; None for a request without a budget."""


class V1BatchRows:
    """Token constraints by row, for vLLM's V1 runner."""

    def __init__(self, make: MakeConstraint) -> None:
        self._make = make
        self._rows: dict[int, tuple[TokenConstraint, Sequence[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """False: forcing changes the largest logit, so greedy batches must not skip it."""
        return False

    def update_state(self, update: Any) -> None:
        """Apply the rows removed, added and moved since the last step, in this order; None if there are none.

        A preempted reply is added again with its tokens, and its new constraint reads them.
        """
        if update is None:
            return
        for row in update.removed:
            self._rows.pop(row, None)
        for row, params, prompt, token_ids in update.added:
            self._rows.pop(row, None)
            constraint = self._make(params, None if prompt is None else len(prompt))
            if constraint is not None:
                self._rows[row] = (constraint, token_ids)
        for source, target, direction in update.moved:
            moved, replaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction.name == "SWAP":
                self._rows[source] = replaced

    def apply(self, logits: Tensor) -> Tensor:
        """Force the tokens that are due. logits: [rows, V]."""
        due = (
            (row, constraint.next_token(token_ids))
            for row, (constraint, token_ids) in self._rows.items()
            if len(token_ids) >= constraint.next_check
        )
        forced = {row: token for row, token in due if token is not None}
        return force(logits, list(forced), list(forced.values()))


class V2BatchSlots:
    """Token constraints by slot, for vLLM's V2 runner. `states` are vLLM's buffers a slot: token ids and lengths."""

    def __init__(self, make: MakeConstraint, states: Any) -> None:
        self._make, self._states = make, states
        self._slots: dict[int, TokenConstraint] = {}

    def add_request(self, slot: int, params: Any) -> bool:
        """Assign a request to `slot`, replacing the last one; returns whether it has a constraint."""
        self._slots.pop(slot, None)
        constraint = self._make(params, int(self._states.prompt_len.np[slot]))
        if constraint is not None:
            self._slots[slot] = constraint
        return constraint is not None

    def apply(self, logits: Tensor, batch: Any) -> Tensor:
        """Force the tokens that are due. logits: [rows, V]; `batch` maps rows to slots.

        Synchronises with the device only if a constraint is due.
        """
        due = [slot for at, slot in enumerate(batch.idx_mapping_np.tolist()) if self._is_due(slot, batch, at)]
        if not due:
            return logits
        slots, drafts = batch.expanded_idx_mapping.tolist(), batch.input_ids.tolist()
        draft_positions = batch.expanded_local_pos.tolist()
        forced: dict[int, int] = {}
        for slot in due:
            rows = sorted((row for row, owner in enumerate(slots) if owner == slot), key=draft_positions.__getitem__)
            token_ids = self._accepted_token_ids(slot)
            for row in rows:
                constraint = self._slots[slot]
                if draft_positions[row]:  # a draft token may be rejected, so a copy of the constraint reads it
                    token_ids = [*token_ids, drafts[row]]
                    constraint = deepcopy(constraint)
                if (token := constraint.next_token(token_ids)) is not None:
                    forced[row] = token
        return force(logits, list(forced), list(forced.values()))

    def _is_due(self, slot: int, batch: Any, at: int) -> bool:
        constraint = self._slots.get(slot)
        prompt = int(self._states.prompt_len.np[slot])
        return constraint is not None and int(batch.seq_lens_upper_bound_np[at]) - prompt >= constraint.next_check

    def _accepted_token_ids(self, slot: int) -> list[int]:
        states = self._states
        start, end = int(states.prompt_len.np[slot]), int(states.total_len.gpu[slot])
        token_ids: list[int] = states.all_token_ids.gpu[slot, start:end].tolist()
        return token_ids


def log_user_errors(make: MakeConstraint) -> MakeConstraint:
    """`make`, which logs a UserError and returns None instead of raising it.

    The request was already accepted, and an exception at this point would stop the whole server.
    """

    def logged(params: Any, prompt_length: int | None) -> TokenConstraint | None:
        try:
            return make(params, prompt_length)
        except UserError as error:
            logging.getLogger(__name__).error("the thinking budget of a request is not enforced: %s", error)
            return None

    return logged
