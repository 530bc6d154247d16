"""Does the service keep to its limits, forget nobody, and write down what was?"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from tests.serve.conftest import Served, serving
from tests.serve.scripts import ASK, says, scripted
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.runtime.service import ServerLimits


def test_beyond_the_limit_clients_are_told_to_come_back() -> None:
    with serving(scripted(pace=0.2), limits=ServerLimits(max_concurrent_requests=2)) as one:
        with one.client.stream("POST", "/v1/chat/completions", json={**ASK, "n": 2, "stream": True}) as stream:
            lines = stream.iter_lines()
            next(lines)
            busy = one.post(**ASK)
            assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
            assert busy.json()["error"]["type"] == "rate_limit_error"
        assert one.idle()
        assert one.post(**ASK, thinking_budget=0).status_code == 200
        assert "at most 2" in one.post(**ASK, n=3).json()["error"]["message"]
        texts = one.post("/v1/completions", model="scripted", prompt=["a?"] * 3)
        assert (texts.status_code, texts.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_session_at_once(stream: bool) -> None:
    with serving(scripted(pace=0.5)) as one:
        body = {**ASK, "stream": stream}
        if stream:
            with one.client.stream("POST", "/v1/chat/completions", json=body) as reply:
                lines = reply.iter_lines()
                next(lines)
                assert one.service.running_replies == 1
        else:
            with pytest.raises(Exception, match="timed out"):
                one.client.post("/v1/chat/completions", json=body, timeout=0.2)
        assert one.idle()  # in less time than its thought would take


def breaking(context: Sequence[int]) -> int:
    if chr(context[0]) == "x" and len(context) > 20:
        raise EngineFault("the card fell out")
    return says(context)


def test_an_engine_that_fails_is_said_and_loses_no_other_request() -> None:
    bad: dict[str, Any] = {**ASK, "messages": [{"role": "user", "content": "x?"}]}
    with serving(ScriptedEngine(breaking, pace=0.002), limits=ServerLimits(stream_interval=0.0)) as one:
        with one.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}) as good:
            whole = one.post(**bad)
            assert (whole.status_code, whole.json()["error"]["type"]) == (503, "engine_error")
            stream = one.post(**bad, stream=True).text.split("\n\n")
            assert json.loads(stream[-3].removeprefix("data: "))["error"]["message"] == "the card fell out"
            assert stream[-2] == "data: [DONE]"
            assert '"content"' in stream[2]
            assert '"finish_reason":"stop"' in "".join(good.iter_lines())
        assert one.idle()
        assert one.get("/health").status_code == 200


def written(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in caplog.records if record.name == "z1.serve"]


def test_a_line_is_written_for_every_reply_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "z1.serve")
    with serving(scripted()) as one:
        name = one.post(**ASK, thinking_budget=12).json()["id"]
    (line,) = written(caplog)
    assert (line["id"], line["thought"], line["shift"], line["end"]) == (name, 12, "budget", "stop")
    assert "why?" not in caplog.text


def test_prompts_are_written_where_the_server_was_told_to(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "z1.serve")
    with serving(scripted(), log_prompts=True) as one:
        one.post(**ASK)
        one.post("/v1/completions", model="scripted", prompt="how?")
    assert [next(iter(line["prompt"].values())) for line in written(caplog)][1] == "how?"
    assert "why?" in caplog.text


def test_names_are_the_servers() -> None:
    with serving(scripted(), RequestDefaults(served_model_names=("a", "b"))) as one:
        assert one.post(**{**ASK, "model": "b"}).json()["model"] == "a"
        assert one.post(**ASK).status_code == 404


def test_two_requests_of_one_name_are_two() -> None:
    headers = {"X-Request-Id": "mine"}

    def ask(one: Served) -> str:
        body = {**ASK, "thinking_budget": 0}
        return str(one.client.post("/v1/chat/completions", json=body, headers=headers).json()["id"])

    with serving(scripted(pace=0.2)) as one:
        with one.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}, headers=headers) as first:
            lines = first.iter_lines()
            assert "chatcmpl-mine" in next(lines)
            assert ask(one) != "chatcmpl-mine"
        assert one.idle()
        assert ask(one) == "chatcmpl-mine"
