"""What upstreams send: events of every dialect, and faults in one line."""

from __future__ import annotations

from typing import Any

import pytest

from z1.engines.remote.replies import Ending, Piece, read_ending, read_pieces
from z1.errors import EngineFault


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        (None, None),
        ("", Ending.UNCLEAR),
        (" ", Ending.UNCLEAR),
        ("length", Ending.LENGTH),
        ("MAX_TOKENS", Ending.LENGTH),
        *((word, Ending.STOP) for word in ("stop", "STOP", "eos", "eos_token", "content_filter", "end_turn", "new")),
    ],
)
def test_every_word_but_a_failure_ends_a_reply(word: Any, ending: Ending | None) -> None:
    """openai/openai-dotnet 267, vibrantlabsai/ragas 1548, TGI 2344: `eos`, `eos_token` and "" are refused."""
    assert read_ending(word) is ending


@pytest.mark.parametrize("word", ["error", "Abort", 5, True, ["stop"]])
def test_a_failure_is_a_fault(word: Any) -> None:
    with pytest.raises(EngineFault, match="the upstream"):
        read_ending(word)


@pytest.mark.parametrize("event", [{}, {"choices": None}, {"choices": []}, {"choices": {}}, {"choices": [None, 3]}])
def test_events_without_choices_have_no_pieces(event: Any) -> None:
    """AndraxDev/speak-gpt 162: a first event with empty choices breaks the client."""
    assert list(read_pieces(event, None)) == []


def test_text_is_found_wherever_servers_put_it() -> None:
    for choice in (
        {"text": "hi"},
        {"delta": {"content": "hi"}},
        {"message": {"content": "hi"}, "text": None},
        {"delta": {"content": [{"type": "text", "text": "h"}, {"text": "i"}, {"type": "image"}]}},
        {"delta": None, "text": "hi", "index": 0},
    ):
        assert list(read_pieces({"choices": [choice, {"index": 1, "text": "no"}]}, None)) == [Piece("hi")]


def test_a_thought_of_its_own_is_read_once() -> None:
    """MoonshotAI/kimi-code 3928: a thought that comes under both names is doubled."""
    delta = {"reasoning_content": "hm", "reasoning": "hm", "content": None}
    assert list(read_pieces({"choices": [{"delta": delta}]}, None)) == [Piece("", "hm")]
    assert list(read_pieces({"choices": [{"delta": {"reasoning": "hm"}}]}, None)) == [Piece("", "hm")]


@pytest.mark.parametrize("ids", [[-1], [True], ["5"], [1.5], [100], {"a": 1}, "5", 7])
def test_token_ids_that_are_none_are_a_fault(ids: Any) -> None:
    with pytest.raises(EngineFault, match=r"the upstream sent .* token"):
        list(read_pieces({"choices": [{"token_ids": ids}]}, 100))


@pytest.mark.parametrize("text", [5, True, {"a": 1}, "x" * (2 << 20)])
def test_text_that_is_none_is_a_fault(text: Any) -> None:
    with pytest.raises(EngineFault, match="the upstream sent"):
        list(read_pieces({"choices": [{"text": text}]}, None))
