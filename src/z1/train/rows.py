"""What does the model see of a row, and what of it does it learn?

A row of curated data becomes ids and a mask: the prompt is seen, the response is learned. A share of rows is cut inside
its thought and continued with the hint, as the window does it: there the hint is seen and the answer learned. Encoding
is done once and kept as flat arrays; a row that does not fit the context is refused, never cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from z1 import chat
from z1.chat import Profile, Tokenizer
from z1.errors import UserError
from z1.records import Row
from z1.runs import whole_file


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows end to end: `ids` and `learned` [total ids], and `starts` [rows + 1]."""

    ids: NDArray[np.int32]
    learned: NDArray[np.bool_]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Ids in each row."""
        return np.diff(self.starts)

    @property
    def supervised(self) -> NDArray[np.int64]:
        """Learned ids of each row."""
        return np.add.reduceat(self.learned, self.starts[:-1], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns rows into ids for one tokenizer and profile; `hint_share` of the rows that think are cut."""

    tokenizer: Tokenizer
    profile: Profile
    hint_share: float
    seed: int

    def row(self, row: Row) -> tuple[list[int], list[bool]]:
        """Ids and, for each, whether it is learned."""
        prompt = chat.prompt_ids(self.tokenizer, self.profile, row.question)
        stop = [self.tokenizer.eos_token_id or 0]
        reply = chat.reply_ids(self.tokenizer, self.profile, row.thought, row.answer)
        rng = Random(f"{self.seed}:{row.id}")
        if rng.random() >= self.hint_share:
            return prompt + reply + stop, [False] * len(prompt) + [True] * (len(reply) + len(stop))
        thought = self.tokenizer.encode(row.thought, add_special_tokens=False) if row.thought else []
        thought = thought[: rng.randint(0, len(thought))]
        hint = list(chat.hint_ids(self.tokenizer, self.profile, at_once=not thought))
        rest = row.answer.removeprefix(self.profile.prefix)
        answer = self.tokenizer.encode(rest, add_special_tokens=False) + stop
        learned = [False] * len(prompt) + [True] * len(thought) + [False] * len(hint) + [True] * len(answer)
        return prompt + thought + hint + answer, learned


def encode(rows: Iterable[Row], encoder: Encoder, context: int) -> Rows:
    """All `rows` as arrays; refuses an empty corpus, and by name a row of more than `context` ids."""
    ids: list[int] = []
    learned: list[bool] = []
    starts = [0]
    for row in rows:
        tokens, mask = encoder.row(row)
        if len(tokens) > context:
            raise UserError(
                f"row {row.id}", f"{len(tokens)} ids", f"raise model.context above {context} or leave it out"
            )
        ids += tokens
        learned += mask
        starts.append(len(ids))
    if len(starts) == 1:
        raise UserError("training rows", "none", "curate some first")
    return Rows(np.array(ids, np.int32), np.array(learned, np.bool_), np.array(starts, np.int64))


def once(path: Path, make: Callable[[], Rows]) -> Rows:
    """The rows in `path`, or those that `make` gives, kept there for the next time."""
    if not path.exists():
        made = make()
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, ids=made.ids, learned=made.learned, starts=made.starts)
        return made
    with np.load(path, allow_pickle=False) as kept:
        return Rows(kept["ids"], kept["learned"], kept["starts"])


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
