"""Probes are counted and end thoughts at the right token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import log
from operator import itemgetter
from typing import Any

import pytest

from z1.engines import (
    AnswerExit,
    DriverOptions,
    ExitRule,
    Logprob,
    Probe,
    Sampled,
    Sampling,
    forced_confidence,
    probe_sampling,
    run_flow,
)
from z1.engines.scripted import Characters, ScriptedEngine, ScriptedSession
from z1.errors import EngineFault, UserError
from z1.exit_policy import Combiner, ExitMinimums
from z1.think import End, Flow, Shift, Window

TOKENS = Characters()
PROMPT = "why? "
HINT = "#NOW: "
STOPS = frozenset({3})
THOUGHT = "a1 b1 c2 d2 e2 f2 g3 so it is 3"
"""A probe answers with the last number so far."""


def next_id(context: Sequence[int]) -> int:
    text = "".join(map(chr, context)).removeprefix(PROMPT)
    thought, hinted, answer = text.partition(HINT)
    if hinted:
        known = [character for character in thought if character.isdigit()]
        return ord((known or ["?"])[-1]) if not answer else 3
    return ord(THOUGHT[len(thought)]) if len(thought) < len(THOUGHT) else 3


def text_of(ids: Sequence[int]) -> str:
    return TOKENS.decode(list(ids))


def read(text: str) -> str:
    return text.partition(HINT)[2].replace("?", "")


def said(ids: Sequence[int]) -> str:
    return read(text_of(ids))


def agreement(
    every: int, agreeing: int, tokens: int = 4, on_probe: Callable[[Probe], None] | None = None
) -> AnswerExit:
    return AnswerExit(every, ExitMinimums(agreeing), tokens, text_of, read, on_probe=on_probe)


def replied(exits: tuple[ExitRule, ...], chunk: int | None = None, engine: ScriptedEngine | None = None) -> Flow:
    async def run() -> Flow:
        session = await (engine or ScriptedEngine(next_id)).open(TOKENS.encode(PROMPT), Sampling(STOPS))
        flow = Flow(Window(None, 8, tuple(TOKENS.encode(HINT)), STOPS), session.free_tokens)
        return await run_flow(flow, session, DriverOptions(None, chunk, exit_rules=exits))

    return asyncio.run(run())


@pytest.mark.parametrize(("every", "stable", "at"), [(3, 2, 6), (3, 3, 15), (3, 4, 18), (1, 2, 3), (5, 2, 15)])
def test_a_thought_ends_when_its_probes_agree(every: int, stable: int, at: int) -> None:
    flow = replied((agreement(every, stable),))
    assert flow.shift_reason is Shift.CONVERGED and flow.ledger().thought == at
    assert TOKENS.decode(flow.token_ids).endswith(HINT + said(flow.token_ids[:-1]) + chr(3))


def test_every_probe_is_reported_and_counted() -> None:
    heard: list[Probe] = []
    flow = replied((agreement(3, 3, 4, heard.append),))
    assert [(probe.thinking_tokens, said(probe.token_ids), probe.agreeing) for probe in heard] == [
        (3, "1", 1), (6, "1", 2), (9, "2", 1), (12, "2", 2), (15, "2", 3),
    ]  # fmt: skip
    assert flow.ledger().probe == 5 * (len(HINT) + 2)  # the hint, a digit and the stop id
    assert flow.ledger().paid_tokens == flow.ledger().completion_tokens + flow.ledger().probe


def test_a_thought_without_agreement_ends_by_itself() -> None:
    flow = replied((agreement(3, 9),))
    assert flow.shift_reason is Shift.NATURAL and flow.end is End.STOP and TOKENS.decode(flow.token_ids[:-1]) == THOUGHT


def test_an_empty_answer_does_not_count() -> None:
    assert replied((AnswerExit(1, ExitMinimums(1), 4, text_of, lambda _: ""),)).shift_reason is Shift.NATURAL


def test_a_probe_completes_a_hint_that_the_model_has_started() -> None:
    def begins(context: Sequence[int]) -> int:
        text = "".join(map(chr, context)).removeprefix(PROMPT)
        return ord("a b #NOW"[len(text)]) if len(text) < 8 else 3 if text.endswith("7") else ord("7")

    heard: list[Probe] = []
    replied((agreement(8, 9, 4, heard.append),), engine=ScriptedEngine(begins))
    assert [TOKENS.decode(list(probe.token_ids)) for probe in heard] == [": 7"]


class _NoForks(ScriptedEngine):
    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        session = await super().open(prompt, sampling)

        async def fork(sampling: Sampling | None = None) -> ScriptedSession:
            raise EngineFault("no room for a fork")

        session.fork = fork  # type: ignore[method-assign]
        return session


def test_a_failing_fork_does_not_count_or_end_the_reply() -> None:
    assert replied((agreement(3, 1),), engine=_NoForks(next_id)).end is End.STOP


def test_a_fork_that_fails_later_is_counted_and_closed() -> None:
    closed: list[bool] = []

    class Half(ScriptedSession):
        async def sample(self, *_: object) -> Sampled:
            raise EngineFault("gone")

        async def close(self) -> None:
            closed.append(True)

    class Engine(ScriptedEngine):
        async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
            session = await super().open(prompt, sampling)

            async def fork(sampling: Sampling | None = None) -> ScriptedSession:
                return Half(self, session.context, Sampling(STOPS))

            session.fork = fork  # type: ignore[method-assign]
            return session

    flow = replied((agreement(10, 1),), engine=Engine(next_id))
    assert flow.ledger().probe == 3 * len(HINT) and closed == [True] * 3


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_invalid_settings_are_rejected(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match="give 1 or more"):
        agreement(*numbers)


class _Odds(ScriptedSession):
    """The first token of an answer has the probabilities of `ODDS`, by the digit that it is; others are certain."""

    async def sample(self, max_tokens: int, *limits: Any) -> Sampled:
        sampled = await super().sample(max_tokens, *limits)
        if self.logprobs:
            p = ODDS[chr(sampled.token_ids[0])]
            others = [(63, log((1 - p) / 2))] * 2
            self.logprobs[0] = Logprob(
                log(p), tuple(sorted([(sampled.token_ids[0], log(p)), *others], key=itemgetter(1))[::-1])
            )
        return sampled

    async def fork(self, sampling: Sampling | None = None) -> ScriptedSession:
        return _Odds(self._engine, self.context, sampling or self._sampling)


class _Unsure(ScriptedEngine):
    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        return _Odds(self, prompt, sampling)


ODDS = {"?": 0.2, "1": 0.6, "2": 0.9, "3": 0.97}


@pytest.mark.parametrize(
    ("minimums", "at"),
    [
        (ExitMinimums(probability=0.5), 3),
        (ExitMinimums(probability=0.85), 9),
        (ExitMinimums(2, 0.5), 6),
        (ExitMinimums(3, 0.85), 15),
        (ExitMinimums(probability=0.95), 21),
        (ExitMinimums(probability=0.98), None),
        (ExitMinimums(combined=0.5, combiner=Combiner((0, 2, 0, 0, 0, 0, -1.6), 1)), 9),  # a margin of 0.8
    ],
)
def test_a_thought_ends_when_its_probed_answer_is_sure(minimums: ExitMinimums, at: int | None) -> None:
    heard: list[Probe] = []
    forks = probe_sampling(Sampling(STOPS), ScriptedEngine(next_id))
    flow = replied((AnswerExit(3, minimums, 4, text_of, read, forks, heard.append),), engine=_Unsure(next_id))
    assert (flow.ledger().thought if flow.shift_reason is Shift.CONVERGED else None) == at
    for probe in heard:
        p, margin, entropy = probe.signals.confidence or (0, 0, 0)
        assert p == pytest.approx(ODDS[said(probe.token_ids) or "?"])
        assert margin == pytest.approx(p - (1 - p) / 2)
        assert entropy == pytest.approx(-p * log(p) - (1 - p) * log((1 - p) / 2))
    observed = AnswerExit(3, minimums, 4, text_of, read, forks, is_observing=True)
    assert replied((observed,), engine=_Unsure(next_id)).shift_reason is Shift.NATURAL


def test_an_answer_has_the_probability_of_all_its_tokens_up_to_its_box() -> None:
    ids = TOKENS.encode("so \\boxed{12}. As I said")
    forced = len("so \\boxed{")
    logprobs = [
        Logprob(log(p), ((i, log(p)),)) for p, i in zip([0.5, 0.8, 0.9] + [0.1] * 20, ids[forced:], strict=False)
    ]
    found = forced_confidence(ids, forced, logprobs, text_of)
    assert found is not None and found.probability == pytest.approx(0.5 * 0.8 * 0.9)
    assert found.margin == pytest.approx(0.5) and found.entropy == pytest.approx(log(2))
    open_box = forced_confidence(ids[:-12], forced, logprobs, text_of)
    assert open_box is not None and open_box.probability == pytest.approx(0.4)
    assert forced_confidence(ids, forced, [], text_of) is None
    assert forced_confidence(ids[:forced], forced, [], text_of) is None
