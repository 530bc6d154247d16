"""Tests of z1.serve.app: routes, streams and errors, with real requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.serve.conftest import Served, chunks, serving
from tests.serve.scripts import ANSWER, ASK, FORCED, HINT, PREFIX, THOUGHT, next_token, scripted
from z1.engines.scripted import ScriptedEngine
from z1.serve.runtime.service import ServerLimits


def test_a_chat_completion_within_its_budget(served: Served) -> None:
    reply = served.post(**ASK, thinking_token_budget=12)
    assert reply.status_code == 200
    (choice,) = reply.json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": THOUGHT[:12] + HINT + FORCED}
    assert choice["finish_reason"] == "stop"
    budget = choice["budget"]
    assert (budget["limit"], budget["used"], budget["reason"]) == (12, 12, "budget")
    counts = reply.json()["usage"]
    assert counts["completion_tokens"] == 12 + len(HINT) + len(FORCED) + 1
    assert counts["completion_tokens_details"] == {"reasoning_tokens": 12 + len(HINT)}
    assert reply.headers["x-request-id"] == reply.json()["id"]


def test_separate_reasoning_without_a_budget(served: Served) -> None:
    message = served.post(**ASK, separate_reasoning=True).json()["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] == THOUGHT
    assert message["content"] == ANSWER


def joined(events: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    """The reply that a client assembles from a stream."""
    reply: dict[str, Any] = {"content": "", "reasoning": "", "finish": None}
    for choice in (choice for event in events for choice in event["choices"] if choice["index"] == index):
        reply["content"] += choice["delta"].get("content") or ""
        assert choice["delta"].get("reasoning") == choice["delta"].get("reasoning_content")
        reply["reasoning"] += choice["delta"].get("reasoning") or ""
        reply["finish"] = choice["finish_reason"] or reply["finish"]
        reply["budget"] = {name: one for name, one in choice.get("budget", {}).items() if name != "answer_ms"}
    return reply


SETTINGS: list[dict[str, Any]] = [
    {},
    {"thinking_budget": 0},
    {"thinking_budget": 7, "separate_reasoning": True},
    {"n": 3, "thinking_budget": 30},
    {"max_tokens": 120, "answer_tokens": 4},
    {"answer_tokens": 0, "thinking_budget": 9},
    {"thinking_budget": 9, "stop": ["}"]},
    {"separate_reasoning": True, "include_reasoning": False},
]


@pytest.mark.parametrize("body", SETTINGS)
def test_a_stream_equals_the_whole_response(served: Served, body: dict[str, Any]) -> None:
    whole = served.post(**ASK, **body).json()
    stream = served.post(**ASK, **body, stream=True, stream_options={"include_usage": True})
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, last = chunks(stream.text.splitlines())
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    for choice in whole["choices"]:
        message, budget = choice["message"], choice["budget"]
        budget.pop("answer_ms")
        assert joined(events, choice["index"]) == {
            "content": message["content"],
            "reasoning": message.get("reasoning", ""),
            "finish": choice["finish_reason"],
            "budget": budget,
        }


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_token_ids_are_returned_on_request(served: Served, path: str) -> None:
    ask = ASK if "chat" in path else {"model": "scripted", "prompt": list(map(ord, "why?"))}
    body = {**ask, "thinking_budget": 7, "return_token_ids": True}
    (choice,) = served.post(path, **body).json()["choices"]
    assert choice["token_ids"] == [*map(ord, THOUGHT[:7] + HINT + FORCED), 3]
    events = chunks(served.post(path, **body, stream=True).text.splitlines())
    assert [token for e in events for token in e["choices"][0].get("token_ids", [])] == choice["token_ids"]
    assert "token_ids" not in served.post(path, **{**body, "return_token_ids": False}).text


@pytest.mark.parametrize("separate", [False, True])
def test_logprobs_of_sampled_content_streamed_and_whole(served: Served, separate: bool) -> None:
    body = {**ASK, "thinking_budget": 7, "logprobs": True, "top_logprobs": 2, "separate_reasoning": separate}
    (choice,) = served.post(**body).json()["choices"]
    logprobs = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in logprobs) == ("" if separate else THOUGHT[:7]) + FORCED
    assert {one["logprob"] for one in logprobs} == {0.0}
    assert all([best["token"] for best in one["top_logprobs"]] == [one["token"]] for one in logprobs)
    events = chunks(served.post(**body, stream=True).text.splitlines())
    parts = [event["choices"][0]["logprobs"] for event in events]
    assert [one for part in parts if part for one in part["content"]] == logprobs


def test_logprobs_of_a_text_completion_have_offsets(served: Served) -> None:
    body = {"model": "scripted", "prompt": "why?", "thinking_budget": 7, "logprobs": 0}
    (choice,) = served.post("/v1/completions", **body).json()["choices"]
    logprobs = choice["logprobs"]
    assert [choice["text"][at] for at in logprobs["text_offset"]] == logprobs["tokens"] == [*THOUGHT[:7], *FORCED]
    events = chunks(served.post("/v1/completions", **body, stream=True).text.splitlines())
    parts = [event["choices"][0]["logprobs"] for event in events]
    assert [at for part in parts if part for at in part["text_offset"]] == logprobs["text_offset"]


def test_stop_tokens_of_the_model_and_of_the_request(served: Served) -> None:
    def text_and_finish(**body: Any) -> tuple[str, str]:
        reply = served.post("/v1/completions", model="scripted", prompt="why?", **body)
        assert reply.status_code == 200, reply.text
        (choice,) = reply.json()["choices"]
        return choice["text"], choice["finish_reason"]

    assert text_and_finish(max_tokens=200) == (THOUGHT + ANSWER, "stop")
    assert text_and_finish(max_tokens=200, stop_token_ids=[ord("e")]) == ("l", "stop")
    whole = len(THOUGHT + ANSWER)
    assert text_and_finish(max_tokens=whole + 2, ignore_eos=True) == (THOUGHT + ANSWER + 2 * "\x03", "length")
    assert text_and_finish(max_tokens=200, ignore_eos=True, stop_token_ids=[ord("7")]) == (THOUGHT + PREFIX, "stop")
    assert "stop_token_ids: got token id -1" in served.post(**ASK, stop_token_ids=[-1]).text


def test_a_stream_has_many_chunks() -> None:
    """apfel 100, ROCm/ATOM 1711, speak-gpt 162: no usage unasked, and a choice in every chunk."""
    with serving(scripted(token_delay_s=0.004), limits=ServerLimits(stream_interval=0.02)) as slow:
        events = chunks(slow.post(**ASK, stream=True).text.splitlines())
    pieces = [event["choices"][0]["delta"].get("content", "") for event in events]
    assert "".join(pieces) == THOUGHT + ANSWER
    assert len(list(filter(None, pieces))) > 5
    assert all("usage" not in event and event["choices"] for event in events)


def test_the_choices_of_one_seed_differ_and_are_the_same_again() -> None:
    """togethercomputer/together-py 214: seed with n."""
    seeds: list[tuple[int, int]] = []

    class Seeds(ScriptedEngine):
        async def open(self, prompt: Sequence[int], sampling: Any) -> Any:
            seeds.append((sampling.seed_at(0), sampling.sample))
            return await super().open(prompt, sampling)

    with serving(Seeds(next_token)) as server:
        for _ in range(2):
            assert server.post(**ASK, n=3, seed=4, temperature=1).status_code == 200
    assert len(set(seeds)) == len({seed for seed, _ in seeds}) == 3 and seeds[:3] == seeds[3:]


def test_text_completions(served: Served) -> None:
    whole = served.post("/v1/completions", model="scripted", prompt="why?", max_tokens=30).json()
    assert whole["choices"][0]["text"] == THOUGHT[:30]
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["choices"][0]["budget"]["reason"] is None
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    cut = served.post("/v1/completions", model="scripted", prompt="why?", max_tokens=99, stop="see").json()
    assert (cut["choices"][0]["text"], cut["choices"][0]["finish_reason"]) == ("let us ", "stop")
    many = served.post("/v1/completions", model="scripted", prompt=["why?", "so?"], n=2, max_tokens=6).json()
    assert [choice["text"] for choice in many["choices"]] == ["let us"] * 4
    events = chunks(
        served.post(
            "/v1/completions", model="scripted", prompt="why?", stream=True, thinking_budget=5
        ).text.splitlines()
    )
    assert "".join(event["choices"][0]["text"] for event in events) == THOUGHT[:5] + HINT + FORCED


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"bogus": 1}, 400, "bogus: unknown field"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "this server does not support it"),
        ({"max_tokens": 20, "thinking_budget": 9}, 400, "20 tokens, hint and answer need"),
        ({"max_tokens": 20, "thinking_budget": 9, "stream": True}, 400, "20 tokens, hint and answer need"),
        ({"model": "gpt-9"}, 404, "use scripted"),
        ({"messages": "why?"}, 400, "messages"),
        ({"thinking_budget": 5, "reasoning_effort": "huge"}, 400, "choose one of"),
        (
            {"messages": [{"role": "user", "content": "x" * 5000 + "?"}]},
            400,
            "maximum context length is 4096 tokens",
        ),
        ({"n": 300}, 400, "n: "),
    ],
)
def test_errors_have_openais_format(served: Served, body: dict[str, Any], status: int, message: str) -> None:
    reply = served.post(**{**ASK, **body})
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]
    assert reply.json()["error"]["type"] in ("invalid_request_error", "not_found_error")
    assert served.idle()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": NaN}', b"[" * 5000])
def test_invalid_bodies_are_rejected(served: Served, content: bytes) -> None:
    reply = served.client.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_errors_of_other_routes_and_methods(served: Served) -> None:
    for reply, status in ((served.get("/nowhere"), 404), (served.get("/v1/completions"), 405)):
        assert reply.status_code == status
        assert reply.json()["error"]["message"]


def test_models_health_and_openapi(served: Served) -> None:
    assert [model["id"] for model in served.get("/v1/models").json()["data"]] == ["scripted"]
    assert served.get("/v1/models/scripted").json()["id"] == "scripted"
    assert served.get("/v1/models/other").status_code == 404
    assert served.get("/health").json() == {"status": "ok", "running": 0}
    paths = served.get("/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/completions", "/v1/chat/completions/control"} <= paths.keys()
    assert "thinking_token_budget" in served.get("/openapi.json").text


def test_metrics() -> None:
    with serving(scripted()) as server:
        server.post(**ASK, thinking_budget=12)
        server.post(**ASK)
        server.post(**ASK, bogus=1)
        text = server.get("/metrics").text
    assert 'z1_thoughts_total{reason="budget"} 1.0' in text
    assert 'z1_forced_total{reason="budget"} 1.0' in text
    assert 'z1_thoughts_total{reason="natural"} 1.0' in text
    assert f'z1_tokens_total{{bucket="thought"}} {12.0 + len(THOUGHT)}' in text
    assert f'z1_tokens_total{{bucket="hint"}} {float(len(HINT))}' in text
    assert 'z1_requests_total{route="/v1/chat/completions",status="200"} 2.0' in text
    assert 'z1_requests_total{route="/v1/chat/completions",status="400"} 1.0' in text
    assert "z1_time_to_answer_seconds_count 2.0" in text
    assert "z1_running_replies 0.0" in text


def test_control_ends_a_thought_once() -> None:
    def control(server: Served, name: str) -> dict[str, Any]:
        answer = server.post("/v1/chat/completions/control", id=name, action="reasoning_end").json()
        assert (answer["id"], answer["action"]) == (name, "reasoning_end")
        return dict(answer)

    with serving(scripted(token_delay_s=0.2)) as server:
        with server.client.stream(
            "POST", "/v1/chat/completions", json={**ASK, "stream": True, "reasoning_control": True}
        ) as s:
            lines = s.iter_lines()
            name = json.loads(next(lines).removeprefix("data: "))["id"]
            assert control(server, name) == {"id": name, "action": "reasoning_end", "success": True, "message": None}
            assert control(server, name)["success"] is False
            events = chunks(list(lines))
        assert joined(events)["budget"]["reason"] == "control"
        assert joined(events)["content"].endswith(HINT + FORCED)
        assert "no running reply has this id" in control(server, name)["message"]
        with server.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}) as s:
            lines = s.iter_lines()
            name = json.loads(next(lines).removeprefix("data: "))["id"]
            assert "reasoning_control: true" in control(server, name)["message"]


def test_a_client_can_set_the_request_id(served: Served) -> None:
    mine = served.client.post("/v1/chat/completions", json=ASK, headers={"X-Request-Id": "mine-1"})
    assert mine.json()["id"] == "chatcmpl-mine-1"
    odd = served.client.post("/v1/chat/completions", json=ASK, headers={"X-Request-Id": "a b"})
    assert odd.json()["id"] != "chatcmpl-a b"


def test_a_hint_in_the_history_is_ignored(served: Served) -> None:
    """The budget applies to the new thought only."""
    old = THOUGHT[:5] + HINT + FORCED
    messages = [
        {"role": "user", "content": "so?"},
        {"role": "assistant", "content": old, "reasoning": "hm"},
        *ASK["messages"],
    ]
    reply = served.post(**{**ASK, "messages": messages}, thinking_budget=9).json()
    assert reply["choices"][0]["budget"]["used"] == 9
    assert reply["choices"][0]["message"]["content"] == THOUGHT[:9] + HINT + FORCED


def thinks_again(context: Sequence[int]) -> int:
    """A reply with a closing think tag, an answer, and a second thought."""
    reply = "".join(map(chr, context)).rpartition("?<think>\n")[2]
    whole = "hm</think>7<think>no</think>8"
    return ord(whole[len(reply)]) if len(reply) < len(whole) else 3


@pytest.mark.parametrize("stream", [True, False])
def test_a_second_thought_after_the_answer_is_answer(stream: bool) -> None:
    """No reasoning follows content."""
    with serving(ScriptedEngine(thinks_again, profile="qwen3")) as server:
        reply = server.post(**ASK, stream=stream)
        events = chunks(reply.text.splitlines()) if stream else []
        message = joined(events) if stream else reply.json()["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ("hm", "7<think>no</think>8")
    fields = [name for event in events for name in event["choices"][0]["delta"] if name in ("reasoning", "content")]
    assert "reasoning" not in fields[fields.index("content", 1) :] if stream else not fields


def test_special_tokens_in_a_question_stay_text(served: Served) -> None:
    reply = served.post(**{**ASK, "messages": [{"role": "user", "content": "<|im_end|>why?"}]})
    assert reply.status_code == 200
    assert PREFIX in reply.json()["choices"][0]["message"]["content"]
