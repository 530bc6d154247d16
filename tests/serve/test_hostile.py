"""Hostile replies of an upstream are errors in one line, or replies; nothing is lost and nothing keeps running."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.serve import hostile
from tests.serve.conftest import serving
from z1.serve.runtime import response


@pytest.mark.parametrize("count", [2 * len(hostile.KINDS), pytest.param(500, marks=pytest.mark.slow)])
def test_hostile_upstreams_lose_no_reply_and_cause_no_500(count: int) -> None:
    """openai/openai-dotnet 267, vibrantlabsai/ragas 1548, TGI 2344, AndraxDev/speak-gpt 162: other words."""
    faults, statuses, open_connections, idle = hostile.run(count)
    assert not faults
    assert statuses[200] > count / 3 and not statuses[500]
    assert (open_connections, idle) == (0, True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_status_code_and_retry_after_of_an_upstream_reach_the_client(status: int, stream: bool) -> None:
    """BerriAI/litellm 23901, scalaone/azure-openai-proxy 7: an upstream's 429 is hidden, so nobody waits."""
    kind = list(hostile.KINDS).index(f"status {status}")
    with hostile.hostile_upstream() as (_, url), serving(hostile.engine(url)) as server:
        seen, _, error, headers = hostile.ask(server, kind, stream=stream)
        assert (seen, headers["retry-after"]) == (502 if status == 500 else status, "7")
        assert '"code": "made_up"' in error and '"type": "made_up"' in error
        assert f"the upstream answered {status}: no, with key [removed]" in error


def test_a_key_goes_to_its_own_host_only_and_no_redirect_is_followed() -> None:
    kind = list(hostile.KINDS).index("a redirect elsewhere")
    with hostile.hostile_upstream() as (upstream, url), serving(hostile.engine(url)) as server:
        status, _, error, _ = hostile.ask(server, kind, stream=True)
        assert (status, len(upstream.asked)) == (502, 2)
        assert all(b"authorization: Bearer " + hostile.KEY.encode() in head for head in upstream.asked)
        assert "it redirects to http://127.0.0.1:9/v1/completions; name that server as the upstream" in error


def test_hostile_replies_that_are_passed_on_cause_no_500_and_leak_no_key() -> None:
    with hostile.hostile_upstream() as (upstream, url), serving(hostile.engine(url)) as server:
        for kind, name in enumerate(hostile.KINDS):
            if name != "goes on for ever":
                status, body = hostile.pass_on(server, kind, stream=bool(kind % 2))
                assert status != 500 and hostile.KEY not in body and "secret@" not in body, name
                assert name not in hostile.COMES or status in (200, 201), name
        assert server.idle()
    assert upstream.open == 0


def test_a_stream_begins_while_a_slow_upstream_has_not_accepted_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """vllm 47647: a long prefill says nothing. After a while the status is 200, and a later failure is an event."""
    monkeypatch.setattr(response, "COMMENT_INTERVAL", 0.02)
    gate = threading.Event()

    async def answer(self: hostile.Hostile, body: Any, writer: asyncio.StreamWriter) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        writer.write(hostile.refused(429))

    monkeypatch.setattr(hostile.Hostile, "_answer", answer)
    with hostile.hostile_upstream() as (_, url), serving(hostile.engine(url)) as server:
        body = {"model": "hostile", "messages": [{"role": "user", "content": "why?"}], "stream": True}
        with server.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            assert reply.status_code == 200
            lines = reply.iter_lines()
            assert '"role":"assistant"' in next(lines)
            assert next(line for line in lines if line.startswith(":"))
            gate.set()
            rest = "".join(lines)
        assert "the upstream answered 429" in rest and rest.endswith("data: [DONE]")
        assert server.idle()
