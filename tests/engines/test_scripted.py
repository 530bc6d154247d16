"""The scripted engine passes the conformance tests and replays its script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b

import pytest

from tests.engines import conformance
from z1.engines import Sampling
from z1.engines.scripted import Characters, Script, ScriptedEngine
from z1.errors import EngineFault, UserError


def keyed(context: Sequence[int]) -> int:
    return 4 + blake2b(repr(list(context)).encode()).digest()[0]


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: conformance.Check) -> None:
    asyncio.run(check(ScriptedEngine(keyed, max_model_len=200), [10, 11, 12, 13]))  # type: ignore[arg-type]


def test_a_script_replays_its_reply_and_its_answer() -> None:
    engine = ScriptedEngine(Script({"why?": "because"}, {"why?": "so"}, " now: "))

    async def say(prompt: str) -> str:
        session = await engine.open(Characters().encode(prompt), Sampling(stop_token_ids=frozenset({3})))
        return Characters().decode(list((await session.sample(20)).token_ids), skip_special_tokens=True)

    assert asyncio.run(say("why?")) == "because"
    assert asyncio.run(say("why?bec now: ")) == "so"
    with pytest.raises(EngineFault, match="no reply"):
        asyncio.run(say("who?"))


def test_a_prompt_that_does_not_fit_is_rejected() -> None:
    with pytest.raises(UserError, match="4 tokens"):
        asyncio.run(ScriptedEngine(keyed, max_model_len=4).open([1, 2, 3, 4], Sampling()))
