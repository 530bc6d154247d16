"""Hosts with chat completions alone: the thought is cut exactly, or the host keeps the budget, or it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.engines.chat_host import ANSWER, FORCED, THOUGHT, ChatHost
from tests.engines.http_host import in_thread, serving
from tests.serve import conftest as server
from z1 import profiles
from z1.engines.remote.connection import Upstream
from z1.engines.remote.engine import ChatEngine
from z1.engines.scripted import Characters
from z1.errors import EngineFault

HINT = profiles.get_profile("qwen3").hint
TAG = len("</think>")


@contextmanager
def z1(host: ChatHost, kind: str | None, profile: str = "qwen3") -> Iterator[server.Served]:
    with in_thread(host) as url:
        engine = ChatEngine(Upstream(url, api="chat", host=kind), Characters(), ("made", profile))
        with server.serving(engine) as served:
            yield served
            assert served.idle()
        assert host.open == 0


def ask(served: server.Served, *, stream: bool = False, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    """Thought, content and the `budget` object."""
    body: dict[str, Any] = {"model": "made", "messages": [{"role": "user", "content": "why?"}], "stream": stream}
    response = served.post(**body, **fields)
    assert response.status_code == 200, response.text
    if not stream:
        (choice,) = response.json()["choices"]
        return choice["message"].get("reasoning", ""), choice["message"]["content"], choice["budget"]
    choices = [choice for event in server.chunks(response.iter_lines()) for choice in event["choices"]]
    parts = ["".join(c["delta"].get(name) or "" for c in choices) for name in ("reasoning", "content")]
    return parts[0], parts[1], choices[-1]["budget"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tags", [False, True])
@pytest.mark.parametrize("size", [1, 4, 500])
def test_a_free_thought_and_its_answer_come_in_their_fields(size: int, tags: bool, stream: bool) -> None:
    with z1(ChatHost(tags=tags, size=size), "vllm") as served:
        thought, content, budget = ask(served, stream=stream)
        assert (thought, content) == (THOUGHT, ANSWER)
        assert (budget["used"], budget["reason"], budget["end"]) == (len(THOUGHT) + TAG, "natural", "stop")


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llama.cpp", "deepseek"])
@pytest.mark.parametrize("size", [1, 7, 500])
def test_a_thought_is_cut_exactly_and_the_answer_asked_for_with_it(size: int, kind: str) -> None:
    host = ChatHost(size=size, echoes=size == 7)
    with z1(host, kind) as served:
        for budget in (1, 20, len(THOUGHT) - 1):
            thought, content, seen = ask(served, thinking_budget=budget)
            assert thought == THOUGHT[:budget] + HINT.partition("</think>")[0]
            assert content.strip() == FORCED
            assert (seen["used"], seen["limit"], seen["precision"], seen["reason"]) == (
                budget,
                budget,
                "exact",
                "budget",
            )
        first, second = host.asked[-2:]
        assert "assistant" not in [message["role"] for message in first["messages"]]
        last = second["messages"][-1]
        said = last.get("reasoning_content", "") + last["content"]
        assert THOUGHT[:20] in said and "limited time" in said
        assert bool(last.get("prefix")) is (kind == "deepseek")
        assert second.get("continue_final_message", False) is (kind != "deepseek")


def test_a_stream_that_was_cut_is_closed() -> None:
    """ikawrakow/ik_llama.cpp 1929, ggml-org/llama.cpp 24496: a cancelled request frees nothing."""
    host = ChatHost(size=1, delay_s=0.01)
    with z1(host, "vllm") as served:
        ask(served, thinking_budget=3)
    assert host.sent[0] < len(THOUGHT)


def test_no_thinking_asks_for_the_answer_at_once() -> None:
    host = ChatHost()
    with z1(host, "vllm") as served:
        thought, content, budget = ask(served, thinking_budget=0)
        assert (thought.strip(), content.strip(), budget["used"]) == ("", FORCED, 0)
        assert len(host.asked) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_host_with_a_budget_field_keeps_it_approximately(stream: bool) -> None:
    host = ChatHost(budget_field="thinking_budget")
    with z1(host, "qwen") as served:
        thought, content, budget = ask(served, thinking_budget=20, stream=stream)
        assert (thought, content) == (THOUGHT[:22], ANSWER)
        assert (budget["asked"], budget["limit"], budget["precision"]) == (20, 20, "approximate")
        assert (budget["used"], budget["reason"], budget["hint_tokens"]) == (22 + TAG, "natural", 0)
        assert host.asked[-1]["thinking_budget"] == 20
        assert ask(served, stream=stream)[2]["precision"] == "exact"
        assert "thinking_budget" not in host.asked[-1]


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (None, {"thinking_budget": 5}, "thinking_budget: got 5; leave it out; the upstream (host other) has no field"),
        (None, {"reasoning_effort": "low"}, "has no field for it"),
        (None, {"deadline_ms": 5}, "deadline_ms: got a setting that cuts the thought"),
        ("qwen", {"hint": "so:"}, "hint: got a setting that cuts the thought"),
        ("qwen", {"answer_tokens": 5}, "does not continue a reply"),
        ("qwen", {"reasoning_control": True}, "reasoning_control"),
        ("anthropic", {"thinking_budget": 5}, "give 0, or at least 1024"),
        ("vllm", {"min_thinking_tokens": 5}, "min_thinking_tokens"),
    ],
)
def test_what_a_host_cannot_keep_is_refused(kind: str | None, fields: dict[str, Any], said: str) -> None:
    host = ChatHost()
    with z1(host, kind) as served:
        response = served.post(model="made", messages=[{"role": "user", "content": "why?"}], **fields)
        assert response.status_code == 400 and said in response.json()["error"]["message"]
        assert not host.asked
        text = served.post("/v1/completions", model="made", prompt="why?", thinking_budget=5)
        assert text.status_code == 400 and "use /v1/chat/completions" in text.text


def test_a_family_without_think_tags_is_refused() -> None:
    with z1(ChatHost(), "vllm", "z1") as served:
        message = [{"role": "user", "content": "why?"}]
        response = served.post(model="made", messages=message, thinking_budget=5)
        assert response.status_code == 400 and "think tags" in response.text


@pytest.mark.parametrize("kind", ["vllm", None])
def test_a_hosts_own_maximum_loses_nothing(kind: str | None) -> None:
    """With a host that continues, the reply goes on; with another it ends with what came."""
    host = ChatHost(max_tokens=30, size=4)
    with z1(host, kind) as served:
        thought, content, _ = ask(served)
        assert (thought, content) == ((THOUGHT, ANSWER) if kind else (THOUGHT[:30], ""))


def test_answer_now_and_deadlines_cut_the_thought() -> None:
    with z1(ChatHost(size=1), "vllm") as served:
        thought, content, budget = ask(served, deadline_ms=0)
        assert THOUGHT.startswith(thought.partition("\n\nConsidering")[0]) and content.strip() == FORCED
        assert budget["reason"] == "deadline"


def test_stop_strings_and_the_maximum_cut_the_answer() -> None:
    with z1(ChatHost(size=2), "vllm") as served:
        assert ask(served, stop=["7"])[1] == "It is "
        assert ask(served, thinking_budget=5, answer_tokens=4)[1].strip() == FORCED[:4]
        assert len(ask(served, max_tokens=300)[0]) == len(THOUGHT)


@pytest.mark.parametrize("stream", [False, True])
def test_a_status_of_the_host_reaches_the_client(stream: bool) -> None:
    host = ChatHost(statuses=[429])
    with z1(host, "vllm") as served:
        body: dict[str, Any] = {"model": "made", "messages": [{"role": "user", "content": "why?"}], "stream": stream}
        response = served.post(**body, thinking_budget=5)
        assert (response.status_code, response.headers["retry-after"]) == (429, "3")
        assert response.json()["error"]["code"] == "busy"


def test_a_chat_host_takes_no_prompt() -> None:
    async def run() -> None:
        async with serving(ChatHost()) as url:
            engine = ChatEngine(Upstream(url, api="chat", host="vllm"), Characters(), ("made", "qwen3"))
            async with engine:
                assert (engine.max_model_len, engine.upstream_model) == (900, "host")
                with pytest.raises(EngineFault, match="takes no prompt"):
                    await engine.open([97], None)  # type: ignore[arg-type]

    asyncio.run(run())
