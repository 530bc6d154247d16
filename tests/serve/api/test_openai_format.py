"""Tests of z1.serve.api.openai_format, with the types of the openai package."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types import Completion as TextCompletion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from z1.errors import EngineFault, UserError
from z1.serve.api.openai_format import ChatFormat, Choice, CompletionFormat, error_body, sse_event, usage
from z1.think import Ledger

NASTY = 'quote " slash \\ line \n paragraphs \u2028 \u2029 \x85 \x0b \x0c \x1c \x1e smile 🙂 nul \x00'
COUNTS = usage(4, [Ledger(thought=3, hint=2, answer=1, stop=1), Ledger(thought=1)])


def data(sent: bytes) -> Any:
    head, _, body = sent.decode().partition(" ")
    assert head == "data:"
    assert body.endswith("\n\n")
    assert len(body[:-2].splitlines()) == 1
    return json.loads(body)


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_an_event_is_one_line_however_a_client_splits_lines(character: str) -> None:
    """openai-python 1230, modelscope/evalscope 1642, langgenius/dify 39008: U+2028 in an event breaks its JSON."""
    text = f"a{character}b"
    chat, completion = ChatFormat("x", f"m{character}"), CompletionFormat("x", "m")
    sent = [chat.text_chunk(0, ("content", text)), completion.text_chunk(0, ("content", text))]
    sent += [chat.probe_chunk(0, {"answer": text}), chat.usage_chunk(COUNTS), sse_event(error_body(text, "x"))]
    assert all(character not in one.decode() for one in sent)
    assert data(sent[0])["choices"][0]["delta"]["content"] == data(sent[1])["choices"][0]["text"] == text
    assert [data(one) for one in sent[2:]]


def test_usage_counts_reasoning_inside_completion() -> None:
    assert COUNTS == {
        "prompt_tokens": 4,
        "completion_tokens": 8,
        "total_tokens": 12,
        "completion_tokens_details": {"reasoning_tokens": 6},
    }


@pytest.mark.parametrize("include_usage", [False, True])
def test_chat_chunks_have_openais_types(include_usage: bool) -> None:
    chat = ChatFormat("x", 'm"', include_usage=include_usage)
    sent = [chat.first_chunk(1), chat.text_chunk(1, ("reasoning", NASTY)), chat.text_chunk(1, ("content", NASTY))]
    sent += [chat.final_chunk(1, "stop", {"used": 3}), chat.usage_chunk(COUNTS)]
    chunks = [ChatCompletionChunk.model_validate(data(one), strict=True) for one in sent]
    assert {chunk.id for chunk in chunks} == {"chatcmpl-x"}
    assert chunks[0].choices[0].delta.role == "assistant"
    thought = chunks[1].choices[0].delta.model_extra
    assert thought == {"reasoning_content": NASTY, "reasoning": NASTY}
    assert (chunks[1].choices[0].delta.content, chunks[2].choices[0].delta.content) == (None, NASTY)
    assert chunks[3].choices[0].finish_reason == "stop"
    assert chunks[3].choices[0].model_extra == {"budget": {"used": 3}}
    assert chunks[4].choices == []
    assert chunks[4].usage is not None
    assert chunks[4].usage.completion_tokens_details is not None
    assert chunks[4].usage.completion_tokens_details.reasoning_tokens == 6
    assert all(("usage" in data(one)) is (include_usage or one is sent[-1]) for one in sent)


def test_a_chat_completion_has_openais_types_and_no_empty_reasoning() -> None:
    choices = [Choice("hm", "7", "stop", {"budget": {"used": 1}}), Choice("", "8", "length", {})]
    whole = ChatCompletion.model_validate(ChatFormat("x", "m").response_body(choices, COUNTS), strict=True)
    first, second = whole.choices
    assert (first.message.content, first.finish_reason) == ("7", "stop")
    assert first.message.model_extra == {"reasoning_content": "hm", "reasoning": "hm"}
    assert (first.model_extra, second.model_extra) == ({"budget": {"used": 1}}, {})
    assert (second.index, second.message.model_extra, second.finish_reason) == (1, {}, "length")
    assert whole.usage is not None


def test_text_completions_have_openais_types() -> None:
    text = CompletionFormat("x", "m")
    assert text.first_chunk(0) == b""
    chunks = [
        data(text.text_chunk(0, ("content", NASTY))),
        data(text.final_chunk(0, "length", {})),
        data(text.usage_chunk(COUNTS)),
    ]
    assert chunks[0]["choices"][0]["text"] == NASTY
    assert chunks[1]["choices"][0]["finish_reason"] == "length"
    whole = TextCompletion.model_validate(text.response_body([Choice("", "7", "stop", {})], COUNTS), strict=True)
    assert (whole.id, whole.object, whole.choices[0].text) == ("cmpl-x", "text_completion", "7")


def test_errors_have_openais_format() -> None:
    ours = error_body(UserError("n", 0, "give 1 or more"), param="n")["error"]
    assert ours == {
        "message": "n: got 0; give 1 or more", "type": "invalid_request_error", "param": "n", "code": None
    }  # fmt: skip
    assert error_body(EngineFault("it broke"))["error"]["type"] == "engine_error"
    assert data(sse_event(error_body("x", "y")))["error"]["type"] == "y"
