"""Is what a shadow window is said to have made of a reply what the window would have made of it?"""

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


def sums(context: Sequence[int]) -> int:
    """Thinks until it is sure; made to answer before, it answers with as many letters as it has thought."""
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

    def __call__(self, **facts: Any) -> None:
        if "shadow" in facts:
            self.lines.append(facts)


def told(log: Log, count: int) -> list[dict[str, Any]]:
    """What the log holds once it has `count` lines; a line may come after the reply that it is about."""
    until = time.monotonic() + 30
    while len(log.lines) < count and time.monotonic() < until:
        time.sleep(0.01)
    return log.lines


def followed(one: Served, log: Log, count: int) -> list[dict[str, Any]]:
    lines = told(log, count)
    assert one.idle()
    return lines


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    monkeypatch.setattr("z1.serve.runtime.service.journal", made)
    return made


def test_a_thought_is_cut_at_each_window_and_its_answer_compared(log: Log) -> None:
    windows = (5, 10, 25, 30, 400)
    with serving(ScriptedEngine(sums), limits=ServerLimits(shadow_budgets=windows)) as one:
        free = one.post(**ASK).json()["choices"][0]
        seen = followed(one, log, len(windows))
        text = one.get("/metrics").text
        for line in seen[:3]:  # what the window itself gives
            cut = one.post(**ASK, thinking_budget=line["shadow"]).json()["choices"][0]
            border = cut["budget"]["offsets"]["hint"]
            same = canonical_answer(cut["message"]["content"][border:]) == canonical_answer(
                "The final answer is \\boxed{20}."
            )
            assert line["outcome"] == ("same" if same else "changed")
            assert line["saved"] == free["budget"]["used"] - cut["budget"]["used"]
            assert line["paid"] == cut["budget"]["answer_tokens"] + 1
    assert [line["outcome"] for line in seen[:5]] == ["changed", "changed", "same", "whole", "whole"]
    assert 'z1_shadow_replies_total{outcome="same",window="25"} 1.0' in text
    assert 'z1_shadow_tokens_total{kind="saved",window="25"} 5.0' in text
    assert all("why" not in str(line) and "xx" not in str(line) for line in seen)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**ASK, "thinking_budget": 0}),
        ("/v1/completions", {"model": "scripted", "prompt": "why?"}),
    ],
)
def test_what_has_no_thought_is_not_followed(log: Log, path: str, body: dict[str, Any]) -> None:
    with serving(scripted(), limits=ServerLimits(shadow_budgets=(5,))) as one:
        assert one.post(path, **body).status_code == 200
        one.post(**ASK)
        assert len(followed(one, log, 1)) == 1
    assert log.lines[0]["thought"] == SIZE


def test_a_budget_keeps_what_else_was_asked(log: Log) -> None:
    with serving(scripted(), limits=ServerLimits(shadow_budgets=(5,))) as one:
        one.post(**ASK, thinking_budget=40, deadline_ms=1e6, hint="so ", policy={"repetition": True}, answer_tokens=7)
        (line,) = followed(one, log, 1)
    assert (line["thought"], line["saved"], line["paid"]) == (40, 35, 7)


class Fails(ScriptedEngine):
    """Fails in what follows a thought of five ids."""

    async def open(self, prompt: Sequence[int], sampling: Any) -> Any:
        if len(prompt) == len("why?") + 5:
            raise EngineFault("gone")
        return await super().open(prompt, sampling)


def test_an_answer_that_cannot_be_had_is_missing_and_the_next_is_followed(log: Log) -> None:
    with serving(Fails(scripted().next_id), limits=ServerLimits(shadow_budgets=(5, 6))) as one:
        one.post(**ASK)
        seen = followed(one, log, 2)
    assert [(line["outcome"], line["saved"]) for line in seen] == [("missing", 0), ("changed", SIZE - 6)]


def test_it_waits_until_there_is_room(log: Log) -> None:
    slow: Engine = scripted(pace=0.05)
    with serving(slow, limits=ServerLimits(max_concurrent_requests=5, shadow_budgets=(SIZE + 1,))) as one:
        with one.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True, "n": 2}) as reply:
            lines = reply.iter_lines()
            assert next(lines)
            one.post(**ASK, thinking_budget=1)
            time.sleep(0.2)
            assert not log.lines
        assert one.idle()
        assert [line["outcome"] for line in followed(one, log, 1)] == ["whole"]


def test_what_waits_too_long_is_told_as_forgotten(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z1.serve.runtime.shadow.KEPT", 1)
    slow: Engine = scripted(pace=0.05)
    stream = {**ASK, "stream": True, "n": 2}
    with (
        serving(slow, limits=ServerLimits(max_concurrent_requests=5, shadow_budgets=(5,))) as one,
        one.client.stream("POST", "/v1/chat/completions", json=stream) as reply,
    ):
        lines = reply.iter_lines()
        assert next(lines)
        for thinking in (1, 2, 3):
            one.post(**ASK, thinking_budget=thinking, answer_tokens=1)
        assert [(line["outcome"], line["thought"]) for line in told(log, 2)] == [("forgotten", 1), ("forgotten", 2)]


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="shadow window"), serving(scripted(), limits=ServerLimits(shadow_budgets=(0,))):
        pass
