"""Whatever a server was paid for is a reply, in every dialect; only a body without a message is a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from z1.curate.teacher_log import TeacherLogWriter
from z1.curate.teacher_reply import parse


def body(message: dict[str, Any], end: Any = "stop", usage: Any = None) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": end}], "usage": usage}).encode()


@pytest.mark.parametrize(
    ("message", "thought", "text"),
    [
        ({"content": "a"}, "", "a"),
        ({"content": None, "reasoning_content": "t"}, "t", ""),
        ({"content": "a", "reasoning": "t"}, "t", "a"),
        ({"content": "a", "reasoning": {"content": "t"}}, "t", "a"),
        ({"content": "a", "reasoning_details": [{"type": "reasoning.text", "text": "t"}]}, "t", "a"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]}, "", "ab"),
        ({"content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}]}, "t", "a"),
        ({"content": [{"type": "thinking", "thinking": [{"text": "t", "type": "text"}]}, "a"]}, "t", "a"),
        ({"content": ""}, "", ""),
        ({"content": []}, "", ""),
        ({"content": None}, "", ""),
        ({}, "", ""),
        ({"content": "a\ud83d"}, "", "a\ufffd"),
        ({"content": "a", "reasoning_content": "\udc00"}, "\ufffd", "a"),
    ],
)
def test_text_and_thought_are_found_and_can_be_stored(
    message: dict[str, Any], thought: str, text: str, tmp_path: Path
) -> None:
    reply = parse("k", body(message))
    assert (reply.thought, reply.text, reply.end) == (thought, text, "stop")
    with TeacherLogWriter(tmp_path) as log:
        log.log_request("k")
        log.log_reply(reply)


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("eos_token", "stop"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("stop_sequence", "stop"),
        (True, "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        (False, "length"),
        ("content_filter", "refusal"),
        ("SAFETY", "refusal"),
        (None, ""),
        ("", ""),
        ("tool_calls", "tool_calls"),
    ],
)
def test_finish_reasons_of_every_dialect(said: Any, end: str) -> None:
    assert parse("k", body({"content": "a"}, said)).end == end


def test_a_refusal_is_a_reply() -> None:
    reply = parse("k", body({"content": None, "refusal": "I cannot."}))
    assert (reply.text, reply.end) == ("I cannot.", "refusal")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 5}, (3, 5)),
        ({"prompt_tokens": 3.0, "completion_tokens": 5.0}, (3, 5)),
        (None, (None, None)),
        ({}, (None, None)),
        ({"prompt_tokens": None, "completion_tokens": None}, (None, None)),
        ({"prompt_tokens": "3", "completion_tokens": -1}, (None, None)),
        ([1, 2], (None, None)),
    ],
)
def test_counts_that_a_server_does_not_give_are_unknown(usage: Any, counts: tuple[Any, Any]) -> None:
    reply = parse("k", body({"content": "a"}, usage=usage))
    assert (reply.prompt_tokens, reply.completion_tokens) == counts


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"null", b'{"choices": []}', b'{"choices": [{}]}'])
def test_a_body_without_a_message_is_a_fault(broken: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, IndexError, AttributeError)):
        parse("k", broken)
