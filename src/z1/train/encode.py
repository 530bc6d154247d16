"""Encoding of training rows: token ids and the loss mask.

Loss is computed on the response and its end token, not on the prompt. In a fraction `hint_share` of rows the thought is
truncated at a random token, then hint and answer follow, as the thinking window does it; the hint has no loss, the
answer has. A row that is too long is refused, dropped or truncated, as `Truncation` says. Prompt and response are
encoded separately, so no token spans the prompt/response boundary, and the prompt has the tokens that serving sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from random import Random
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from z1 import profiles
from z1.dataset_rows.thoughts import MARKERS
from z1.errors import UserError
from z1.profiles import Profile
from z1.prompts import (
    Messages,
    chat_template,
    control_texts,
    prompt_segments,
    response_segments,
    split_response,
    with_think_start,
)
from z1.records import Record, TrainingRow
from z1.surrogates import replace_surrogates

BLOCK_ROWS = 1_000
"""Rows per call of the tokenizer, which encodes them on all cores."""

TRUNCATED, NO_THOUGHT, TEMPLATE_TEXT = "truncated", "no thought", "template text"
KEPT = (TRUNCATED, NO_THOUGHT, TEMPLATE_TEXT)
"""Notes on rows that are not dropped; the last one is followed by the text."""

TOO_LONG, EMPTY, NOTHING_TO_LEARN = "too long", "empty", "nothing to learn"
"""Reasons for dropping a row."""

NO_TOKENS = np.zeros(0, np.int32), np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class DroppedRow(Record):
    """The id of a row, and why it was dropped, truncated or otherwise noted."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConversationRow(TrainingRow):
    """A training row whose question comes after other turns."""

    history: tuple[dict[str, str], ...]
    """The turns before the question, as roles and contents, the user's first."""


def messages_of(row: TrainingRow) -> Messages:
    """The prompt of a row: its question, or its conversation up to the question."""
    if isinstance(row, ConversationRow):
        return [*row.history, {"role": "user", "content": row.question}]
    return row.question


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """All rows end to end: `token_ids` and `loss_mask` [N], `starts` [rows + 1]. A row's first token has no loss."""

    token_ids: NDArray[np.int32]
    loss_mask: NDArray[np.bool_]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row."""
        return np.diff(self.starts)

    @property
    def learned_counts(self) -> NDArray[np.int64]:
        """Learned tokens (those with loss) of each row."""
        return np.add.reduceat(self.loss_mask, self.starts[:-1], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One row as tokens and loss mask [tokens]; both are empty where `note` is the reason for dropping it.

    The `note` of other rows is "", "truncated" if the row lost its end, or "no thought" if its family has think tags
    and the row has no thought: the model then learns to close an empty one.
    """

    id: str
    token_ids: NDArray[np.int32]
    loss_mask: NDArray[np.bool_]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Truncation:
    """Maximum tokens of a row, the treatment of longer ones, and the recipe's key for the limit."""

    max_length: int
    mode: Literal["drop", "truncate", "refuse"] = "refuse"
    key: str = "model.context"


@dataclass(frozen=True)
class Encoder:
    """Encodes rows with one transformers tokenizer and profile.

    The thoughts of a fraction `hint_share` of the rows are truncated and followed by the hint.
    """

    tokenizer: Any
    profile: Profile
    hint_share: float
    seed: int

    @cached_property
    def end_token_id(self) -> int:
        """The token that ends every row, and every reply. Raises UserError if the tokenizer has none."""
        if self.tokenizer.eos_token_id is None:
            raise UserError("the tokenizer's eos_token", "none", "set one in its tokenizer_config.json")
        return int(self.tokenizer.eos_token_id)

    def encode_row(self, row: TrainingRow) -> tuple[list[int], list[bool]]:
        """Token ids and loss mask of one row."""
        encoded = self.encode_rows([row])[0]
        return encoded.token_ids.tolist(), encoded.loss_mask.tolist()

    def encode_rows(self, rows: Sequence[TrainingRow]) -> list[EncodedRow]:
        """Encode many rows in one call of the tokenizer. Rows without question or answer are dropped."""
        texts = [self._texts(row) for row in rows]
        flat = [replace_surrogates(text) for prompt, reply in texts for text in (*prompt, *reply)]
        encoded: list[list[int]] = (
            self.tokenizer(flat, add_special_tokens=False, return_attention_mask=False)["input_ids"] if flat else []
        )
        pieces = iter(encoded)
        return [
            self._join(row, list(islice(pieces, len(prompt))), list(islice(pieces, len(reply))))
            for row, (prompt, reply) in zip(rows, texts, strict=True)
        ]

    def _texts(self, row: TrainingRow) -> tuple[list[str], list[str]]:
        """The texts to encode: the pieces of the prompt and of the reply; thought and answer of a hinted row."""
        if not row.question.strip() or not row.answer.strip():
            return [], []
        pieces = prompt_segments(self.tokenizer, self.profile, messages_of(row))
        prompt = "".join(pieces)
        thought, answer = self._split(row)
        if self._rng(row).random() < self.hint_share:
            return pieces, [
                with_think_start(self.profile, prompt, thought),
                answer.removeprefix(self.profile.answer_prefix),
            ]
        return pieces, response_segments(self.profile, prompt, thought, answer)

    def _split(self, row: TrainingRow) -> tuple[str, str]:
        return (row.thought, row.answer) if row.thought else split_response(self.profile, row.answer)

    def _join(self, row: TrainingRow, prompts: list[list[int]], reply: list[list[int]]) -> EncodedRow:
        if not prompts:
            return EncodedRow(row.id, *NO_TOKENS, EMPTY)
        prompt = [token for piece in prompts for token in piece]
        rng = self._rng(row)
        if rng.random() < self.hint_share:
            thought, answer = reply
            thought = thought[: rng.randint(0, len(thought))]
            closing = profiles.make_closing(self.tokenizer, self.profile) if thought else None
            hint = [*(closing.close(thought, 0) if closing else ()), *self._hints[not thought]]
            parts = [(prompt, False), (thought, True), (hint, False), ([*answer, self.end_token_id], True)]
        else:
            parts = [(prompt, False), *((part, True) for part in reply), ([self.end_token_id], True)]
        token_ids = [token for part, _has_loss in parts for token in part]
        loss_mask = [has_loss for part, has_loss in parts for _token in part]
        note = NO_THOUGHT if self.profile.think_end and not self._split(row)[0] else ""
        if found := self._template_text(row):
            note = f"{TEMPLATE_TEXT}: {found}"
        return EncodedRow(row.id, np.array(token_ids, np.int32), np.array(loss_mask, np.bool_), note)

    def _template_text(self, row: TrainingRow) -> str:
        """The first think tag of another family, special token or fragment of a chat template in the text that a row
        teaches; "" if there is none.
        """
        for text in self._split(row):
            for found in chain(MARKERS.finditer(text), self._special_tokens.finditer(text)):
                if found[0] not in self._own_tags:
                    return found[0]
        return ""

    @cached_property
    def _own_tags(self) -> frozenset[str]:
        end = self.profile.think_end.strip()
        return frozenset({self.profile.think_start.strip(), end, end.replace("</", "<", 1)})

    @cached_property
    def _special_tokens(self) -> re.Pattern[str]:
        texts = sorted(control_texts(self.tokenizer), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of everything that decides the tokens of a row."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        vocabulary = backend.to_str() if backend else json.dumps(sorted(self.tokenizer.get_vocab().items()))
        hints = [self.hint_share, self.seed] if self.hint_share else []
        facts = [vocabulary, chat_template(self.tokenizer), self.end_token_id, asdict(self.profile), hints]
        return sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _rng(self, row: TrainingRow) -> Random:
        return Random(f"{self.seed}:{row.id}")

    @cached_property
    def _hints(self) -> dict[bool, list[int]]:
        return {
            no_thinking: list(profiles.hint_token_ids(self.tokenizer, self.profile, no_thinking=no_thinking))
            for no_thinking in (True, False)
        }


def encode(rows: Iterable[TrainingRow | DroppedRow], encoder: Encoder, limit: Truncation) -> Iterator[EncodedRow]:
    """Encode all `rows` in order, with at most `limit.max_length` tokens each; rows that were dropped before are noted
    with their reason.
    """
    source = iter(rows)
    while block := list(islice(source, BLOCK_ROWS)):
        encoded = iter(encoder.encode_rows([row for row in block if isinstance(row, TrainingRow)]))
        for row in block:
            if isinstance(row, DroppedRow):
                yield EncodedRow(row.id, *NO_TOKENS, row.reason)
            else:
                yield _truncate(next(encoded), limit)


def _truncate(row: EncodedRow, limit: Truncation) -> EncodedRow:
    if len(row.token_ids) <= limit.max_length:
        return row
    if limit.mode == "refuse":
        do = f"raise {limit.key} above {limit.max_length}, or remove the row"
        raise UserError(f"row {row.id}", f"{len(row.token_ids)} tokens", do)
    token_ids, loss_mask = row.token_ids[: limit.max_length], row.loss_mask[: limit.max_length]
    if limit.mode == "drop" or not loss_mask.any():
        note = TOO_LONG if limit.mode == "drop" else NOTHING_TO_LEARN
        return replace(row, token_ids=NO_TOKENS[0], loss_mask=NO_TOKENS[1], note=note)
    return replace(row, token_ids=token_ids, loss_mask=loss_mask, note=TRUNCATED)
