"""Tests of z1.serve.runtime.proxied_usage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.serve.metrics import UsageCounts
from z1.serve.runtime.proxied_usage import UsageReader, ask_for_usage

USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}
COUNTED = UsageCounts(1, 7, 4, 0, 5)
UNKNOWN = UsageCounts(1, uncounted_replies=1)

TEXTS = st.sampled_from(
    ['{"choices":[{"delta":{"content":"a"}}]}', '{"choices":[{}],"usage":null}', "[DONE]", '"usage"']
)
EVENTS = st.lists(st.one_of(TEXTS.map(lambda text: f"data: {text}"), st.just(": comment")), max_size=6)


def event(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}"


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(EVENTS, EVENTS, st.integers(1, 60), st.sampled_from(["\n\n", "\r\n\r\n"]), st.booleans())
def test_a_stream_passes_but_for_the_usage_that_z1_asked_for(
    before: list[str], after: list[str], size: int, end: str, is_added: bool
) -> None:
    """However the stream is cut into pieces; a last event without an end passes too."""
    usage = event(choices=[], usage=USAGE)
    sent = "".join(one + end for one in (*before, usage, *after)) + "data: rest"
    reader = UsageReader({}, is_added=is_added)
    passed = b"".join(reader.read_event_bytes(piece) for piece in cut(sent.encode(), size)) + reader.end(is_stream=True)
    assert passed.decode() == (sent.replace(usage + end, "") if is_added else sent)
    assert reader.counts() == COUNTED


def test_an_event_without_an_end_passes_in_linear_time() -> None:
    """Nine megabytes in small pieces took minutes of CPU when each piece was searched from the beginning."""
    sent, reader = b"data: " + b"x" * (9 << 20), UsageReader({}, is_added=True)
    passed = b"".join(map(reader.read_event_bytes, cut(sent, 300))) + reader.end(is_stream=True)
    assert (passed == sent, reader.counts()) == (True, UNKNOWN)


def test_usage_beside_a_choice_stays() -> None:
    both = (event(choices=[{"delta": {}}], usage=USAGE) + "\n\n").encode()
    reader = UsageReader({}, is_added=True)
    assert (reader.read_event_bytes(both), reader.counts()) == (both, COUNTED)


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ({"usage": USAGE}, COUNTED),
        ({"usage": {"prompt_tokens": 2, "completion_tokens": 3}}, UsageCounts(1, 2, 0, 0, 3)),
        (
            {"usage": {"completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 5}}},
            UsageCounts(1, 0, 3),
        ),
        ({"usage": {"prompt_tokens": "2", "completion_tokens": -3, "completion_tokens_details": 1}}, UsageCounts(1)),
        ({"usage": None}, UNKNOWN),
        ({"choices": []}, UNKNOWN),
        (["usage"], UNKNOWN),
    ],
)
def test_a_whole_response_is_read(value: Any, counts: UsageCounts) -> None:
    data, reader = json.dumps(value).encode(), UsageReader({}, is_added=False)
    assert b"".join(map(reader.read_body_bytes, cut(data, 5))) + reader.end(is_stream=False) == data
    assert reader.counts() == counts


def test_usage_is_asked_for_where_the_client_does_not() -> None:
    assert ask_for_usage({"stream": True}) == ({"stream": True, "stream_options": {"include_usage": True}}, True)
    more = {"include_usage": False, "x": 1}
    asked, is_added = ask_for_usage({"stream": True, "stream_options": more})
    assert (asked["stream_options"], is_added) == ({"include_usage": True, "x": 1}, True)
    for body in (
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": "?"},
        {"stream": False},
        {},
    ):
        assert ask_for_usage(body) == (body, False)
    assert UsageReader({"n": 3}, is_added=False).counts() == UsageCounts(3, uncounted_replies=3)
