"""Tests of z1.serve.api.responses and its wire format, with the types of the openai package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from pydantic import TypeAdapter

from tests.serve.api.openai_values import parameters
from tests.serve.conftest import Served, named_events, serving
from tests.serve.scripts import scripted
from z1.serve.api.parameters import IGNORED
from z1.serve.api.responses import ResponsesRequest
from z1.serve.api.signature import Signer

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SIGNER = Signer(b"k" * 32)
NO_ITEMS: dict[str, Any] = {}
PARAMETERS = parameters(ResponseCreateParamsBase)
BODY: dict[str, Any] = {"model": "scripted", "input": "why?", "thinking_budget": 40}


@pytest.fixture(scope="module")
def thinking() -> Iterator[Served]:
    with serving(scripted(profile="qwen3")) as server:
        yield server


def stream(server: Served, **fields: Any) -> list[dict[str, Any]]:
    """The events of a stream, each of which fits its type, numbered from 0."""
    events = named_events(server.post("/v1/responses", **{**BODY, **fields}, stream=True))
    for number, event in enumerate(events):
        assert event["sequence_number"] == number
        EVENT.validate_python(event)
    return events


def whole(server: Served, **fields: Any) -> dict[str, Any]:
    reply = server.post("/v1/responses", **{**BODY, **fields})
    assert reply.status_code == 200, reply.text
    value: dict[str, Any] = reply.json()
    Response.model_validate(value)
    return value


def without_ids(value: Any) -> Any:
    """A value without what differs between two replies."""
    if isinstance(value, list):
        return [without_ids(one) for one in value]
    if isinstance(value, dict):
        names = ("id", "item_id", "created_at", "completed_at", "answer_ms")
        return {name: without_ids(one) for name, one in value.items() if name not in names}
    return value


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"thinking_budget": 0},
        {"include_reasoning": False},
        {"reasoning": {"effort": "low", "summary": "auto"}, "thinking_budget": 9},
        {"max_output_tokens": 180},
        {"include": ["reasoning.encrypted_content"]},
        {"stop": "."},
        {"return_token_ids": True, "token_ledger": True},
    ],
)
def test_a_stream_has_openais_events_and_ends_with_the_whole_response(thinking: Served, fields: dict[str, Any]) -> None:
    events, expected = stream(thinking, **fields), whole(thinking, **fields)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert without_ids(events[-1]["response"]) == without_ids(expected)
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert items == events[-1]["response"]["output"]
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    assert added == [item["id"] for item in items]
    for item in items:
        deltas = [
            event["delta"] for event in events if event["type"].endswith(".delta") and event["item_id"] == item["id"]
        ]
        parts = item.get("content") or item.get("summary")
        assert "".join(deltas) == parts[0]["text"]


def test_a_response_says_what_was_thought_and_why_it_ended(thinking: Served) -> None:
    response = whole(thinking, metadata={"a": "b"}, instructions="be brief", store=True)
    thought, message = response["output"]
    assert thought["content"][0]["text"].startswith("let us see. ") and thought["summary"] == []
    assert message["content"][0]["type"] == "output_text"
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] >= 40
    assert (response["budget"]["used"], response["store"], response["metadata"]) == (40, True, {"a": "b"})
    cut = whole(thinking, thinking_budget=-1, max_output_tokens=50, answer_tokens=0)
    assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert cut["output"][-1]["status"] == "incomplete"
    summary = whole(thinking, reasoning={"summary": "auto"})["output"][0]
    assert summary["summary"][0]["text"] == thought["content"][0]["text"] and "content" not in summary


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_every_value_of_a_parameter_is_honoured_or_rejected_by_name(thinking: Served, name: str) -> None:
    for value in PARAMETERS[name][:60]:
        reply = thinking.post("/v1/responses", **{**BODY, name: value})
        if reply.status_code != 200:
            assert reply.status_code == (404 if name == "model" else 400), (value, reply.text)
            assert reply.json()["error"]["param"].partition(".")[0] == name, (value, reply.text)
        else:
            assert name in {*ResponsesRequest.model_fields, *ResponsesRequest.no_ops, *IGNORED} or value in (
                None,
                "",
                [],
                {},
                False,
                0,
            )


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        (
            {"previous_response_id": "resp_1"},
            "previous_response_id",
            "this server stores no conversations; send the items",
        ),
        ({"conversation": {"id": "c"}}, "conversation", "this server stores no conversations"),
        ({"background": True}, "background", "does not support it"),
        ({"truncation": "auto"}, "truncation", "does not support it"),
        ({"tools": [{"type": "web_search"}]}, "tools.0", "type web_search"),
        ({"tools": [{"type": "function", "name": "f"}]}, "tools", "does not support it"),
        ({"text": {"format": {"type": "json_object"}}}, "text", "does not support it"),
        ({"include": ["message.output_text.logprobs"]}, "include.0", "reasoning.encrypted_content"),
        ({"input": []}, "input", "at least 1 item"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input", "ask something"),
        ({"input": " "}, "input", "ask something"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0.id", "x, an item that this server does not have"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content", "type input_image"),
        ({"input": [{"role": "assistant", "content": "a"}]}, "input", "end with a user message"),
        ({"max_output_tokens": 5}, "max_output_tokens", "hint and answer need"),
        ({"thinking_budget": 5, "reasoning": {"max_tokens": 6}}, "reasoning.max_tokens", "together with"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    thinking: Served, fields: dict[str, Any], param: str, message: str
) -> None:
    reply = thinking.post("/v1/responses", **{**BODY, **fields})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param
    assert message in reply.json()["error"]["message"]


def messages(items: Any, **fields: Any) -> list[dict[str, Any]]:
    request = ResponsesRequest.model_validate({"model": "m", "input": items, **fields}).chat_request(
        SIGNER, NO_ITEMS.get
    )
    return [message.model_dump(exclude_none=True) for message in request.messages]


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "4"}]}


def test_items_become_messages() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    items = [
        {"role": "developer", "content": "short"},
        {"role": "user", "content": [{"type": "input_text", "text": "why?"}]},
        thought,
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        CALL,
        {**CALL, "call_id": "c2"},
        OUTPUT,
        {**OUTPUT, "call_id": "c2"},
        {**thought, "encrypted_content": SIGNER.sign("hm")},
        CALL,
        OUTPUT,
    ]
    function = {"name": "f", "arguments": "{}"}
    first, second = ({"id": name, "type": "function", "function": function} for name in ("c1", "c2"))
    assert messages(items, instructions="be kind") == [
        {"role": "system", "content": "be kind\n\nshort"},
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [first, second], "reasoning": "hm"},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
        {"role": "tool", "content": "4", "tool_call_id": "c2"},
        {"role": "assistant", "content": "", "tool_calls": [first], "reasoning": "hm"},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
    ]


def test_a_thought_with_a_foreign_signature_is_refused(thinking: Served) -> None:
    user = {"role": "user", "content": "why?"}
    first = whole(thinking, include=["reasoning.encrypted_content"])["output"]
    assert whole(thinking, input=[user, *first, user])
    first[0]["content"][0]["text"] += "!"
    reply = thinking.post("/v1/responses", **{**BODY, "input": [user, *first, user]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input.1.encrypted_content")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_an_item_may_be_named_instead_of_sent(thinking: Served, is_streamed: bool) -> None:
    user = {"role": "user", "content": "why?"}
    response = stream(thinking)[-1]["response"] if is_streamed else whole(thinking)
    references = [{"type": "item_reference", "id": item["id"]} for item in response["output"]]
    untyped = [{"id": item["id"]} for item in response["output"]]
    sent = whole(thinking, input=[user, *response["output"], user])
    for named in (references, untyped):
        assert whole(thinking, input=[user, *named, user])["usage"] == sent["usage"]
    not_kept = whole(thinking, store=False)
    assert not_kept["store"] is False
    reply = thinking.post("/v1/responses", **{**BODY, "input": [user, {"id": not_kept["output"][0]["id"]}, user]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input.1.id")
