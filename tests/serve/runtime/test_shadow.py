"""Tests of z1.serve.runtime.shadow: a shadow budget gives what the budget itself would give."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.serve.conftest import Served, serving
from tests.serve.scripts import ASK, THOUGHT, scripted
from z1.engines import Engine
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.grading.equivalence import canonical_answer
from z1.serve.runtime.service import ServerLimits

SIZE = len(THOUGHT)


def counts_its_thought(context: Sequence[int]) -> int:
    """Thinks 30 tokens and answers 20; forced to answer earlier, it answers how long it thought, at most 20."""
    text = "".join(map(chr, context)).partition("?")[2]
    thought, forced, answer = text.partition("\\boxed{")
    whole = (
        f"{min(len(thought.partition(chr(10))[0]), 20)}}}." if forced else "x" * 30 + "The final answer is \\boxed{20}."
    )
    so_far = answer if forced else text
    return ord(whole[len(so_far)]) if len(so_far) < len(whole) else 3


@dataclass
class Log:
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, **fields: Any) -> None:
        if "shadow_budget" in fields:
            self.lines.append(fields)


def wait_for_lines(log: Log, count: int) -> list[dict[str, Any]]:
    """The log once it has `count` lines; a line can be later than the reply it is about."""
    deadline = time.monotonic() + 30
    while len(log.lines) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return log.lines


def shadow_lines(server: Served, log: Log, count: int) -> list[dict[str, Any]]:
    lines = wait_for_lines(log, count)
    assert server.idle()
    return lines


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr("z1.serve.runtime.service.log_line", log)
    return log


def test_a_thought_is_truncated_at_each_budget_and_its_answer_compared(log: Log) -> None:
    budgets = (5, 10, 25, 30, 400)
    with serving(ScriptedEngine(counts_its_thought), limits=ServerLimits(shadow_budgets=budgets)) as server:
        unlimited = server.post(**ASK).json()["choices"][0]
        lines = shadow_lines(server, log, len(budgets))
        text = server.get("/metrics").text
        for line in lines[:3]:  # what the budget itself gives
            cut = server.post(**ASK, thinking_budget=line["shadow_budget"]).json()["choices"][0]
            border = cut["budget"]["offsets"]["hint"]
            same = canonical_answer(cut["message"]["content"][border:]) == canonical_answer(
                "The final answer is \\boxed{20}."
            )
            assert line["outcome"] == ("same" if same else "changed")
            assert line["saved_tokens"] == unlimited["budget"]["used"] - cut["budget"]["used"]
            assert line["sampled_tokens"] == cut["budget"]["answer_tokens"] + 1
    assert [line["outcome"] for line in lines[:5]] == ["changed", "changed", "same", "unaffected", "unaffected"]
    assert 'z1_shadow_replies_total{outcome="same",thinking_budget="25"} 1.0' in text
    assert 'z1_shadow_tokens_total{kind="saved",thinking_budget="25"} 5.0' in text
    assert all("why" not in str(line) and "xx" not in str(line) for line in lines)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**ASK, "thinking_budget": 0}),
        ("/v1/completions", {"model": "scripted", "prompt": "why?"}),
    ],
)
def test_replies_without_thinking_are_not_evaluated(log: Log, path: str, body: dict[str, Any]) -> None:
    with serving(scripted(), limits=ServerLimits(shadow_budgets=(5,))) as server:
        assert server.post(path, **body).status_code == 200
        server.post(**ASK)
        assert len(shadow_lines(server, log, 1)) == 1
    assert log.lines[0]["thinking_tokens"] == SIZE


def test_the_other_settings_of_the_request_apply(log: Log) -> None:
    with serving(scripted(), limits=ServerLimits(shadow_budgets=(5,))) as server:
        server.post(
            **ASK, thinking_budget=40, deadline_ms=1e6, hint="so ", policy={"repetition": True}, answer_tokens=7
        )
        (line,) = shadow_lines(server, log, 1)
    assert (line["thinking_tokens"], line["saved_tokens"], line["sampled_tokens"]) == (40, 35, 7)


class FailsAfterFiveTokens(ScriptedEngine):
    """Fails to continue a thought of five tokens."""

    async def open(self, prompt: Sequence[int], sampling: Any) -> Any:
        if len(prompt) == len("why?") + 5:
            raise EngineFault("gone")
        return await super().open(prompt, sampling)


def test_a_failed_answer_is_missing_and_the_next_budget_is_evaluated(log: Log) -> None:
    with serving(FailsAfterFiveTokens(scripted().next_token), limits=ServerLimits(shadow_budgets=(5, 6))) as server:
        server.post(**ASK)
        lines = shadow_lines(server, log, 2)
    assert [(line["outcome"], line["saved_tokens"]) for line in lines] == [("missing", 0), ("changed", SIZE - 6)]


def test_evaluation_waits_for_capacity(log: Log) -> None:
    slow: Engine = scripted(token_delay_s=0.05)
    with serving(slow, limits=ServerLimits(max_concurrent_requests=5, shadow_budgets=(SIZE + 1,))) as server:
        with server.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True, "n": 2}) as reply:
            lines = reply.iter_lines()
            assert next(lines)
            server.post(**ASK, thinking_budget=1)
            time.sleep(0.2)
            assert not log.lines
        assert server.idle()
        assert [line["outcome"] for line in shadow_lines(server, log, 1)] == ["unaffected"]


def test_replies_beyond_the_queue_are_dropped(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z1.serve.runtime.shadow.MAX_QUEUED", 1)
    slow: Engine = scripted(token_delay_s=0.05)
    stream = {**ASK, "stream": True, "n": 2}
    with (
        serving(slow, limits=ServerLimits(max_concurrent_requests=5, shadow_budgets=(5,))) as server,
        server.client.stream("POST", "/v1/chat/completions", json=stream) as reply,
    ):
        lines = reply.iter_lines()
        assert next(lines)
        for thinking in (1, 2, 3):
            server.post(**ASK, thinking_budget=thinking, answer_tokens=1)
        assert [(line["outcome"], line["thinking_tokens"]) for line in wait_for_lines(log, 2)] == [
            ("dropped", 1),
            ("dropped", 2),
        ]


def test_a_budget_of_zero_is_rejected() -> None:
    with pytest.raises(UserError, match="shadow budget"), serving(scripted(), limits=ServerLimits(shadow_budgets=(0,))):
        pass
