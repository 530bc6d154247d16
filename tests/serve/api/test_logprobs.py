"""Tests of z1.serve.api.logprobs."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1 import profiles
from z1.engines import Logprob
from z1.serve.api.logprobs import TokenRecord, chat_logprobs, completion_logprobs, token_ledger
from z1.serve.api.reply_text import OutputOptions
from z1.serve.runtime.reply_runner import NewTokens
from z1.think import Bucket

VOCABULARY = (b"so ", b"it", b" is", "\u00e9".encode()[:1], "\u00e9".encode()[1:], b"\xff", "\U0001f642".encode())
PROFILE = profiles.get_profile("z1-tiny")


def options(**fields: Any) -> OutputOptions:
    return OutputOptions(PROFILE, VOCABULARY.__getitem__, **fields)


def new_tokens(bucket: Bucket, *token_ids: int) -> NewTokens:
    return NewTokens(
        bucket,
        token_ids,
        () if bucket is Bucket.HINT else tuple(Logprob(-float(one), ((one, -1.0),)) for one in token_ids),
    )


EVENTS = [
    new_tokens(Bucket.THOUGHT, 0, 3),
    new_tokens(Bucket.HINT, 1, 2),
    new_tokens(Bucket.ANSWER, 4, 6),
    new_tokens(Bucket.STOP, 5),
]


def test_token_ids_are_returned_once_with_hint_and_stop() -> None:
    record = TokenRecord(options(return_token_ids=True), completion_logprobs)
    assert record.pop_fields() == {}
    for event in EVENTS[:2]:
        record.add(event)
    assert record.pop_fields() == {"token_ids": [0, 3, 1, 2]}
    for event in EVENTS[2:]:
        record.add(event)
    assert record.pop_fields() == {"token_ids": [4, 6, 5]}
    assert record.pop_fields() == {}


def logprobs(format_logprobs: Any = completion_logprobs, separate: bool = False) -> Any:
    record = TokenRecord(options(logprobs=True, separate_reasoning=separate), format_logprobs)
    for event in EVENTS:
        record.add(event)
    return record.pop_fields()["logprobs"]


def test_sampled_tokens_of_content_have_logprobs() -> None:
    assert logprobs() == {
        "tokens": ["so ", "\ufffd", "\ufffd", "\U0001f642"],
        "token_logprobs": [0.0, -3.0, -4.0, -6.0],
        "top_logprobs": [{"so ": -1.0}, {"\ufffd": -1.0}, {"\ufffd": -1.0}, {"\U0001f642": -1.0}],
        "text_offset": [0, 3, 9, 10],
    }
    assert logprobs(separate=True)["tokens"] == ["\ufffd", "\U0001f642"]
    last = logprobs(chat_logprobs)["content"][-1]
    assert last == {
        "token": "\U0001f642", "logprob": -6.0, "bytes": list("\U0001f642".encode()),
        "top_logprobs": [{"token": "\U0001f642", "logprob": -1.0, "bytes": list("\U0001f642".encode())}],
    }  # fmt: skip


def test_infinite_logprobs_are_clamped() -> None:
    """sglang 5984, madroidmaq/mlx-omni-server 56: -inf is no JSON."""
    record = TokenRecord(options(logprobs=True), completion_logprobs)
    record.add(NewTokens(Bucket.ANSWER, (0,), (Logprob(-math.inf),)))
    assert record.pop_fields()["logprobs"]["token_logprobs"] == [-9999.0]


@given(st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=12), st.integers(1, 5))
def test_offsets_do_not_depend_on_how_the_tokens_are_split(token_ids: list[int], size: int) -> None:
    whole, cut = (TokenRecord(options(logprobs=True), completion_logprobs) for _ in range(2))
    whole.add(new_tokens(Bucket.ANSWER, *token_ids))
    for at in range(0, len(token_ids), size):
        cut.add(new_tokens(Bucket.ANSWER, *token_ids[at : at + size]))
    first = whole.pop_fields()
    assert cut.pop_fields() == first
    if set(token_ids) <= {0, 1, 2, 6}:
        starts = [0, *accumulate(len(VOCABULARY[one].decode()) for one in token_ids)][:-1]
        assert first.get("logprobs", {"text_offset": []})["text_offset"] == starts


@pytest.mark.parametrize("has_forced", [True, False])
def test_the_token_ledger_has_every_token(has_forced: bool) -> None:
    record = TokenRecord(options(token_ledger=True), chat_logprobs)
    for event in [new_tokens(Bucket.THOUGHT, 5), *EVENTS]:
        record.add(event)
        assert record.pop_fields() == {}
    ids = [5, 0, 3, 1, 2, 4, 6, 5]
    known = [0, 1, 2, 3, 4, 5, 6, 7] if has_forced else [0, 1, 2, 5, 6, 7]
    record.finish([Logprob(-math.inf if at == 7 else -at / 8) for at in known], has_forced=has_forced)
    ledger = record.pop_fields()["token_ledger"]
    assert (ledger["token_ids"], record.pop_fields()) == (ids, {})
    assert ledger["is_forced"] == [False] * 3 + [True] * 2 + [False] * 3
    assert ledger["spans"] == [["thought", 0, 3], ["hint", 3, 5], ["answer", 5, 7], ["stop", 7, 8]]
    hint = [-3 / 8, -4 / 8] if has_forced else [None, None]
    assert ledger["logprobs"] == [0, -1 / 8, -2 / 8, *hint, -5 / 8, -6 / 8, -9999.0]


def test_what_was_not_computed_is_null() -> None:
    runs = [(Bucket.THOUGHT, (1,)), (Bucket.HINT, (2, 3))]  # a stop string in the hint ended the reply
    assert token_ledger(runs, [Logprob(-1.0)], has_forced=True)["logprobs"] == [-1.0, None, None]
    assert token_ledger(runs, [], has_forced=False)["logprobs"] == [None] * 3
