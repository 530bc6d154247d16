"""Tests of z1.serve.api.request_parser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.serve.scripts import scripted
from z1.engines import Engine
from z1.engines.scripted import ScriptedEngine
from z1.errors import UserError
from z1.families import AnswerKind
from z1.serve.api.budget import Budget
from z1.serve.api.request_parser import ParsedRequest, RequestDefaults, parse_request
from z1.serve.api.schema import ChatRequest, CompletionRequest, Request

ASK = {"model": "m", "messages": [{"role": "user", "content": "why?"}]}

DEFAULTS = RequestDefaults()


def chat(defaults: RequestDefaults = DEFAULTS, profile: str = "z1-tiny", **body: Any) -> ParsedRequest:
    return parse_request(ChatRequest.model_validate({**ASK, **body}), scripted(profile=profile), defaults)


def text(prompt: Any = "why?", defaults: RequestDefaults = DEFAULTS, **body: Any) -> ParsedRequest:
    request = CompletionRequest.model_validate({"model": "m", "prompt": prompt, **body})
    return parse_request(request, scripted(), defaults)


def token_ids(prompt: str) -> tuple[int, ...]:
    return tuple(map(ord, prompt))


def test_a_conversation_becomes_one_generation_per_choice() -> None:
    parsed = chat(n=3, seed=5, temperature=0.5, top_p=0.9, top_k=4, stop="x", stream=True, reasoning_control=True)
    assert [request.sampling.sample for request in parsed.generations] == [0, 1, 2]
    assert {request.prompt_token_ids for request in parsed.generations} == {token_ids("why?")}
    sampling = parsed.generations[0].sampling
    assert (sampling.seed, sampling.temperature, sampling.top_p, sampling.top_k) == (5, 0.5, 0.9, 4)
    assert sampling.stop_token_ids == {3}
    assert parsed.generations[0].stop_strings == ("x",)
    assert (parsed.prompt_tokens, parsed.stream, parsed.include_usage, parsed.reasoning_control) == (
        4,
        True,
        False,
        True,
    )


def test_missing_settings_get_the_servers_defaults() -> None:
    generations = chat(RequestDefaults(thinking_budget=30, temperature=0.25)).generations
    assert generations[0].sampling.temperature == 0.25
    assert generations[0].budget.thinking_budget == 30
    assert chat(RequestDefaults(thinking_budget=30), thinking_budget=-1).generations[0].budget.thinking_budget is None
    assert chat().generations[0].sampling.seed != chat().generations[0].sampling.seed
    assert chat(top_k=-1).generations[0].sampling.top_k == 0


def test_a_budget_is_parsed_completely() -> None:
    parsed = chat(thinking_budget=5, max_completion_tokens=200, answer_tokens=9, hint="so:", deadline_ms=250)
    assert parsed.generations[0].budget == Budget(5, 9, 200, "so:", 0.25, True)


def test_the_answer_kind_is_part_of_the_budget_and_is_refused_where_it_has_no_effect() -> None:
    assert chat(thinking_budget=5, answer_kind="code").generations[0].budget == Budget(5, answer_kind=AnswerKind.CODE)
    assert chat(answer_kind="letter").generations[0].budget.answer_kind is AnswerKind.LETTER  # thinks by default
    with pytest.raises(UserError, match="answer_kind: got code together with a hint"):
        chat(answer_kind="code", hint="so:")
    with pytest.raises(UserError, match="answer_kind: got number; set a thinking budget as well"):
        chat(profile="plain", answer_kind="number")
    with pytest.raises(ValueError, match="answer_kind"):
        chat(answer_kind="poem")


def test_thinking_by_default_depends_on_the_profile_and_the_route() -> None:
    assert chat().generations[0].budget == Budget(may_cut=True)
    assert chat(profile="plain").generations[0].budget == Budget(has_thinking=False)
    assert chat(profile="plain", deadline_ms=5).generations[0].budget.has_thinking
    assert text().generations[0].budget == Budget(max_tokens=16, has_thinking=False)
    assert text(max_tokens=40).generations[0].budget == Budget(max_tokens=40, has_thinking=False)
    assert text(thinking_budget=40).generations[0].budget == Budget(40)
    assert text(defaults=RequestDefaults(thinking_budget=7)).generations[0].budget == Budget(7, may_cut=True)


def test_prompts_of_text_completions() -> None:
    assert [request.prompt_token_ids for request in text(["why?", "how"], n=2).generations] == [
        token_ids("why?")
    ] * 2 + [token_ids("how")] * 2
    assert text([1, 2]).generations[0].prompt_token_ids == (1, 2)
    assert [request.prompt_token_ids for request in text([[1], [2, 3]]).generations] == [(1,), (2, 3)]
    assert text([[1], [2, 3]]).prompt_tokens == 3


def test_reasoning_is_separate_with_think_tags_or_on_request() -> None:
    assert [chat(profile=name).separate_reasoning for name in ("z1-tiny", "qwen3")] == [False, True]
    assert chat(separate_reasoning=True).separate_reasoning
    assert not chat(profile="qwen3", separate_reasoning=False).separate_reasoning
    assert not chat(profile="qwen3", include_reasoning=False).include_reasoning
    assert not chat(profile="qwen3", reasoning={"exclude": True}).include_reasoning


def test_developer_becomes_system_and_the_last_question_is_formatted() -> None:
    engine = scripted()
    engine.tokenizer.chat_template = "{{ messages }}"
    body = {"model": "m", "messages": [{"role": "developer", "content": "a"}, {"role": "user", "content": "b"}]}
    rendered: list[list[dict[str, str]]] = []
    engine.tokenizer.apply_chat_template = lambda messages, **_: rendered.append(messages) or "x"  # type: ignore[func-returns-value, method-assign]
    parse_request(ChatRequest.model_validate(body), engine, RequestDefaults(format_question=str.upper))
    assert rendered == [[{"role": "system", "content": "a"}, {"role": "user", "content": "B"}]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"stream_options": {"include_usage": True}}, "add stream: true"),
        ({"top_logprobs": 3}, "add logprobs: true"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "give one of them, or the same value"),
        ({"include_reasoning": False}, "add separate_reasoning"),
        ({"answer_tokens": 0, "hint": "so"}, "leave one of them out"),
        ({"messages": [{"role": "user", "content": " "}]}, "ask something"),
        ({"thinking_budget": 1, "reasoning_max_tokens": 2}, "give one of them, or the same value"),
    ],
)
def test_invalid_chat_requests_are_rejected(body: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        chat(**body)


@pytest.mark.parametrize(
    ("prompt", "body", "message"),
    [
        ("", {}, "give text or token ids"),
        ([], {}, "give text or token ids"),
        (["a", ""], {}, "give text or token ids"),
        ([-5], {}, "token id -5"),
        ("a", {"separate_reasoning": True}, "split the text at budget.offsets"),
    ],
)
def test_invalid_text_completions_are_rejected(prompt: Any, body: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        text(prompt, **body)


def test_the_minimum_applies_to_the_thought_or_without_thinking_to_the_reply() -> None:
    def make_engine(profile: str = "z1-tiny") -> Engine:
        engine = ScriptedEngine(lambda context: 3, profile=profile)
        engine.capabilities = replace(engine.capabilities, max_forbidden_length=1)
        return engine

    def minimum(kind: type[Request], engine: Engine | None = None, **body: Any) -> int:
        rest = {"prompt": "why?"} if kind is CompletionRequest else {"messages": ASK["messages"]}
        request: Any = kind.model_validate({"model": "m", **rest, **body})
        return parse_request(request, engine or make_engine(), DEFAULTS).generations[0].budget.min_thinking_tokens

    assert minimum(ChatRequest, min_thinking_tokens=5) == 5
    assert minimum(ChatRequest, min_thinking_tokens=0, min_tokens=0) == 0
    assert minimum(CompletionRequest, min_tokens=5) == 5
    assert minimum(CompletionRequest, min_thinking_tokens=5) == 5
    with pytest.raises(UserError, match="or give a thinking budget above 0"):
        minimum(ChatRequest, min_thinking_tokens=5, thinking_budget=0)
    with pytest.raises(UserError, match="set min_thinking_tokens"):
        minimum(ChatRequest, min_tokens=5)
    for engine in (scripted(), make_engine("qwen3")):  # its closing think tag is eight tokens here
        with pytest.raises(UserError, match="cannot forbid the tokens"):
            minimum(ChatRequest, engine, min_thinking_tokens=5)


def test_logprobs_of_both_routes_and_of_an_engine_without_them() -> None:
    assert chat().generations[0].sampling.logprobs is chat(logprobs=False).generations[0].sampling.logprobs is None
    assert chat(logprobs=True).generations[0].sampling.logprobs == 0
    assert chat(logprobs=True, top_logprobs=4).generations[0].sampling.logprobs == 4
    assert text(logprobs=0).generations[0].sampling.logprobs == 0
    assert text(logprobs=0).logprobs and not text().logprobs
    engine = scripted()
    engine.capabilities = replace(engine.capabilities, has_logprobs=False)
    with pytest.raises(UserError, match="engine of scripted does not return them"):
        parse_request(ChatRequest.model_validate({**ASK, "logprobs": True}), engine, DEFAULTS)


def test_ignore_eos_needs_an_engine_with_token_ids() -> None:
    engine = scripted()
    engine.capabilities = replace(engine.capabilities, has_token_ids=False)
    with pytest.raises(UserError, match="returns text, not token ids"):
        parse_request(ChatRequest.model_validate({**ASK, "ignore_eos": True}), engine, DEFAULTS)
    assert chat(ignore_eos=True).generations[0].sampling.stop_token_ids == frozenset()
    assert chat(ignore_eos=True, stop_token_ids=[7]).generations[0].sampling.stop_token_ids == {7}
