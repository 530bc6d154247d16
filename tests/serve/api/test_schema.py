"""Is what a request says taken as it is meant, and is nothing dropped in silence?"""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.completion_create_params import CompletionCreateParamsBase as TextParamsBase
from pydantic import ValidationError

from z1.serve.api.budget import EFFORTS, HINTS, SWITCHES, TOKENS
from z1.serve.api.schema import LABELS, NEUTRAL, ChatRequest, CompletionRequest, ControlRequest, Request

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "why?"}]}


def refused(kind: type[Request], **body: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({**CHAT, **body} if kind is ChatRequest else {"model": "m", "prompt": "why", **body})
    return str(caught.value)


def test_every_parameter_of_openai_is_taken_or_known() -> None:
    """What the openai client can send is never an unknown word: it is kept, neutral, or refused by name."""
    known = {*ChatRequest.model_fields, *NEUTRAL, *LABELS}
    beyond = {"audio", "function_call", "moderation", "prediction", "prompt_cache_options", "prompt_cache_retention"}
    beyond |= {"web_search_options"}
    assert CompletionCreateParamsBase.__annotations__.keys() - known <= beyond
    assert TextParamsBase.__annotations__.keys() - {*CompletionRequest.model_fields, *NEUTRAL, *LABELS} <= {"stream"}


@pytest.mark.parametrize("name", [*TOKENS, *EFFORTS, *HINTS, *SWITCHES])
def test_every_name_of_a_budget_can_be_said(name: str) -> None:
    first, _, inner = name.partition(".")
    field = ChatRequest.model_fields[first]
    assert not inner or any(inner in getattr(kind, "model_fields", {}) for kind in field.annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_what_cannot_be_kept_is_taken_where_it_asks_for_nothing_and_refused_where_it_does(name: str) -> None:
    harmless = {
        "best_of": 1, "length_penalty": 1, "repetition_penalty": 1.0, "tool_choice": "auto", "suffix": "",
        "parallel_tool_calls": True, "response_format": {"type": "text"}, "modalities": ["text"],
        "verbosity": "medium", "logit_bias": {}, "tools": [], "functions": [], "bad_words": [],
        "add_generation_prompt": True,
    }  # fmt: skip
    ChatRequest.model_validate({**CHAT, name: harmless.get(name, 0)})
    ChatRequest.model_validate({**CHAT, name: None})
    assert f"{name}: this server cannot keep it" in refused(ChatRequest, **{name: {"asks": "something"}})


@pytest.mark.parametrize(
    ("body", "said"),
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
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "half of a character"),
        ({"hint": "\udfff"}, "half of a character"),
        ({"stop": ["\ud800"]}, "half of a character"),
        ({"min_thinking_tokens": -1}, "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_refused(body: dict[str, Any], said: str) -> None:
    assert said in refused(ChatRequest, **body)


def test_content_in_parts_is_their_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert asked.messages[0].text == "ab"


def test_a_prompt_may_be_text_or_ids_one_or_many() -> None:
    for prompt in ("why", ["why", "how"], [1, 2], [[1], [2, 3]]):
        assert CompletionRequest.model_validate({"model": "m", "prompt": prompt}).prompt == prompt
    refused(CompletionRequest, prompt={"text": "why"})


def test_a_control_names_its_action() -> None:
    assert ControlRequest.model_validate({"id": "x", "action": "reasoning_end", "model": "m"}).id == "x"
    with pytest.raises(ValidationError):
        ControlRequest.model_validate({"id": "x", "action": "stop"})
