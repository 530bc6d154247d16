"""Is every token told once, in its order, and where it stands?"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from z1 import profiles
from z1.engines import Logprob
from z1.serve.api.logprobs import TokenRecord, of_chat, of_text
from z1.serve.api.reply_text import OutputOptions
from z1.serve.runtime.reply_runner import NewTokens
from z1.think import Bucket

PIECES = (b"so ", b"it", b" is", "\u00e9".encode()[:1], "\u00e9".encode()[1:], b"\xff", "\U0001f642".encode())
PROFILE = profiles.profile("z1-tiny")


def style(**said: Any) -> OutputOptions:
    return OutputOptions(PROFILE, PIECES.__getitem__, **said)


def came(bucket: Bucket, *ids: int) -> NewTokens:
    return NewTokens(
        bucket, ids, () if bucket is Bucket.HINT else tuple(Logprob(-float(one), ((one, -1.0),)) for one in ids)
    )


RUN = [came(Bucket.THOUGHT, 0, 3), came(Bucket.HINT, 1, 2), came(Bucket.ANSWER, 4, 6), came(Bucket.STOP, 5)]


def test_ids_are_handed_out_once_hint_and_stop_included() -> None:
    tokens = TokenRecord(style(ids=True), of_text)
    assert tokens.take() == {}
    for event in RUN[:2]:
        tokens.came(event)
    assert tokens.take() == {"token_ids": [0, 3, 1, 2]}
    for event in RUN[2:]:
        tokens.came(event)
    assert tokens.take() == {"token_ids": [4, 6, 5]}
    assert tokens.take() == {}


def told(shape: Any = of_text, split: bool = False) -> Any:
    tokens = TokenRecord(style(logprobs=True, split=split), shape)
    for event in RUN:
        tokens.came(event)
    return tokens.take()["logprobs"]


def test_what_was_drawn_and_is_content_has_a_logprob_and_nothing_else_has() -> None:
    assert told() == {
        "tokens": ["so ", "\ufffd", "\ufffd", "\U0001f642"],
        "token_logprobs": [0.0, -3.0, -4.0, -6.0],
        "top_logprobs": [{"so ": -1.0}, {"\ufffd": -1.0}, {"\ufffd": -1.0}, {"\U0001f642": -1.0}],
        "text_offset": [0, 3, 9, 10],
    }
    assert told(split=True)["tokens"] == ["\ufffd", "\U0001f642"]
    last = told(of_chat)["content"][-1]
    assert last == {
        "token": "\U0001f642", "logprob": -6.0, "bytes": list("\U0001f642".encode()),
        "top_logprobs": [{"token": "\U0001f642", "logprob": -1.0, "bytes": list("\U0001f642".encode())}],
    }  # fmt: skip


def test_json_has_no_infinity() -> None:
    tokens = TokenRecord(style(logprobs=True), of_text)
    tokens.came(NewTokens(Bucket.ANSWER, (0,), (Logprob(-math.inf),)))
    assert tokens.take()["logprobs"]["token_logprobs"] == [-9999.0]


@given(st.lists(st.integers(0, len(PIECES) - 1), max_size=12), st.integers(1, 5))
def test_however_ids_are_split_a_token_stands_where_its_text_begins(ids: list[int], size: int) -> None:
    whole, cut = (TokenRecord(style(logprobs=True), of_text) for _ in range(2))
    whole.came(came(Bucket.ANSWER, *ids))
    for at in range(0, len(ids), size):
        cut.came(came(Bucket.ANSWER, *ids[at : at + size]))
    first = whole.take()
    assert cut.take() == first
    if set(ids) <= {0, 1, 2, 6}:
        starts = [0, *accumulate(len(PIECES[one].decode()) for one in ids)][:-1]
        assert first.get("logprobs", {"text_offset": []})["text_offset"] == starts
