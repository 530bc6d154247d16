"""Tests of z1.serve.api.schema."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.completion_create_params import CompletionCreateParamsBase as TextParamsBase
from pydantic import ValidationError

from z1.serve.api.budget import BUDGET_FIELDS, EFFORT_FIELDS, HINT_FIELDS, SWITCH_FIELDS
from z1.serve.api.schema import INFORMATIONAL, NO_OP_VALUES, ChatRequest, CompletionRequest, ControlRequest, Request

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "why?"}]}


def rejection(kind: type[Request], **body: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({**CHAT, **body} if kind is ChatRequest else {"model": "m", "prompt": "why", **body})
    return str(caught.value)


def test_every_parameter_of_openai_is_known() -> None:
    """No parameter of the openai client is an unknown field: each is supported, a no-op, or rejected by name."""
    known = {*ChatRequest.model_fields, *NO_OP_VALUES, *INFORMATIONAL}
    beyond = {"audio", "function_call", "moderation", "prediction", "prompt_cache_options", "prompt_cache_retention"}
    beyond |= {"web_search_options"}
    assert CompletionCreateParamsBase.__annotations__.keys() - known <= beyond
    assert TextParamsBase.__annotations__.keys() - {*CompletionRequest.model_fields, *NO_OP_VALUES, *INFORMATIONAL} <= {
        "stream"
    }


@pytest.mark.parametrize("name", [*BUDGET_FIELDS, *EFFORT_FIELDS, *HINT_FIELDS, *SWITCH_FIELDS])
def test_every_budget_field_is_in_the_schema(name: str) -> None:
    first, _, inner = name.partition(".")
    field = ChatRequest.model_fields[first]
    assert not inner or any(inner in getattr(kind, "model_fields", {}) for kind in field.annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", sorted(NO_OP_VALUES))
def test_unsupported_parameters_are_accepted_only_at_their_no_op_value(name: str) -> None:
    harmless = {
        "best_of": 1, "length_penalty": 1, "repetition_penalty": 1.0, "tool_choice": "auto", "suffix": "",
        "parallel_tool_calls": True, "response_format": {"type": "text"}, "modalities": ["text"],
        "verbosity": "medium", "logit_bias": {}, "tools": [], "functions": [], "bad_words": [],
        "add_generation_prompt": True,
    }  # fmt: skip
    ChatRequest.model_validate({**CHAT, name: harmless.get(name, 0)})
    ChatRequest.model_validate({**CHAT, name: None})
    assert f"{name}: this server does not support it" in rejection(ChatRequest, **{name: {"asks": "something"}})


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
        ({"messages": [{"role": "tool", "content": "x"}]}, "system"),
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
    assert request.messages[0].text == "ab"


def test_a_prompt_is_one_or_several_texts_or_token_sequences() -> None:
    for prompt in ("why", ["why", "how"], [1, 2], [[1], [2, 3]]):
        assert CompletionRequest.model_validate({"model": "m", "prompt": prompt}).prompt == prompt
    rejection(CompletionRequest, prompt={"text": "why"})


def test_a_control_request_has_an_action() -> None:
    assert ControlRequest.model_validate({"id": "x", "action": "reasoning_end", "model": "m"}).id == "x"
    with pytest.raises(ValidationError):
        ControlRequest.model_validate({"id": "x", "action": "stop"})
