"""Token constraints of rows that are recycled, moved, preempted and drafted for.

Two small servers stand in for vLLM's runners and call their processors as vLLM 0.32 does: the first moves rows and
passes live lists, the second has slots, tokens on the device, and drafts. `test_logits_processor.py` tests the real
server.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.think.cases import Case, case_of, drive, may_end, reluctance
from tests.vllm_plugin.test_token_constraint import END, guide, kept
from z1.errors import UserError
from z1.think import FORCED, Flow, Shift, Window
from z1.vllm_plugin.batch_state import V1BatchRows, V2BatchSlots, drop_impossible
from z1.vllm_plugin.token_constraint import TokenConstraint


def uncounted(name: str, label: str) -> None:
    """No test reads these counts."""


SIZE, PROMPT, WIDE = 100, 3, 64
"""Vocabulary size, prompt length and context length in tokens."""


class Direction(Enum):
    UNIDIRECTIONAL = 0
    SWAP = 1


def asked(count: int, seed: int) -> list[Case]:
    random = Random(seed)
    return [replace(may_end(case_of(random, None, None)), shift_at=None) for _ in range(count)]


def new(params: Case | None, prompt: int | None) -> TokenConstraint | None:
    """Every third request has no budget."""
    assert prompt == PROMPT
    return None if params is None else guide(params)


@dataclass
class Reply:
    case: Case
    budgeted: bool
    ids: list[int] = field(default_factory=list)

    @property
    def params(self) -> Case | None:
        return self.case if self.budgeted else None

    @property
    def done(self) -> bool:
        most = self.case.room + 1 if self.budgeted else 9
        return len(self.ids) >= most or bool(set(self.ids[-1:]) & {END, *self.case.window.stop_token_ids})

    def wanted(self) -> list[int]:
        if self.budgeted:
            return drive(self.case).token_ids
        ids: list[int] = []
        while len(ids) < 9 and not set(ids[-1:]) & self.case.window.stop_token_ids:
            ids.append(self.case.model(ids))
        return ids

    def logits(self, ids: list[int]) -> torch.Tensor:
        """The model's token has the largest logit, until a bias on another exceeds it."""
        own = torch.nn.functional.one_hot(torch.tensor(self.case.model(ids)), SIZE)
        return own * reluctance(ids)


def replies(count: int, seed: int) -> list[Reply]:
    """Nothing forced has a stop token: a server would end there, a driver does not."""
    fine = (case for case in asked(4 * count, seed) if not forced_tokens(case) & case.window.stop_token_ids)
    return [Reply(case, budgeted=number % 3 != 0) for number, case in zip(range(count), fine, strict=False)]


def forced_tokens(case: Case) -> set[int]:
    flow = drive(case)
    return {token for span in flow.spans() if span.bucket in FORCED for token in flow.token_ids[span.start : span.end]}


def finished(reply: Reply) -> list[int]:
    ids = reply.ids[:-1] if reply.ids[-1:] == [END] else reply.ids
    return kept(ids, drive(reply.case)) if reply.budgeted else ids


class V1Runner:
    """A stand-in for the V1 runner: rows are filled from below, condensed by moves, sometimes swapped or preempted."""

    def __init__(self, random: Random, processor: V1BatchRows) -> None:
        self.random, self.processor = random, processor
        self.rows: list[Reply | None] = [None] * 4

    def run(self, waiting: list[Reply]) -> list[Reply]:
        ended: list[Reply] = []
        while waiting or any(self.rows):
            ended += [reply for reply in self.rows if reply is not None and reply.done]
            self.processor.update_state(self.changes(waiting))
            live = [reply for reply in self.rows if reply is not None]
            if not live:
                continue
            logits = self.processor.apply(torch.stack([reply.logits(reply.ids) for reply in live]))
            for reply, token in zip(live, logits.argmax(-1).tolist(), strict=True):
                reply.ids.append(token)
        return ended

    def changes(self, waiting: list[Reply]) -> SimpleNamespace | None:
        removed = []
        for row, reply in enumerate(self.rows):
            preempted = reply is not None and not reply.done and self.random.random() < 0.1
            if reply is not None and (reply.done or preempted):
                if preempted:
                    waiting.append(replace(reply, ids=list(reply.ids)))
                    reply.ids.append(-1)  # a reader of the old list would get an invalid token
                removed.append(row)
                self.rows[row] = None
        added = []
        while waiting and None in self.rows and self.random.random() < 0.8:
            row, reply = self.rows.index(None), waiting.pop(0)
            self.rows[row] = reply
            removed = [one for one in removed if one != row]
            added.append((row, reply.params, [0] * PROMPT, reply.ids))
        moved = list(self.moves())
        if not removed and not added and not moved:
            return None
        return SimpleNamespace(removed=removed, added=added, moved=moved)

    def moves(self) -> Iterator[tuple[int, int, Direction]]:
        while None in self.rows and any(self.rows[self.rows.index(None) :]):
            hole = self.rows.index(None)
            last = max(row for row, reply in enumerate(self.rows) if reply is not None)
            self.rows[hole], self.rows[last] = self.rows[last], None
            yield last, hole, Direction.UNIDIRECTIONAL
        live = [row for row, reply in enumerate(self.rows) if reply is not None]
        if len(live) > 1 and self.random.random() < 0.3:
            one, other = self.random.sample(live, 2)
            self.rows[one], self.rows[other] = self.rows[other], self.rows[one]
            yield one, other, Direction.SWAP


@pytest.mark.parametrize("seed", range(4))
def test_v1_rows_each_have_their_own_budget(seed: int) -> None:
    all_of_them = replies(60, seed)
    waiting, seen = list(all_of_them), []

    def watched(params: Any, prompt: int | None) -> TokenConstraint | None:
        seen.append(params)
        return new(params, prompt)

    ended = V1Runner(Random(seed), V1BatchRows(watched, uncounted)).run(waiting)
    assert sorted(map(finished, ended)) == sorted(reply.wanted() for reply in all_of_them)
    assert len(seen) > len(all_of_them)  # some were preempted


def test_greedy_batches_do_not_skip_the_processor() -> None:
    assert not V1BatchRows(new, uncounted).is_argmax_invariant()


ROW_FIELDS = ("expanded_idx_mapping", "expanded_local_pos", "input_ids")


class V2Runner:
    """A stand-in for the V2 runner that replays its buffers, with up to `drafts` drafted tokens a request and step.

    The share `right` of the drafts is what the reply will be, the rest is random. As in vLLM 0.32: a draft unlike the
    sampled token is rejected with all that follow it; drafts of a step that begins in the prompt are placeholders (-1);
    host lengths are upper bounds; a large batch is verified in chunks of requests.
    """

    def __init__(self, random: Random, drafts: int, right: float = 0.5) -> None:
        self.random, self.drafts, self.right = random, drafts, right
        self.fresh: set[int] = set()
        self.preempts = True
        self.accepted = self.rejected = self.met_inside = 0
        self.ids = torch.full((4, WIDE), 77, dtype=torch.int32)
        self.length = torch.zeros(4, dtype=torch.int32)
        self.states = SimpleNamespace(
            prompt_len=SimpleNamespace(np=np.zeros(4, dtype=np.int32)),
            all_token_ids=SimpleNamespace(gpu=self.ids),
            total_len=SimpleNamespace(gpu=self.length),
        )
        self.processor = V2BatchSlots(new, uncounted, self.states)
        self.slots: dict[int, Reply] = {}

    def run(self, waiting: list[Reply], *, takes_part: bool = True) -> list[Reply]:
        """`takes_part`: whether every request with a budget must get a constraint."""
        ended = []
        self.takes_part = takes_part
        while waiting or self.slots:
            while waiting and len(self.slots) < 4 and self.random.random() < 0.8:
                self.join(waiting.pop(0))
            if self.slots:
                self.step()
            for slot in [slot for slot, reply in self.slots.items() if reply.done]:
                ended.append(self.slots.pop(slot))
            for slot in [slot for slot in self.slots if self.preempts and self.random.random() < 0.05]:
                waiting.append(self.slots.pop(slot))
        return ended

    def join(self, reply: Reply) -> None:
        slot = self.random.choice([slot for slot in range(4) if slot not in self.slots])
        self.slots[slot] = reply
        self.fresh.add(slot)
        self.states.prompt_len.np[slot] = PROMPT
        self.store(slot)
        takes_part = self.processor.add_request(slot, reply.params)
        assert takes_part == reply.budgeted or not self.takes_part

    def store(self, slot: int) -> None:
        ids = [0] * PROMPT + self.slots[slot].ids
        self.ids[slot, : len(ids)] = torch.tensor(ids)
        self.length[slot] = len(ids)

    def step(self) -> None:
        order = self.random.sample(sorted(self.slots), len(self.slots))
        drafted = {slot: self.draft(slot) for slot in order}
        self.fresh.clear()
        rows = [(slot, place) for slot in order for place in range(1 + len(drafted[slot]))]
        before = {slot: self.slots[slot].ids for slot in order}
        read = [(s, [max(0, token) for token in before[s] + drafted[s][:place]]) for s, place in rows]
        logits = torch.stack([self.slots[slot].logits(ids) for slot, ids in read])
        batch = SimpleNamespace(
            idx_mapping_np=np.array(order),
            expanded_idx_mapping=torch.tensor([slot for slot, _ in rows]),
            expanded_local_pos=torch.tensor([place for _, place in rows]),
            input_ids=torch.tensor([([0, *before[s]][-1:] + drafted[s])[place] for s, place in rows]),
            seq_lens_upper_bound_np=np.array(
                [PROMPT + len(before[s]) + len(drafted[s]) + self.random.randint(0, 2) for s in order]
            ),
        )
        chosen = self.verified(logits, batch).argmax(-1).tolist()
        free = logits.argmax(-1).tolist()
        for (slot, place), token, own in zip(rows, chosen, free, strict=True):
            reply = self.slots[slot]
            if not reply.done and reply.ids == before[slot] + drafted[slot][:place]:
                reply.ids = [*reply.ids, token]
                self.accepted += place > 0
                self.met_inside += place > 0 and token != own
            else:
                self.rejected += 1
        for slot in order:
            self.store(slot)

    def draft(self, slot: int) -> list[int]:
        reply, count = self.slots[slot], self.random.randint(0, self.drafts)
        if slot in self.fresh:
            return [-1] * count
        wanted = reply.wanted()[len(reply.ids) :][:count] if self.random.random() < self.right else []
        return wanted + self.random.choices(range(8), k=count - len(wanted))

    def verified(self, logits: torch.Tensor, batch: SimpleNamespace) -> torch.Tensor:
        """The processed logits, of the batch or of two chunks of its requests."""
        if self.random.random() < 0.7:
            return self.processor.apply(logits.clone(), batch)
        at = self.random.randint(1, len(batch.idx_mapping_np))
        first = sum(int(slot) in batch.idx_mapping_np[:at] for slot in batch.expanded_idx_mapping)
        parts = []
        for requests, rows in ((slice(0, at), slice(0, first)), (slice(at, None), slice(first, None))):
            chunk = SimpleNamespace(
                idx_mapping_np=batch.idx_mapping_np[requests],
                seq_lens_upper_bound_np=batch.seq_lens_upper_bound_np[requests],
                **{name: getattr(batch, name)[rows] for name in ROW_FIELDS},
            )
            parts.append(self.processor.apply(logits[rows].clone(), chunk))
        return torch.cat(parts)


@pytest.mark.parametrize(
    ("drafts", "right"), [(0, 0.0), (1, 0.5), (2, 0.5), (3, 1.0), (5, 0.9), (8, 0.0), (8, 0.8), (8, 1.0)]
)
def test_v2_slots_each_have_their_own_budget(drafts: int, right: float) -> None:
    """vllm 39573, 54906: budgets that are met inside a draft were ignored, or kept late."""
    all_of_them = replies(150, 7 + drafts)
    server = V2Runner(Random(drafts), drafts, right)
    ended = server.run(list(all_of_them))
    assert sorted(map(finished, ended)) == sorted(reply.wanted() for reply in all_of_them)
    if drafts and right:
        assert server.accepted > 100 and server.met_inside > 20
    assert server.rejected > 50 or not drafts


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_what_begins_inside_a_draft_is_counted_once(right: float) -> None:
    """In the next step: a reply that ends in the same step is not counted."""
    counts, add = counting()
    all_of_them = [one for one in replies(240, 11) if one.budgeted and not one.case.strings]
    server = V2Runner(Random(3), 8, right)
    server.processor = V2BatchSlots(new, add, server.states)
    server.preempts = False
    server.run(list(all_of_them))
    flows = [drive(one.case) for one in all_of_them]
    hints = sum(flow.shift_reason in (Shift.BUDGET, Shift.CONTEXT) and flow.ledger().hint > 0 for flow in flows)
    assert hints > 5
    assert counts["windows", "forced"] == hints if right == 0 else hints // 2 < counts["windows", "forced"] <= hints


def counting() -> tuple[Counter[tuple[str, str]], Callable[[str, str], None]]:
    counts: Counter[tuple[str, str]] = Counter()

    def add(name: str, label: str) -> None:
        counts[name, label] += 1

    return counts, add


def test_impossible_windows_of_a_running_request_are_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    def refuses(params: Any, prompt: int | None) -> TokenConstraint | None:
        raise UserError("max_tokens", params, "raise it")

    counts, add = counting()
    with caplog.at_level(logging.ERROR):
        assert drop_impossible(refuses, add)(3, None) is None
    assert "thinking budget of a request is not enforced" in caplog.text
    assert counts == {("windows", "impossible"): 1}


class Failing(TokenConstraint):
    def next_token(self, token_ids: Any) -> int | None:
        raise RuntimeError("planted")


@pytest.mark.parametrize("place", ["make", "apply", "update"])
@pytest.mark.parametrize("runner", ["first", "second"])
def test_an_exception_leaves_the_other_replies_as_they_were(runner: str, place: str) -> None:
    """Every fifth request meets it; it continues as if it had no budget, and the exception is counted."""
    all_of_them, counts = replies(60, 3), Counter[tuple[str, str]]()
    broken = {id(reply.case) for reply in all_of_them[1::5]}

    def make(params: Case | None, prompt: int | None) -> TokenConstraint | None:
        if params is None or id(params) not in broken:
            return new(params, prompt)
        if place == "make":
            raise RuntimeError("planted")
        return Failing(Flow(params.window, params.room)) if place == "apply" else new(params, prompt)

    def add(name: str, label: str) -> None:
        counts[name, label] += 1

    if runner == "first":
        processor = V1BatchRows(make, add)
        if place == "update":
            processor._update = lambda update: 1 / 0  # type: ignore[method-assign, assignment]
        ended = V1Runner(Random(1), processor).run(list(all_of_them))
    else:
        if place == "update":
            return  # this runner has no such step
        server = V2Runner(Random(1), 0)
        server.processor = V2BatchSlots(make, add, server.states)
        ended = server.run(list(all_of_them), takes_part=False)
    assert len(ended) == len(all_of_them)
    whole = [reply for reply in ended if id(reply.case) not in broken and place != "update"]
    assert [finished(reply) for reply in whole] == [reply.wanted() for reply in whole]
    assert sum(count for (name, _), count in counts.items() if name == "errors") >= 10


def test_the_end_of_a_thought_is_counted_once() -> None:
    counts, add = counting()
    case = replies(9, 5)[1].case
    told = TokenConstraint(Flow(Window(2, 8, (1, 2, 3), frozenset()), 50))
    processor = V1BatchRows(lambda params, prompt: told, add)
    ids: list[int] = []
    processor.update_state(SimpleNamespace(removed=[], added=[(0, case, [0] * PROMPT, ids)], moved=[]))
    for _ in range(9):
        ids.append(int(processor.apply(torch.zeros(1, SIZE).index_fill(1, torch.tensor(50), 1.0)).argmax()))
    assert ids == [50, 50, 1, 2, 3, 50, 50, 50, 50]
    assert counts == {("windows", "forced"): 1}
