"""Does a request become the orders that it means?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.serve.scripts import scripted
from z1.engines import Engine
from z1.engines.scripted import ScriptedEngine
from z1.errors import UserError
from z1.serve.api.budget import Budget
from z1.serve.api.request_parser import ParsedRequest, RequestDefaults, read
from z1.serve.api.schema import ChatRequest, CompletionRequest, Request

ASK = {"model": "m", "messages": [{"role": "user", "content": "why?"}]}


MANNERS = RequestDefaults()


def chat(defaults: RequestDefaults = MANNERS, profile: str = "z1-tiny", **body: Any) -> ParsedRequest:
    return read(ChatRequest.model_validate({**ASK, **body}), scripted(profile=profile), defaults)


def text(prompt: Any = "why?", defaults: RequestDefaults = MANNERS, **body: Any) -> ParsedRequest:
    asked = CompletionRequest.model_validate({"model": "m", "prompt": prompt, **body})
    return read(asked, scripted(), defaults)


def ids(prompt: str) -> tuple[int, ...]:
    return tuple(map(ord, prompt))


def test_a_conversation_becomes_an_order_a_choice() -> None:
    wanted = chat(n=3, seed=5, temperature=0.5, top_p=0.9, top_k=4, stop="x", stream=True, reasoning_control=True)
    assert [order.sampling.sample for order in wanted.generations] == [0, 1, 2]
    assert {order.prompt_token_ids for order in wanted.generations} == {ids("why?")}
    draws = wanted.generations[0].sampling
    assert (draws.seed, draws.temperature, draws.top_p, draws.top_k) == (5, 0.5, 0.9, 4)
    assert draws.stop_token_ids == {3}
    assert wanted.generations[0].stop == ("x",)
    assert (wanted.prompt_tokens, wanted.stream, wanted.usage, wanted.control) == (4, True, False, True)


def test_what_is_not_said_is_the_servers_manners() -> None:
    orders = chat(RequestDefaults(thinking_budget=30, temperature=0.25)).generations
    assert orders[0].sampling.temperature == 0.25
    assert orders[0].budget.thinking_budget == 30
    assert chat(RequestDefaults(thinking_budget=30), thinking_budget=-1).generations[0].budget.thinking_budget is None
    assert chat().generations[0].sampling.seed != chat().generations[0].sampling.seed
    assert chat(top_k=-1).generations[0].sampling.top_k == 0


def test_a_budget_is_read_whole() -> None:
    wanted = chat(thinking_budget=5, max_completion_tokens=200, answer_tokens=9, hint="so:", deadline_ms=250)
    assert wanted.generations[0].budget == Budget(5, 9, 200, "so:", 0.25, True)


def test_only_a_family_that_thinks_does_so_unasked_and_a_text_only_where_it_is_asked() -> None:
    assert chat().generations[0].budget == Budget()
    assert chat(profile="plain").generations[0].budget == Budget(thinks=False)
    assert chat(profile="plain", deadline_ms=5).generations[0].budget.thinks
    assert text().generations[0].budget == Budget(max_tokens=16, thinks=False)
    assert text(max_tokens=40).generations[0].budget == Budget(max_tokens=40, thinks=False)
    assert text(thinking_budget=40).generations[0].budget == Budget(40)
    assert text(defaults=RequestDefaults(thinking_budget=7)).generations[0].budget == Budget(7)


def test_texts_and_ids_one_or_many() -> None:
    assert [order.prompt_token_ids for order in text(["why?", "how"], n=2).generations] == [ids("why?")] * 2 + [
        ids("how")
    ] * 2
    assert text([1, 2]).generations[0].prompt_token_ids == (1, 2)
    assert [order.prompt_token_ids for order in text([[1], [2, 3]]).generations] == [(1,), (2, 3)]
    assert text([[1], [2, 3]]).prompt_tokens == 3


def test_thought_and_answer_stand_apart_where_there_is_a_fence_or_it_is_asked() -> None:
    assert [chat(profile=name).split for name in ("z1-tiny", "qwen3")] == [False, True]
    assert chat(separate_reasoning=True).split
    assert not chat(profile="qwen3", separate_reasoning=False).split
    assert not chat(profile="qwen3", include_reasoning=False).thoughts
    assert not chat(profile="qwen3", reasoning={"exclude": True}).thoughts


def test_developer_is_system_and_the_last_question_is_put_as_the_model_wants_it() -> None:
    engine = scripted()
    engine.tokenizer.chat_template = "{{ messages }}"
    asked = {"model": "m", "messages": [{"role": "developer", "content": "a"}, {"role": "user", "content": "b"}]}
    heard: list[list[dict[str, str]]] = []
    engine.tokenizer.apply_chat_template = lambda turns, **_: heard.append(turns) or "x"  # type: ignore[func-returns-value, method-assign]
    read(ChatRequest.model_validate(asked), engine, RequestDefaults(format_question=str.upper))
    assert heard == [[{"role": "system", "content": "a"}, {"role": "user", "content": "B"}]]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"stream_options": {"include_usage": True}}, "add stream: true"),
        ({"top_logprobs": 3}, "add logprobs: true"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "give one of them"),
        ({"include_reasoning": False}, "add separate_reasoning"),
        ({"answer_tokens": 0, "hint": "so"}, "leave one of them out"),
        ({"messages": [{"role": "user", "content": " "}]}, "ask something"),
        ({"thinking_budget": 1, "reasoning_max_tokens": 2}, "give one of them"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(body: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        chat(**body)


@pytest.mark.parametrize(
    ("prompt", "body", "said"),
    [
        ("", {}, "give a text"),
        ([], {}, "give a text"),
        (["a", ""], {}, "give a text"),
        ([-5], {}, "id -5"),
        ("a", {"separate_reasoning": True}, "read the offsets"),
    ],
)
def test_texts_that_cannot_be_are_refused(prompt: Any, body: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        text(prompt, **body)


def test_a_minimum_is_of_the_thought_where_there_is_one_and_of_the_reply_elsewhere() -> None:
    def able(profile: str = "z1-tiny") -> Engine:
        made = ScriptedEngine(lambda context: 3, profile=profile)
        made.capabilities = replace(made.capabilities, max_forbidden_length=1)
        return made

    def least(kind: type[Request], engine: Engine | None = None, **body: Any) -> int:
        rest = {"prompt": "why?"} if kind is CompletionRequest else {"messages": ASK["messages"]}
        asked: Any = kind.model_validate({"model": "m", **rest, **body})
        return read(asked, engine or able(), MANNERS).generations[0].budget.min_thinking_tokens

    assert least(ChatRequest, min_thinking_tokens=5) == 5
    assert least(ChatRequest, min_thinking_tokens=0, min_tokens=0) == 0
    assert least(CompletionRequest, min_tokens=5) == 5
    assert least(CompletionRequest, min_thinking_tokens=5) == 5
    with pytest.raises(UserError, match="or let it think"):
        least(ChatRequest, min_thinking_tokens=5, thinking_budget=0)
    with pytest.raises(UserError, match="give min_thinking_tokens"):
        least(ChatRequest, min_tokens=5)
    for engine in (scripted(), able("qwen3")):  # whose fence is eight ids here
        with pytest.raises(UserError, match="cannot be kept from ending"):
            least(ChatRequest, engine, min_thinking_tokens=5)


def test_logprobs_are_asked_for_in_two_ways_and_refused_by_an_engine_that_has_none() -> None:
    assert chat().generations[0].sampling.logprobs is chat(logprobs=False).generations[0].sampling.logprobs is None
    assert chat(logprobs=True).generations[0].sampling.logprobs == 0
    assert chat(logprobs=True, top_logprobs=4).generations[0].sampling.logprobs == 4
    assert text(logprobs=0).generations[0].sampling.logprobs == 0
    assert text(logprobs=0).logprobs and not text().logprobs
    engine = scripted()
    engine.capabilities = replace(engine.capabilities, has_logprobs=False)
    with pytest.raises(UserError, match="engine of scripted gives none"):
        read(ChatRequest.model_validate({**ASK, "logprobs": True}), engine, MANNERS)


def test_an_upstream_that_speaks_text_ends_where_it_likes() -> None:
    engine = scripted()
    engine.capabilities = replace(engine.capabilities, has_token_ids=False)
    with pytest.raises(UserError, match="speaks text"):
        read(ChatRequest.model_validate({**ASK, "ignore_eos": True}), engine, MANNERS)
    assert chat(ignore_eos=True).generations[0].sampling.stop_token_ids == frozenset()
    assert chat(ignore_eos=True, stop_token_ids=[7]).generations[0].sampling.stop_token_ids == {7}
