"""What does the model see of a row, and what of it does it learn?

A row of data becomes ids and a mask: the prompt is seen, the response and its end are learned. A share of rows is cut
inside its thought and continued with the hint, as the window does it: there the hint is seen and the answer learned. A
row that is too long is refused, left out or truncated, as it was asked for; the first is what happens unasked. Prompt
and response are encoded apart, so that the ids before the first learned one are those that serving sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import islice
from random import Random
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from z1 import profiles
from z1.errors import UserError
from z1.profiles import Profile
from z1.prompts import chat_template, prompt_segments, response_segments, split_response, with_think_start
from z1.records import TrainingRow

TOGETHER = 1_000
"""Rows whose texts the tokenizer gets at once; it encodes them on all cores."""

TRUNCATED, NO_FENCE = "truncated", "no fence"
KEPT = (TRUNCATED, NO_FENCE)
"""Notes on rows that are learned all the same."""

TOO_LONG, EMPTY, NOTHING = "too long", "empty", "nothing to learn"
"""Why rows are left out."""

TAUGHT_NOTHING = np.zeros(0, np.int32), np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """All rows end to end: `token_ids` and `loss_mask` [N], `starts` [rows + 1]. No loss on a row's first token."""

    token_ids: NDArray[np.int32]
    loss_mask: NDArray[np.bool_]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ids in each row."""
        return np.diff(self.starts)

    @property
    def learned_counts(self) -> NDArray[np.int64]:
        """Learned ids of each row."""
        return np.add.reduceat(self.loss_mask, self.starts[:-1], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as ids and learned mask [ids]; without any where `note` says why it is left out.

    Of a row that is kept `note` is "", "truncated" where it lost its end, or "no fence" where its family fences
    thoughts and it has none: the model is taught to close an empty one.
    """

    id: str
    token_ids: NDArray[np.int32]
    loss_mask: NDArray[np.bool_]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Truncation:
    """Most ids of a row, what becomes of longer ones, and the key of the recipe that says so."""

    max_length: int
    mode: Literal["drop", "truncate", "refuse"] = "refuse"
    key: str = "model.context"


@dataclass(frozen=True)
class Encoder:
    """Turns rows into ids for one transformers tokenizer and profile; `hint_share` of the rows that think are cut."""

    tokenizer: Any
    profile: Profile
    hint_share: float
    seed: int

    @cached_property
    def end_token_id(self) -> int:
        """The id that ends every row, and every reply. Raises UserError where the tokenizer has none."""
        if self.tokenizer.eos_token_id is None:
            raise UserError("the tokenizer's eos_token", "none", "set one in its tokenizer_config.json")
        return int(self.tokenizer.eos_token_id)

    def encode_row(self, row: TrainingRow) -> tuple[list[int], list[bool]]:
        """Ids and, for each, whether it is learned."""
        made = self.encode_rows([row])[0]
        return made.token_ids.tolist(), made.loss_mask.tolist()

    def encode_rows(self, rows: Sequence[TrainingRow]) -> list[Encoded]:
        """As `encode_row`, for many at once. One without question or answer is left out."""
        texts = [self._texts(row) for row in rows]
        flat = [text for prompt, reply in texts for text in (*prompt, *reply)]
        found: list[list[int]] = (
            self.tokenizer(flat, add_special_tokens=False, return_attention_mask=False)["input_ids"] if flat else []
        )
        pieces = iter(found)
        return [
            self._joined(row, list(islice(pieces, len(prompt))), list(islice(pieces, len(reply))))
            for row, (prompt, reply) in zip(rows, texts, strict=True)
        ]

    def _texts(self, row: TrainingRow) -> tuple[list[str], list[str]]:
        """What of a row is to become ids: its prompt's pieces, and its reply's or, if it is cut, thought and answer."""
        if not row.question.strip() or not row.answer.strip():
            return [], []
        pieces = prompt_segments(self.tokenizer, self.profile, row.question)
        prompt = "".join(pieces)
        thought, answer = self._parted(row)
        if self._draws(row).random() < self.hint_share:
            return pieces, [
                with_think_start(self.profile, prompt, thought),
                answer.removeprefix(self.profile.answer_prefix),
            ]
        return pieces, response_segments(self.profile, prompt, thought, answer)

    def _parted(self, row: TrainingRow) -> tuple[str, str]:
        return (row.thought, row.answer) if row.thought else split_response(self.profile, row.answer)

    def _joined(self, row: TrainingRow, prompts: list[list[int]], reply: list[list[int]]) -> Encoded:
        if not prompts:
            return Encoded(row.id, *TAUGHT_NOTHING, EMPTY)
        prompt = [token for piece in prompts for token in piece]
        draws = self._draws(row)
        if draws.random() < self.hint_share:
            thought, answer = reply
            thought = thought[: draws.randint(0, len(thought))]
            hint = self._hints[not thought]
            parts = [(prompt, False), (thought, True), (hint, False), ([*answer, self.end_token_id], True)]
        else:
            parts = [(prompt, False), *((part, True) for part in reply), ([self.end_token_id], True)]
        ids = [token for part, _learned in parts for token in part]
        learned = [taught for part, taught in parts for _token in part]
        note = NO_FENCE if self.profile.think_end and not self._parted(row)[0] else ""
        return Encoded(row.id, np.array(ids, np.int32), np.array(learned, np.bool_), note)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all that decides which ids a row becomes."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        words = backend.to_str() if backend else json.dumps(sorted(self.tokenizer.get_vocab().items()))
        drawn = [self.hint_share, self.seed] if self.hint_share else []
        facts = [words, chat_template(self.tokenizer), self.end_token_id, asdict(self.profile), drawn]
        return sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _draws(self, row: TrainingRow) -> Random:
        return Random(f"{self.seed}:{row.id}")

    @cached_property
    def _hints(self) -> dict[bool, list[int]]:
        return {
            at_once: list(profiles.hint_token_ids(self.tokenizer, self.profile, no_thinking=at_once))
            for at_once in (True, False)
        }


def encode(rows: Iterable[TrainingRow], encoder: Encoder, limit: Truncation) -> Iterator[Encoded]:
    """All `rows` in their order, none of more than `limit.most` ids."""
    source = iter(rows)
    while block := list(islice(source, TOGETHER)):
        yield from (_within(made, limit) for made in encoder.encode_rows(block))


def _within(made: Encoded, limit: Truncation) -> Encoded:
    if len(made.token_ids) <= limit.max_length:
        return made
    if limit.mode == "refuse":
        do = f"raise {limit.key} above {limit.max_length} or leave it out"
        raise UserError(f"row {made.id}", f"{len(made.token_ids)} ids", do)
    if limit.mode == "drop":
        return replace(made, token_ids=TAUGHT_NOTHING[0], loss_mask=TAUGHT_NOTHING[1], note=TOO_LONG)
    if not made.loss_mask[: limit.max_length].any():
        return replace(made, token_ids=TAUGHT_NOTHING[0], loss_mask=TAUGHT_NOTHING[1], note=NOTHING)
    return replace(
        made, token_ids=made.token_ids[: limit.max_length], loss_mask=made.loss_mask[: limit.max_length], note=TRUNCATED
    )


def gather(encoded: Iterable[Encoded]) -> EncodedRows:
    """The rows that are not left out, in memory. Raises UserError where there are none."""
    kept = [made for made in encoded if len(made.token_ids)]
    if not kept:
        raise UserError("training rows", "none", "curate some first")
    return EncodedRows(
        np.concatenate([made.token_ids for made in kept]),
        np.concatenate([made.loss_mask for made in kept]),
        np.cumsum([0, *(len(made.token_ids) for made in kept)]),
    )


def batches(
    sizes: Sequence[int] | NDArray[np.int64], batch_tokens: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Row numbers of each batch of one epoch: rows of like length together, at most `batch_tokens` ids with padding.

    A function of its arguments alone, so that a run that begins again finds the same order.
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    sizes = np.asarray(sizes)
    order = np.argsort(sizes + rng.random(len(sizes)) * 8, kind="stable")
    groups: list[NDArray[np.int64]] = []
    start = 0
    for at in range(1, len(order) + 1):
        full = at == len(order) or sizes[order[start : at + 1]].max() * (at + 1 - start) > batch_tokens
        if full:
            groups.append(order[start:at])
            start = at
    return [groups[i] for i in rng.permutation(len(groups))]
