"""Tests of z1.serve.api.schema."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from z1.serve.api.budget import BUDGET_FIELDS, EFFORT_FIELDS, HINT_FIELDS, SWITCH_FIELDS
from z1.serve.api.schema import ChatRequest, CompletionRequest, ControlRequest, Request

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "why?"}]}


def rejection(kind: type[Request], **body: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({**CHAT, **body} if kind is ChatRequest else {"model": "m", "prompt": "why", **body})
    return str(caught.value)


@pytest.mark.parametrize("name", [*BUDGET_FIELDS, *EFFORT_FIELDS, *HINT_FIELDS, *SWITCH_FIELDS])
def test_every_budget_field_is_in_the_schema(name: str) -> None:
    first, _, inner = name.partition(".")
    field = ChatRequest.model_fields[first]
    assert not inner or any(inner in getattr(kind, "model_fields", {}) for kind in field.annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"thinking_tokens": 5}, "Extra inputs"),
        ({"thinking_token_budget": -2}, "greater than or equal to -1"),
        ({"thinking_token_budget": 2.5}, "valid integer"),
        ({"thinking_token_budget": "5"}, "valid integer"),
        ({"thinking_token_budget": True}, "valid integer"),
        ({"thinking": {"budget": 5}}, "Extra inputs"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"temperature": float("nan")}, "finite"),
        ({"n": 17}, "less than or equal to 16"),
        ({"stop": [""]}, "1 to 500 characters"),
        ({"stop": ["x"] * 17}, "at most 16"),
        ({"messages": []}, "at least 1"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "text"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "lone surrogate"),
        ({"hint": "\udfff"}, "lone surrogate"),
        ({"stop": ["\ud800"]}, "lone surrogate"),
        ({"min_thinking_tokens": -1}, "greater than or equal to 0"),
    ],
)
def test_invalid_values_are_rejected(body: dict[str, Any], message: str) -> None:
    assert message in rejection(ChatRequest, **body)


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert request.messages[0].content == "ab"


def test_a_prompt_is_one_or_several_texts_or_token_sequences() -> None:
    for prompt in ("why", ["why", "how"], [1, 2], [[1], [2, 3]]):
        assert CompletionRequest.model_validate({"model": "m", "prompt": prompt}).prompt == prompt
    rejection(CompletionRequest, prompt={"text": "why"})


def test_a_control_request_has_an_action() -> None:
    assert ControlRequest.model_validate({"id": "x", "action": "reasoning_end", "model": "m"}).id == "x"
    with pytest.raises(ValidationError):
        ControlRequest.model_validate({"id": "x", "action": "stop"})
