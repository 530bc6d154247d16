"""Tests of z1.serve.api.parameters: what a client echoes, labels or leaves empty is no setting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serve.api.openai_values import chat_parameters, text_parameters
from tests.serve.api.test_schema import CHAT, rejection
from tests.serve.conftest import Served
from tests.serve.scripts import ASK
from z1.serve.api.body import Message
from z1.serve.api.parameters import ASSISTANT_VALUES, IGNORED, MESSAGE_LABELS, NO_OP_VALUES
from z1.serve.api.schema import ChatRequest, CompletionRequest

CHAT_PARAMETERS, TEXT_PARAMETERS = chat_parameters(), text_parameters()

OPENAI_IGNORED = {
    *("metadata", "moderation", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    *("safety_identifier", "service_tier", "store", "user"),
}
"""Parameters of the openai client that are ignored whatever their value: labels, and what concerns cost and speed."""


def test_every_parameter_of_openai_is_known() -> None:
    """A new version of the client shows here what is missing."""
    assert CHAT_PARAMETERS.keys() <= {*ChatRequest.model_fields, *NO_OP_VALUES, *IGNORED}
    assert TEXT_PARAMETERS.keys() <= {*CompletionRequest.model_fields, *NO_OP_VALUES, *IGNORED}
    assert (CHAT_PARAMETERS.keys() | TEXT_PARAMETERS.keys()) & IGNORED <= OPENAI_IGNORED
    assert not IGNORED & ({*ChatRequest.model_fields} | {*NO_OP_VALUES})


@pytest.mark.parametrize("name", sorted(CHAT_PARAMETERS))
def test_every_value_of_a_chat_parameter_is_honoured_or_rejected_by_name(served: Served, name: str) -> None:
    for value in CHAT_PARAMETERS[name]:
        check_answer(served, name, "/v1/chat/completions", {**ASK, name: value})


@pytest.mark.parametrize("name", sorted(TEXT_PARAMETERS))
def test_every_value_of_a_text_parameter_is_honoured_or_rejected_by_name(served: Served, name: str) -> None:
    for value in TEXT_PARAMETERS[name]:
        check_answer(served, name, "/v1/completions", {"model": "scripted", "prompt": "why?", name: value})


def check_answer(served: Served, name: str, path: str, body: dict[str, Any]) -> None:
    """The answer is 200, or an error that names the parameter; null and ignored parameters are always accepted."""
    required = name in ("model", "messages", "prompt")
    reply = served.post(path, **body)
    if name in IGNORED or (body[name] is None and not required):
        assert reply.status_code == 200, (body, reply.text)
    if reply.status_code != 200:
        assert reply.status_code == (404 if name == "model" else 400), (body, reply.text)
        assert reply.json()["error"]["param"].partition(".")[0] == name, (body, reply.text)


LABELS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.text(max_size=12), LABELS, max_size=6))
def test_whatever_an_assistant_message_echoes_changes_nothing(fields: dict[str, Any]) -> None:
    """razzant/ouroboros 33, HolmesGPT 1943, litellm 20334, vLLM 10463: a client sends the reply back as it came."""
    known = {*Message.model_fields, "reasoning_content", *ASSISTANT_VALUES}
    echo = {name: value for name, value in fields.items() if name not in known}
    request = ChatRequest.model_validate(
        {**CHAT, "messages": [{**echo, "role": "assistant", "content": "a"}, *CHAT["messages"]]}
    )
    assert request.messages[0].model_dump(exclude_none=True) == {"role": "assistant", "content": "a"}


@given(st.text(min_size=1, max_size=12), st.sampled_from([None, "", [], {}]))
def test_an_unknown_field_that_is_null_or_empty_is_absent_everywhere(name: str, value: Any) -> None:
    known = {*ChatRequest.model_fields, "web_search_options", "audio", "prompt_logprobs", "role", "content"}
    empty: dict[str, Any] = {} if name in known else {name: value}
    message = {**empty, **CHAT["messages"][0]}
    nested = dict.fromkeys(["thinking", "reasoning", "nvext", "custom_params", "chat_template_kwargs"], empty)
    request = ChatRequest.model_validate({**empty, **nested, **CHAT, "messages": [message]})
    expected = ChatRequest.model_validate({**CHAT, **{key: {} for key in nested}})
    assert request.model_dump() == expected.model_dump()


@pytest.mark.parametrize("name", sorted(ChatRequest.model_fields.keys() - {"model", "messages"}))
def test_a_null_is_an_absent_field(name: str) -> None:
    assert ChatRequest.model_validate({**CHAT, name: None}) == ChatRequest.model_validate(CHAT)


@pytest.mark.parametrize(
    "label",
    [
        {"prompt_cache_key": "a"},
        {"prompt_cache_retention": "24h"},
        {"prompt_cache_options": {"mode": "explicit"}},
        {"safety_identifier": "a", "service_tier": "flex", "metadata": {"a": "b"}, "user": "u"},
        {"moderation": {"model": "x"}, "session_id": "s", "request_id": "r", "cache_salt": "x", "priority": 5},
        {"litellm_session_id": "s", "keep_alive": "5m", "ttl": 60, "trace_id": "t"},
    ],
)
def test_labels_of_a_request_are_ignored(served: Served, label: dict[str, Any]) -> None:
    """router-for-me/CLIProxyAPI 5068, anomalyco/opencode 45113: prompt_cache_* were refused."""
    plain = served.post(**ASK, thinking_budget=9).json()["choices"][0]["message"]
    assert served.post(**ASK, thinking_budget=9, **label).json()["choices"][0]["message"] == plain


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_labels_of_messages_and_of_their_parts_are_left_out(role: str) -> None:
    """TGI 1558, unslothai/unsloth 10937, vLLM 12864: a name; pollinations 10696: cache_control on parts."""
    labels = {name: {"type": "ephemeral"} for name in MESSAGE_LABELS - {"type"}}
    part = {**labels, "type": "text", "text": "a"}
    request = ChatRequest.model_validate({**CHAT, "messages": [{**labels, "role": role, "content": [part, part]}]})
    assert request.messages[0].model_dump(exclude_none=True) == {"role": role, "content": "aa"}


def test_the_thought_of_an_assistant_message_is_left_out_in_parts_too() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "reasoning", "text": "hm"},
    ]
    parts += [{"type": "output_text", "text": "a", "logprobs": [1]}, {"type": "refusal", "refusal": "b"}]
    echo = {"role": "assistant", "content": parts}
    assert ChatRequest.model_validate({**CHAT, "messages": [echo]}).messages[0].content == "ab"
    assert "type thinking" in rejection(ChatRequest, messages=[{**echo, "role": "user"}])


@pytest.mark.parametrize("name", sorted(ASSISTANT_VALUES))
def test_what_would_change_the_prompt_is_rejected_by_name(name: str) -> None:
    """lmstudio-bug-tracker 261, mistral-common 324: a tool call with null content; a prefix that is to be continued."""

    def echo(value: Any) -> list[dict[str, Any]]:
        return [{"role": "assistant", "content": None, name: value}, *CHAT["messages"]]

    for value in (None, [], {}, *ASSISTANT_VALUES[name]):
        ChatRequest.model_validate({**CHAT, "messages": echo(value)})
    for value in (True, [{"id": "call"}], {"id": "x"}):
        assert f"messages.0.{name}" in rejection(ChatRequest, messages=echo(value))


VLLM_DEFAULTS: dict[str, Any] = {
    "logprobs": False, "top_logprobs": 0, "n": 1, "stop": [], "stream": False, "tool_choice": "none",
    "include_reasoning": True, "parallel_tool_calls": True, "use_beam_search": False, "length_penalty": 1.0,
    "stop_token_ids": [], "include_stop_str_in_output": False, "ignore_eos": False, "min_tokens": 0,
    "skip_special_tokens": True, "spaces_between_special_tokens": True, "bad_words": [], "echo": False,
    "add_generation_prompt": True, "continue_final_message": False, "add_special_tokens": False, "priority": 0,
    "request_id": "x", "routed_experts_prompt_start": 0, "return_token_offsets": False, "mm_payload": "tensors",
    "stream_options": {"include_usage": False, "continuous_usage_stats": False},
}  # fmt: skip

SGLANG_DEFAULTS: dict[str, Any] = {
    "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "regex": None, "no_stop_trim": False,
    "separate_reasoning": False, "stream_reasoning": True, "rid": "x", "return_hidden_states": False,
}  # fmt: skip

LLAMA_CPP_DEFAULTS: dict[str, Any] = {
    "cache_prompt": True, "id_slot": -1, "n_predict": -1, "n_keep": 0, "n_probs": 0, "samplers": [], "mirostat": 0,
    "typical_p": 1.0, "repeat_penalty": 1.0, "dry_multiplier": 0.0, "xtc_probability": 0.0, "dynatemp_range": 0,
    "grammar": "", "max_tokens": -1, "reasoning_format": "auto", "timings_per_token": True, "return_progress": False,
}  # fmt: skip


@pytest.mark.parametrize("defaults", [VLLM_DEFAULTS, SGLANG_DEFAULTS, LLAMA_CPP_DEFAULTS])
def test_the_defaults_of_other_servers_are_accepted(served: Served, defaults: dict[str, Any]) -> None:
    reply, plain = served.post(**ASK, **defaults), served.post(**ASK)
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"] == plain.json()["choices"][0]["message"]


@pytest.mark.parametrize("name", sorted({*NO_OP_VALUES} - {"parallel_tool_calls", "tool_choice"}))
def test_unsupported_parameters_are_accepted_only_at_their_no_op_value(name: str) -> None:
    for value in (None, *NO_OP_VALUES[name]):
        assert ChatRequest.model_validate({**CHAT, name: value}) == ChatRequest.model_validate(CHAT)
    for value in ({"asks": "something"}, [1], 7):
        assert name in rejection(ChatRequest, **{name: value})


@pytest.mark.parametrize("name", ["parallel_tool_calls", "tool_choice"])
def test_settings_of_tools_ask_for_nothing_without_tools(served: Served, name: str) -> None:
    for value in (None, *NO_OP_VALUES[name]):
        assert served.post(**ASK, **{name: value}).status_code == 200
    for value in ({"asks": "something"}, [1], 7):
        assert name in rejection(ChatRequest, **{name: value})


def test_a_text_completion_begins_with_the_tokens_that_the_tokenizer_adds() -> None:
    body = {"model": "m", "prompt": "why"}
    CompletionRequest.model_validate({**body, "add_special_tokens": True})
    assert "add_special_tokens" in rejection(CompletionRequest, add_special_tokens=False)
