"""Tools in all three APIs, before an upstream that parses the calls: whole, streamed, with budgets kept by cutting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.engines.http_host import in_thread
from tests.serve import conftest as server
from tests.serve.api.test_messages import add
from tests.serve.tool_host import THOUGHT, ToolHost
from z1 import profiles
from z1.engines.remote.connection import Upstream
from z1.engines.remote.engine import ChatEngine, RemoteEngine
from z1.engines.scripted import Characters
from z1.serve.api.request_parser import RequestDefaults

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "string"}}}
QUESTIONS = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "It is 1."}]
QUESTIONS += [{"role": "user", "content": "and so?"}]
HINT = profiles.get_profile("qwen3").hint
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
TAG = len("</think>")


@contextmanager
def behind(host: ToolHost, profile: str = "qwen3", **settings: Any) -> Iterator[server.Served]:
    with in_thread(host) as url:
        engine = ChatEngine(Upstream(url, api="chat", **settings), Characters(), ("made", profile))
        with server.serving(engine, RequestDefaults(temperature=0.0)) as served:
            yield served
            assert served.idle()
    assert host.open == 0


def body(api: str, messages: list[Any], **fields: Any) -> dict[str, Any]:
    function = {"name": "look", "description": "d"}
    match api:
        case "chat":
            tools: Any = [{"type": "function", "function": {**function, "parameters": SCHEMA}}]
            return {"model": "made", "messages": messages, "tools": tools, **fields}
        case "responses":
            tools = [{"type": "function", **function, "parameters": SCHEMA}]
            return {"model": "made", "input": messages, "tools": tools, **fields}
    tools = [{**function, "input_schema": SCHEMA}]
    return {"model": "made", "messages": messages, "max_tokens": 5000, "tools": tools, **fields}


Reply = tuple[str, str, list[tuple[str, str, Any]], str, dict[str, Any]]
"""Thought, content, calls (id, name, arguments), why it ended, and the budget object."""


def ask(served: server.Served, api: str, messages: list[Any], *, stream: bool, **fields: Any) -> Reply:
    reply = served.post(PATHS[api], **body(api, messages, **fields), stream=stream)
    assert reply.status_code == 200, reply.text
    return {"chat": chat, "responses": responses, "messages": blocks}[api](reply, stream=stream)


def parsed(arguments: str) -> Any:
    """The arguments of a call; those of a reply that was cut are no JSON."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def chat(reply: Any, *, stream: bool) -> Reply:
    if not stream:
        (choice,) = reply.json()["choices"]
        message = choice["message"]
        calls = [(one["id"], one["function"]) for one in message.get("tool_calls", ())]
    else:
        choices = [one for event in server.chunks(reply.iter_lines()) for one in event["choices"]]
        choice = choices[-1]
        names = ("reasoning", "content")
        message = {name: "".join(one["delta"].get(name) or "" for one in choices) for name in names}
        deltas = [call for one in choices for call in one["delta"].get("tool_calls", ())]
        heads = [call for call in deltas if "id" in call]
        calls = []
        for head in heads:
            parts = [call["function"]["arguments"] for call in deltas if call["index"] == head["index"]]
            calls.append((head["id"], {"name": head["function"]["name"], "arguments": "".join(parts)}))
    found = [(name, one["name"], parsed(one["arguments"])) for name, one in calls]
    return message.get("reasoning", ""), message["content"] or "", found, choice["finish_reason"], choice["budget"]


def responses(reply: Any, *, stream: bool) -> Reply:
    value = server.named_events(reply)[-1]["response"] if stream else reply.json()
    thought, content, calls = "", "", []
    for item in value["output"]:
        match item["type"]:
            case "reasoning":
                thought += item["content"][0]["text"]
            case "message":
                content += item["content"][0]["text"]
            case "function_call":
                calls.append((item["call_id"], item["name"], parsed(item["arguments"])))
    end = {"completed": "tool_calls" if calls else "stop", "incomplete": "length"}[value["status"]]
    return thought, content, calls, end, value["budget"]


def blocks(reply: Any, *, stream: bool) -> Reply:
    value: dict[str, Any] = {"content": []}
    if stream:
        for event in server.named_events(reply):
            if event["type"] == "content_block_start":
                value["content"].append(event["content_block"])
            elif event["type"] == "content_block_delta":
                add(value["content"][-1], event["delta"])
            elif event["type"] == "message_delta":
                value |= {**event["delta"], "budget": event["budget"]}
    else:
        value = reply.json()
    texts = {"thinking": "", "text": ""}
    calls = []
    for block in value["content"]:
        if block["type"] == "tool_use":
            calls.append((block["id"], block["name"], parsed(block["json"]) if "json" in block else block["input"]))
        else:
            texts[block["type"]] += block[block["type"]]
    end = {"tool_use": "tool_calls", "end_turn": "stop", "max_tokens": "length"}[value["stop_reason"]]
    return texts["thinking"], texts["text"], calls, end, value["budget"]


@pytest.mark.parametrize("size", [1, 500])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", PATHS)
def test_a_thought_is_cut_exactly_before_a_tool_call(api: str, stream: bool, size: int) -> None:
    host = ToolHost(size=size)
    with behind(host) as served:
        for budget in (0, 5, 400):
            host.asked.clear()
            thought, content, calls, end, found = ask(served, api, QUESTIONS, stream=stream, thinking_budget=budget)
            assert calls == [("call_2", "look", {"n": "2"})]
            assert (end, content.strip(), found["precision"]) == ("tool_calls", "", "exact")
            assert found["used"] == min(budget, len(THOUGHT) + TAG)
            assert found["answer_tokens"] == len('look{"n": "2"}')
            if budget == 5:
                assert thought.startswith(THOUGHT[:5]) and found["reason"] == "budget"
                first, second = host.asked
                assert second["messages"][:-1] == first["messages"] and second["tools"] == first["tools"]
                assert second["messages"][-1]["content"].startswith(f"<think>\n{THOUGHT[:5]}")
            if budget == 400:
                assert (thought, found["reason"], len(host.asked)) == (THOUGHT, "natural", 1)


CALL = {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": '{"n": "2"}'}}
LOOPS: dict[str, list[Any]] = {
    "chat": [
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": THOUGHT},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
    ],
    "responses": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": THOUGHT}]},
        {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": '{"n": "2"}'},
        {"type": "function_call_output", "call_id": "call_2", "output": "two"},
    ],
}


def loop(served: server.Served, api: str) -> list[Any]:
    """The call of a tool and its result, as the API has them."""
    if api != "messages":
        return LOOPS[api]
    reply = served.post(PATHS[api], **body(api, QUESTIONS, thinking_budget=400)).json()
    result = {"type": "tool_result", "tool_use_id": "call_2", "content": "two"}
    return [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": [result]}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", PATHS)
def test_each_turn_of_a_tool_loop_thinks_within_its_own_budget(api: str, stream: bool) -> None:
    host = ToolHost()
    with behind(host) as served:
        messages = [*QUESTIONS, *loop(served, api)]
        host.asked.clear()
        thought, content, calls, end, budget = ask(served, api, messages, stream=stream, thinking_budget=7)
        assert (content.strip(), calls, end, budget["used"]) == ("It is 2.", [], "stop", 7)
        assert thought.startswith(THOUGHT[:7])
        sent = host.asked[0]["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "user", "assistant", "tool"]
        assert sent[3]["tool_calls"] == [CALL] and sent[3]["reasoning"] == sent[3]["reasoning_content"] == THOUGHT
        assert sent[4] == {"role": "tool", "content": "two", "tool_call_id": "call_2"}
        again = [*messages, {"role": "assistant", "content": "It is 2."}, {"role": "user", "content": "really?"}]
        host.asked.clear()
        assert ask(served, api, again, stream=stream, thinking_budget=7)[1].strip() == "It is 3."
        assert "reasoning" not in host.asked[0]["messages"][3]  # the loop has ended


@pytest.mark.parametrize("api", PATHS)
def test_deadlines_and_limits_hold_with_tools(api: str) -> None:
    host = ToolHost(thought="hm. " * 200)
    with behind(host) as served:
        *_, calls, end, budget = ask(served, api, QUESTIONS, stream=False, deadline_ms=0)
        assert (budget["reason"], end, calls[0][1]) == ("deadline", "tool_calls", "look")
        *_, end, budget = ask(served, api, QUESTIONS, stream=False, thinking_budget=3, answer_tokens=9)
        assert (end, budget["answer_tokens"]) == ("length", 9)


def test_a_budget_that_the_upstream_cannot_keep_is_refused() -> None:
    host = ToolHost(owner="somebody")
    for api, path in PATHS.items():
        with behind(host) as served:
            refused = served.post(path, **body(api, QUESTIONS, thinking_budget=5))
            assert refused.status_code == 400 and "has no field for it" in refused.text
            free = served.post(path, **body(api, QUESTIONS))
            assert free.status_code == 200 and "look" in free.text


def test_our_plug_in_keeps_a_budget_unless_z1_has_to_cut() -> None:
    host = ToolHost()
    with in_thread(host) as url:
        engine = RemoteEngine(Upstream(url, has_token_ids=True, has_windows=True), Characters(), ("made", "qwen3"))
        with server.serving(engine) as served:
            _, _, calls, _, budget = ask(served, "responses", QUESTIONS, stream=False, thinking_budget=5)
            assert host.asked[-1]["vllm_xargs"] == {"z1_thinking_budget": 5}
            assert (calls[0][2], budget["precision"], len(host.asked)) == ({"n": "2"}, "approximate", 1)
            budget = ask(served, "messages", QUESTIONS, stream=True, thinking_budget=5, deadline_ms=1e6)[4]
            assert "vllm_xargs" not in host.asked[-1] and len(host.asked) == 3
            assert (budget["used"], budget["precision"]) == (5, "exact")


def test_a_schema_is_the_upstreams_too() -> None:
    host = ToolHost()
    with behind(host) as served:
        schema = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}
        fields = {"model": "made", "thinking_budget": 5}
        asked = [{"role": "user", "content": "why?"}]
        first = served.post("/v1/responses", **fields, input="why?", text={"format": schema})
        config = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
        second = served.post("/v1/messages", **fields, max_tokens=900, messages=asked, output_config=config)
        assert first.status_code == second.status_code == 200
        for request in host.asked:
            assert request["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_tokens_are_counted_with_the_tools() -> None:
    with behind(ToolHost()) as served:
        without = {"model": "made", "messages": QUESTIONS}
        counts = [
            served.post("/v1/messages/count_tokens", **one).json()["input_tokens"]
            for one in (without, {"tools": body("messages", [])["tools"], **without})
        ]
        assert counts[1] > 0 and counts[0] > 0
