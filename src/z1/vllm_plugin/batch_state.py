"""The token constraints of a batch inside vLLM: which rows are forced to which tokens in this step.

vLLM has two runners with different interfaces for logits processors. `V1BatchRows` is for the V1 runner (CPU, or no
Triton): rows are added, removed and moved, and each has a live list of its tokens. `V2BatchSlots` is for the V2 runner:
a request has one slot for its lifetime, its tokens are on the device, and with speculative decoding it has a row for
each draft token. Both hold a `TokenConstraint` a request and skip it until its `next_check`.

An exception of z1 must not end vLLM's engine, and with it every request. So whatever fails here is logged and counted,
and its reply, or at worst those of the whole batch, continue without a window.

Neither imports vLLM. Their arguments are described here and in vLLM's `logits_processor/interface.py` (0.32);
`logits_processor.py` combines each with vLLM's interface. `V2BatchSlots` has never run on a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from z1.engines.logit_mask import add_bias, force
from z1.errors import UserError
from z1.vllm_plugin.token_constraint import TokenConstraint

MakeConstraint = Callable[[Any, int | None], TokenConstraint | None]
"""From sampling parameters and prompt length to a constraint; None for a request without a budget."""


AddCount = Callable[[str, str], None]
"""Adds 1 to a counter with a label (`counters.EngineCounters.add`)."""

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")


class Guard:
    """Contains exceptions of z1: each is counted, and logged with its traceback if it is the first at its place."""

    def __init__(self, add_count: AddCount) -> None:
        self.add_count = add_count
        self._logged: set[str] = set()

    def attempt(self, where: str, act: Callable[[], Result], instead: Callable[[], Result]) -> Result:
        """The result of `act`, or of `instead` if that raises."""
        try:
            return act()
        except Exception:
            self.add_count("errors", where)
            if where not in self._logged:
                self._logged.add(where)
                LOG.exception("z1: an error in %s: replies continue without a window; further ones are counted", where)
            return instead()

    def next_token(self, constraint: TokenConstraint, token_ids: Sequence[int]) -> int | None:
        """The next token of a constraint; what it begins is counted."""
        token = constraint.next_token(token_ids)
        for outcome in constraint.outcomes:
            self.add_count("windows", outcome)
        return token


class _Edits:
    """What is done to the rows of one batch."""

    def __init__(self) -> None:
        self.forced: dict[int, int] = {}
        self.biased: dict[int, tuple[int, float]] = {}

    def add(self, row: int, constraint: TokenConstraint, token: int | None) -> None:
        """What `constraint` says after it returned `token`."""
        if token is not None:
            self.forced[row] = token
        elif constraint.bias is not None:
            self.biased[row] = constraint.bias

    def apply(self, logits: Tensor) -> Tensor:
        """`logits` [rows, V], changed in place."""
        tokens, values = zip(*self.biased.values(), strict=True) if self.biased else ((), ())
        add_bias(logits, list(self.biased), tokens, values)
        return force(logits, list(self.forced), list(self.forced.values()))


class V1BatchRows:
    """Token constraints by row, for vLLM's V1 runner."""

    def __init__(self, make: MakeConstraint, add_count: AddCount) -> None:
        self._make, self._guard = make, Guard(add_count)
        self._rows: dict[int, tuple[TokenConstraint, Sequence[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """False: forcing changes the largest logit, so greedy batches must not skip it."""
        return False

    def update_state(self, update: Any) -> None:
        """Apply the rows removed, added and moved since the last step, in this order; None if there are none.

        A preempted reply is added again with its tokens, and its new constraint reads them.
        """
        if update is not None:
            self._guard.attempt("update_state", partial(self._update, update), self._rows.clear)

    def _update(self, update: Any) -> None:
        for row in update.removed:
            self._rows.pop(row, None)
        for row, params, prompt, token_ids in update.added:
            self._rows.pop(row, None)
            make = partial(self._make, params, None if prompt is None else len(prompt))
            if (constraint := self._guard.attempt("add_request", make, _nothing)) is not None:
                self._rows[row] = (constraint, token_ids)
        for source, target, direction in update.moved:
            moved, replaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction.name == "SWAP":
                self._rows[source] = replaced

    def apply(self, logits: Tensor) -> Tensor:
        """Force the tokens that are due, and add the biases. logits: [rows, V]."""
        edits = _Edits()
        for row, (constraint, token_ids) in list(self._rows.items()):
            if len(token_ids) >= constraint.next_check:
                act = partial(self._guard.next_token, constraint, token_ids)
                edits.add(row, constraint, self._guard.attempt("apply", act, partial(self._drop, row)))
        return self._guard.attempt("apply", partial(edits.apply, logits), partial(self._give_up, logits))

    def _drop(self, row: int) -> None:
        del self._rows[row]

    def _give_up(self, logits: Tensor) -> Tensor:
        self._rows.clear()
        return logits


class V2BatchSlots:
    """Token constraints by slot, for vLLM's V2 runner. `states` are vLLM's buffers a slot: token ids and lengths."""

    def __init__(self, make: MakeConstraint, add_count: AddCount, states: Any) -> None:
        self._make, self._guard, self._states = make, Guard(add_count), states
        self._slots: dict[int, TokenConstraint] = {}

    def add_request(self, slot: int, params: Any) -> bool:
        """Assign a request to `slot`, replacing the last one; returns whether it has a constraint."""
        self._slots.pop(slot, None)
        constraint = self._guard.attempt("add_request", partial(self._constraint, slot, params), _nothing)
        if constraint is not None:
            self._slots[slot] = constraint
        return constraint is not None

    def apply(self, logits: Tensor, batch: Any) -> Tensor:
        """Force the tokens that are due. logits: [rows, V]; `batch` maps rows to slots.

        Synchronises with the device only if a constraint is due.
        """
        return self._guard.attempt("apply", partial(self._apply, logits, batch), partial(self._give_up, logits))

    def _apply(self, logits: Tensor, batch: Any) -> Tensor:
        due = [slot for at, slot in enumerate(batch.idx_mapping_np.tolist()) if self._is_due(slot, batch, at)]
        if not due:
            return logits
        slots, drafts = batch.expanded_idx_mapping.tolist(), batch.input_ids.tolist()
        draft_positions = batch.expanded_local_pos.tolist()
        edits = _Edits()
        for slot in due:
            rows = sorted((row for row, owner in enumerate(slots) if owner == slot), key=draft_positions.__getitem__)
            drafted = [(row, draft_positions[row], drafts[row]) for row in rows]
            self._guard.attempt("apply", partial(self._add, edits, slot, drafted), partial(self._drop, slot))
        return edits.apply(logits)

    def _add(self, edits: _Edits, slot: int, rows: Sequence[tuple[int, int, int]]) -> None:
        """Add what is due in the rows of one slot: (row, position among the drafts, drafted token)."""
        token_ids = self._accepted_token_ids(slot)
        for row, position, draft in rows:
            if position:  # a draft token may be rejected, so a copy of the constraint reads it
                token_ids, constraint = [*token_ids, draft], deepcopy(self._slots[slot])
                edits.add(row, constraint, constraint.next_token(token_ids))
            else:
                edits.add(row, self._slots[slot], self._guard.next_token(self._slots[slot], token_ids))

    def _drop(self, slot: int) -> None:
        del self._slots[slot]

    def _give_up(self, logits: Tensor) -> Tensor:
        self._slots.clear()
        return logits

    def _constraint(self, slot: int, params: Any) -> TokenConstraint | None:
        return self._make(params, int(self._states.prompt_len.np[slot]))

    def _is_due(self, slot: int, batch: Any, at: int) -> bool:
        constraint = self._slots.get(slot)
        prompt = int(self._states.prompt_len.np[slot])
        return constraint is not None and int(batch.seq_lens_upper_bound_np[at]) - prompt >= constraint.next_check

    def _accepted_token_ids(self, slot: int) -> list[int]:
        states = self._states
        start, end = int(states.prompt_len.np[slot]), int(states.total_len.gpu[slot])
        token_ids: list[int] = states.all_token_ids.gpu[slot, start:end].tolist()
        return token_ids


def _nothing() -> None:
    """No constraint."""


def drop_impossible(make: MakeConstraint, add_count: AddCount) -> MakeConstraint:
    """`make`, which logs and counts a UserError and returns None instead of raising it: the request was accepted."""

    def made(params: Any, prompt_length: int | None) -> TokenConstraint | None:
        try:
            return make(params, prompt_length)
        except UserError as error:
            add_count("windows", "impossible")
            LOG.error("the thinking budget of a request is not enforced: %s", error)
            return None

    return made
