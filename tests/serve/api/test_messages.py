"""Tests of z1.serve.api.messages and its wire format, with the types of the anthropic package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types import ErrorResponse, Message, MessageTokensCount, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsBase
from pydantic import TypeAdapter

from tests.serve.api.openai_values import parameters
from tests.serve.conftest import Served, named_events, serving
from tests.serve.scripts import scripted
from z1.serve.api.messages import MessagesRequest
from z1.serve.api.request_parser import chat_fields
from z1.serve.api.signature import Signer

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
SIGNER = Signer(b"k" * 32)
PARAMETERS = parameters(MessageCreateParamsBase)
USER = {"role": "user", "content": "why?"}
BODY: dict[str, Any] = {"model": "scripted", "max_tokens": 900, "messages": [USER], "thinking_budget": 40}


@pytest.fixture(scope="module")
def thinking() -> Iterator[Served]:
    with serving(scripted(profile="qwen3")) as server:
        yield server


def stream(server: Served, **fields: Any) -> dict[str, Any]:
    """The message that the events of a stream make up, each of which fits its type."""
    message: dict[str, Any] = {}
    reply = server.post("/v1/messages", **{**BODY, **fields}, stream=True)
    for event in named_events(reply):
        if event["type"] == "ping":
            continue
        EVENT.validate_python(event)
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
            case "content_block_delta":
                assert event["index"] == len(message["content"]) - 1
                add(message["content"][-1], event["delta"])
            case "message_delta":
                rest = {name: value for name, value in event.items() if name not in ("type", "delta")}
                message |= {**event["delta"], **rest}
    assert event["type"] == "message_stop"
    return message


def add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    field, text = next((name, value) for name, value in delta.items() if name != "type")
    if field == "partial_json":
        block["json"] = block.get("json", "") + text
        return
    assert delta["type"] == f"{field}_delta"
    block[field] += text


def whole(server: Served, **fields: Any) -> dict[str, Any]:
    reply = server.post("/v1/messages", **{**BODY, **fields})
    assert reply.status_code == 200, reply.text
    value: dict[str, Any] = reply.json()
    Message.model_validate(value)
    assert reply.headers["request-id"] == value["id"]
    return value


def comparable(message: dict[str, Any]) -> dict[str, Any]:
    budget = {name: value for name, value in message["budget"].items() if name != "answer_ms"}
    return {**message, "id": "", "budget": budget}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"thinking_budget": 0},
        {"thinking_budget": None, "thinking": {"type": "disabled"}},
        {"thinking_budget": None, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {"thinking_budget": None, "thinking": {"type": "enabled", "budget_tokens": 9, "display": "omitted"}},
        {"max_tokens": 180},
        {"stop_sequences": ["\n\n", "zzz"]},
        {"return_token_ids": True, "token_ledger": True},
    ],
)
def test_a_stream_is_the_whole_message(thinking: Served, fields: dict[str, Any]) -> None:
    assert comparable(stream(thinking, **fields)) == comparable(whole(thinking, **fields))


def test_a_message_says_what_was_thought_and_why_it_ended(thinking: Served) -> None:
    message = whole(thinking, system=[{"type": "text", "text": "be kind"}], metadata={"user_id": "x"})
    thought, text = message["content"]
    assert thought["thinking"].startswith("let us see. ") and text["type"] == "text"
    assert message["usage"]["output_tokens_details"]["thinking_tokens"] >= 40
    assert (message["stop_reason"], message["budget"]["used"]) == ("end_turn", 40)
    stopped = whole(thinking, stop_sequences=["zzz", "\n"])
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "\n")
    cut = whole(thinking, thinking_budget=-1, max_tokens=50, answer_tokens=0)
    assert cut["stop_reason"] == "max_tokens"


def test_tokens_are_counted_as_the_model_sees_them(thinking: Served) -> None:
    body = {name: BODY[name] for name in ("model", "messages")}
    counted = thinking.post("/v1/messages/count_tokens", **body)
    count = MessageTokensCount.model_validate(counted.json()).input_tokens
    assert count == whole(thinking)["usage"]["input_tokens"]
    assert thinking.post("/v1/messages/count_tokens", **{**body, "model": "x"}).status_code == 404


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_every_value_of_a_parameter_is_honoured_or_rejected_by_name(thinking: Served, name: str) -> None:
    for value in PARAMETERS[name][:60]:
        reply = thinking.post("/v1/messages", **{**BODY, "thinking_budget": None, name: value})
        if reply.status_code != 200:
            assert reply.status_code == (404 if name == "model" else 400), (value, reply.text)
            assert reply.json()["error"]["message"].startswith(name), (value, reply.text)
        else:
            known = {*MessagesRequest.model_fields, *MessagesRequest.no_ops, *MessagesRequest.ignored}
            is_empty = not any(value.values()) if isinstance(value, dict) else value in (None, "", [])
            assert name in known or is_empty, value


@pytest.mark.parametrize(
    ("fields", "status", "kind", "message"),
    [
        ({"max_tokens": None}, 400, "invalid_request_error", "max_tokens: got nothing"),
        ({"model": "x"}, 404, "not_found_error", "model: got x"),
        ({"tools": [{"name": "f", "input_schema": {}}]}, 400, "invalid_request_error", "tools: got"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, 400, "invalid_request_error", "type bash_20250124"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 400, "invalid_request_error", "type image"),
        ({"messages": [USER, {"role": "assistant", "content": "a"}]}, 400, "invalid_request_error", "messages.1.role"),
        ({"max_tokens": 5}, 400, "invalid_request_error", "max_tokens: got 5 tokens"),
        ({"mcp_servers": [{"url": "x"}]}, 400, "invalid_request_error", "mcp_servers: unknown field"),
        ({"stop_sequences": [""]}, 400, "invalid_request_error", "stop_sequences.0"),
        ({"context_management": {"edits": [1]}}, 400, "invalid_request_error", "context_management"),
    ],
)
def test_errors_have_anthropics_format(
    thinking: Served, fields: dict[str, Any], status: int, kind: str, message: str
) -> None:
    reply = thinking.post("/v1/messages", **{**BODY, **fields})
    assert reply.status_code == status
    error = ErrorResponse.model_validate(reply.json())
    assert (error.error.type, reply.headers["request-id"]) == (kind, reply.json()["request_id"])
    assert message in error.error.message


def test_a_key_is_sent_as_x_api_key() -> None:
    with serving(scripted(), key="secret") as server:
        refused = server.post("/v1/messages", **BODY)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        headers = {"x-api-key": "secret", "anthropic-version": "2023-06-01", "anthropic-beta": "x"}
        assert server.client.post("/v1/messages?beta=true", json=BODY, headers=headers).status_code == 200


def test_a_thought_comes_back_with_its_signature(thinking: Served) -> None:
    first = whole(thinking)["content"]
    assert whole(thinking, messages=[USER, {"role": "assistant", "content": first}, USER])
    for change in ({"thinking": first[0]["thinking"] + "!"}, {"signature": "x"}, {"signature": None}):
        blocks = [{**first[0], **change}, *first[1:]]
        reply = thinking.post(
            "/v1/messages", **{**BODY, "messages": [USER, {"role": "assistant", "content": blocks}, USER]}
        )
        assert reply.status_code == 400
        assert reply.json()["error"]["message"].startswith("messages.1.content.0.signature: got a signature")


def messages(given: list[Any], **fields: Any) -> list[dict[str, Any]]:
    body = {"model": "m", "max_tokens": 9, "messages": given, **fields}
    request = MessagesRequest.model_validate(body).chat_request(SIGNER)
    return [message.model_dump(exclude_none=True) for message in request.messages]


def test_blocks_become_messages() -> None:
    text = {"type": "text", "text": "I look.", "citations": None, "cache_control": {"type": "ephemeral"}}
    thought = {"type": "thinking", "thinking": "hm", "signature": SIGNER.sign("hm")}
    uses = [{"type": "tool_use", "id": name, "name": "f", "input": {"é": 1}} for name in ("t1", "t2")]
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "4"}], "is_error": False},
        {"type": "tool_result", "tool_use_id": "t2"},
        {"type": "text", "text": "and?"},
    ]
    conversation = [
        USER,
        {"role": "assistant", "content": [thought, {"type": "redacted_thinking", "data": "x"}, text, *uses]},
        {"role": "user", "content": results},
    ]
    function = {"name": "f", "arguments": json.dumps({"é": 1}, ensure_ascii=False)}
    calls = [{"id": name, "type": "function", "function": function} for name in ("t1", "t2")]
    assert messages(conversation, system="be kind") == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": "I look.", "tool_calls": calls, "reasoning": "hm"},
        {"role": "tool", "content": "4", "tool_call_id": "t1"},
        {"role": "tool", "content": "", "tool_call_id": "t2"},
        {"role": "user", "content": "and?"},
    ]


def test_tools_and_formats_become_chat_fields() -> None:
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
    for choice, expected in (
        ({"type": "auto"}, "auto"),
        ({"type": "any", "disable_parallel_tool_use": True}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ):
        body = {"model": "m", "max_tokens": 9, "messages": [USER], "tools": [tool], "tool_choice": choice}
        fields = chat_fields(MessagesRequest.model_validate(body).chat_request(SIGNER))
        function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
        parallel = {"parallel_tool_calls": False} if choice["type"] == "any" else {}
        assert fields == {"tools": [{"type": "function", "function": function}], "tool_choice": expected, **parallel}
