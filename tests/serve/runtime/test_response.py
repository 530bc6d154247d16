"""Tests of z1.serve.runtime.response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.serve.scripts import FORCED, HINT, THOUGHT, next_token, scripted
from z1 import profiles
from z1.engines import Engine, Sampling
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.serve.api.budget import Budget
from z1.serve.api.openai_format import COMMENT, ChatFormat
from z1.serve.api.reply_text import OutputOptions, ReplyText
from z1.serve.runtime import response as responses
from z1.serve.runtime.reply_runner import GenerationRequest, ReplyRunner
from z1.serve.runtime.response import PendingResponse, SseResponse, WholeResponse

OPTIONS = OutputOptions(profiles.get_profile("z1-tiny"), lambda token: chr(token).encode())


def with_response(
    act: Callable[[PendingResponse], Awaitable[Any]], *budgets: Budget, engine: Engine | None = None
) -> Any:
    async def run() -> Any:
        runner = ReplyRunner(engine or scripted(), 0.0)
        await runner.open()
        try:
            requests = [
                GenerationRequest(tuple(map(ord, "why?")), budget, Sampling(frozenset({3}))) for budget in budgets
            ]
            return await act(PendingResponse(runner.start(requests), ChatFormat("x", "m"), OPTIONS, 4))
        finally:
            await runner.close()

    return asyncio.run(run())


async def whole(response: PendingResponse) -> Any:
    await response.wait_started()
    return await response.json_body()


def test_choices_are_in_the_order_of_the_requests() -> None:
    body = with_response(whole, Budget(30), Budget(0), Budget(7))
    assert [choice["budget"]["used"] for choice in body["choices"]] == [30, 0, 7]
    assert body["choices"][2]["message"]["content"] == THOUGHT[:7] + HINT + FORCED


def test_one_choice_that_does_not_fit_rejects_the_request() -> None:
    async def act(response: PendingResponse) -> None:
        try:
            await whole(response)
        finally:
            assert isinstance(response.error, UserError)

    with pytest.raises(UserError, match="hint and answer"):
        with_response(act, Budget(), Budget(max_tokens=10))


def failing(context: Any) -> int:
    if len(context) > 30:
        raise EngineFault("gone")
    return next_token(context)


def test_a_failure_in_a_stream_is_an_error_event() -> None:
    async def act(response: PendingResponse) -> bytes:
        await response.wait_started()
        return b"".join([data async for data in response.stream()])

    body = with_response(act, Budget(), engine=ScriptedEngine(failing, token_delay_s=0.001)).decode()
    assert '"message":"gone"' in body
    assert "usage" not in body
    assert body.endswith("data: [DONE]\n\n")
    with pytest.raises(EngineFault, match="gone"):
        with_response(whole, Budget(), engine=ScriptedEngine(failing, token_delay_s=0.001))


@pytest.mark.parametrize("kind", [WholeResponse, SseResponse])
def test_after_a_disconnect_on_finished_is_called_once(kind: type[WholeResponse] | type[SseResponse]) -> None:
    finished: list[PendingResponse] = []
    sent: list[Any] = []

    async def act(response: PendingResponse) -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await response.wait_started()
        await asyncio.wait_for(kind(response, finished.append, {})({"type": "http", "path": "/"}, receive, send), 60)

    with_response(act, Budget(), engine=scripted(token_delay_s=2))
    assert len(finished) == 1
    assert not finished[0].finished


@pytest.mark.parametrize("include_reasoning", [True, False])
def test_a_stream_with_nothing_to_say_sends_comments(monkeypatch: pytest.MonkeyPatch, include_reasoning: bool) -> None:
    """vllm 47647, litellm 34819: proxies cut idle streams, and a hidden thought or a long prefill is silent."""
    monkeypatch.setattr(responses, "COMMENT_INTERVAL", 0.02)
    options = OutputOptions(OPTIONS.profile, OPTIONS.token_bytes, True, include_reasoning)

    async def act(response: PendingResponse) -> list[bytes]:
        response.texts = [ReplyText(options, response.replies.requests[0].budget)]
        return [part async for part in response.stream()]

    slow = scripted(token_delay_s=0.1 if include_reasoning else 0.01)
    parts = with_response(act, Budget(4 if include_reasoning else 30), engine=slow)
    assert parts.count(COMMENT) >= 4
    assert all(part.startswith(b"data: ") for part in parts if part != COMMENT)
    assert b"chatcmpl-x" in parts[0] and parts[-1].endswith(b"[DONE]\n\n")
    quick = with_response(act, Budget(4))
    assert COMMENT not in quick
