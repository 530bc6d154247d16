"""Tests of z1.serve.runtime.service: limits, disconnects, failures and the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.serve.conftest import Served, chunks, serving
from tests.serve.scripts import ASK, next_token, scripted
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.runtime.service import ServerLimits


def test_beyond_the_limit_clients_get_429() -> None:
    with serving(scripted(token_delay_s=0.2), limits=ServerLimits(max_concurrent_requests=2)) as server:
        with server.client.stream("POST", "/v1/chat/completions", json={**ASK, "n": 2, "stream": True}) as stream:
            lines = stream.iter_lines()
            next(lines)
            busy = server.post(**ASK)
            assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
            assert busy.json()["error"]["type"] == "rate_limit_error"
        assert server.idle()
        assert server.post(**ASK, thinking_budget=0).status_code == 200
        assert "at most 2" in server.post(**ASK, n=3).json()["error"]["message"]
        texts = server.post("/v1/completions", model="scripted", prompt=["a?"] * 3)
        assert (texts.status_code, texts.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_frees_the_session(stream: bool) -> None:
    with serving(scripted(token_delay_s=0.5)) as server:
        body = {**ASK, "stream": stream}
        if stream:
            with server.client.stream("POST", "/v1/chat/completions", json=body) as reply:
                lines = reply.iter_lines()
                next(lines)
                assert server.service.running_replies == 1
        else:
            with pytest.raises(Exception, match="timed out"):
                server.client.post("/v1/chat/completions", json=body, timeout=0.2)
        assert server.idle()  # sooner than the thought would take


def fails_after_20(context: Sequence[int]) -> int:
    if chr(context[0]) == "x" and len(context) > 20:
        raise EngineFault("the GPU is lost")
    return next_token(context)


def test_a_failed_reply_is_reported_and_others_continue() -> None:
    bad: dict[str, Any] = {**ASK, "messages": [{"role": "user", "content": "x?"}]}
    with serving(
        ScriptedEngine(fails_after_20, token_delay_s=0.002), limits=ServerLimits(stream_interval=0.0)
    ) as server:
        with server.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}) as good:
            whole = server.post(**bad)
            assert (whole.status_code, whole.json()["error"]["type"]) == (503, "engine_error")
            stream = server.post(**bad, stream=True).text.split("\n\n")
            assert json.loads(stream[-3].removeprefix("data: "))["error"]["message"] == "the GPU is lost"
            assert stream[-2] == "data: [DONE]"
            assert '"content"' in stream[2]
            assert '"finish_reason":"stop"' in "".join(good.iter_lines())
        assert server.idle()
        assert server.get("/health").status_code == 200


def log_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in caplog.records if record.name == "z1.serve"]


def test_each_reply_is_logged_without_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "z1.serve")
    with serving(scripted()) as server:
        name = server.post(**ASK, thinking_budget=12).json()["id"]
    (line,) = log_lines(caplog)
    assert (line["id"], line["thinking_tokens"], line["reason"], line["end"]) == (name, 12, "budget", "stop")
    assert "why?" not in caplog.text


def test_prompts_are_logged_on_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "z1.serve")
    with serving(scripted(), log_prompts=True) as server:
        server.post(**ASK)
        server.post("/v1/completions", model="scripted", prompt="how?")
    assert [next(iter(line["prompt"].values())) for line in log_lines(caplog)][1] == "how?"
    assert "why?" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
def test_each_served_name_answers_as_itself_with_its_own_budget(stream: bool) -> None:
    names = RequestDefaults(served_model_names=("a", "b"), model_budgets={"b": 7}, temperature=0.0)
    with serving(scripted(), names) as server:
        for name, asked in (("a", None), ("b", 7)):
            reply = server.post(**{**ASK, "model": name}, stream=stream)
            last = chunks(reply.text.splitlines())[-1] if stream else reply.json()
            assert (last["model"], last["choices"][0]["budget"]["asked"]) == (name, asked)
        assert server.post(**ASK).status_code == 404


def test_a_request_id_in_use_is_replaced() -> None:
    headers = {"X-Request-Id": "mine"}

    def ask(server: Served) -> str:
        body = {**ASK, "thinking_budget": 0}
        return str(server.client.post("/v1/chat/completions", json=body, headers=headers).json()["id"])

    with serving(scripted(token_delay_s=0.2)) as server:
        with server.client.stream(
            "POST", "/v1/chat/completions", json={**ASK, "stream": True}, headers=headers
        ) as first:
            lines = first.iter_lines()
            assert "chatcmpl-mine" in next(lines)
            assert ask(server) != "chatcmpl-mine"
        assert server.idle()
        assert ask(server) == "chatcmpl-mine"


def control(server: Served, response_id: str, token: str | None = None) -> dict[str, Any]:
    headers = {} if token is None else {"X-Control-Token": token}
    body = {"id": response_id, "action": "reasoning_end"}
    reply = server.client.post("/v1/chat/completions/control", json=body, headers=headers)
    assert reply.status_code == 200
    return dict(reply.json())


@contextmanager
def thinking(server: Served, **headers: str) -> Iterator[tuple[str, Iterator[str]]]:
    """A running reply that allows control: its id, and its further lines."""
    body = {**ASK, "stream": True, "reasoning_control": True}
    with server.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as stream:
        lines = stream.iter_lines()
        yield json.loads(next(lines).removeprefix("data: "))["id"], lines


def test_answer_now_needs_the_token_of_the_request() -> None:
    with serving(scripted(token_delay_s=0.2)) as server:
        with thinking(server, **{"X-Control-Token": "mine"}) as (name, lines):
            assert not control(server, name)["success"]
            refused = control(server, name, "other")
            assert (refused["success"], "X-Control-Token" in refused["message"]) == (False, True)
            assert control(server, name, "mine")["success"]
            assert '"reason":"control"' in "".join(lines)
        with thinking(server) as (name, _):
            assert not control(server, name, "any")["success"]
            assert control(server, name)["success"]


def test_a_chosen_id_never_ends_somebody_elses_thought() -> None:
    """Two clients chose one id: the second was renamed, and its "answer now" ended the first one's thought."""
    chosen = {"X-Request-Id": "same"}
    with (
        serving(scripted(token_delay_s=0.2)) as server,
        thinking(server, **chosen, **{"X-Control-Token": "one"}) as (first, first_lines),
        thinking(server, **chosen, **{"X-Control-Token": "two"}) as (second, second_lines),
        thinking(server, **chosen) as (third, _),
    ):
        assert first == "chatcmpl-same"
        assert len({first, second, third}) == 3
        assert not control(server, "chatcmpl-same")["success"]
        assert control(server, "chatcmpl-same", "two")["success"]
        assert '"reason":"control"' in "".join(second_lines)
        assert control(server, first, "one")["success"]
        assert '"reason":"control"' in "".join(first_lines)
        assert control(server, third)["success"]


def test_a_controllable_reply_has_a_chosen_id_only_with_a_token() -> None:
    """A gateway sets X-Request-Id on every request: the client reads the id in the first chunk, as always."""
    with serving(scripted(token_delay_s=0.2)) as server, thinking(server, **{"X-Request-Id": "guessable"}) as (name, _):
        assert name != "chatcmpl-guessable"
        assert not control(server, "chatcmpl-guessable")["success"]
        assert control(server, name)["success"]
