"""An engine in a worker process behaves like the engine itself, and neither process outlives the other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from tests.engines import conformance
from z1.engines import DriverOptions, Engine, FinishReason, ForbiddenSequences, Sampled, Sampling, run_flow
from z1.engines.local import worker
from z1.engines.local.worker import SubprocessEngine
from z1.engines.scripted import ScriptedEngine, ScriptedSession
from z1.errors import EngineFault, UserError
from z1.think import Flow, Window

PROMPT = [10, 11, 12, 13]


def keyed(context: Sequence[int]) -> int:
    """The next token; a context that starts with 99 fails at its tenth token, one with 98 kills the process."""
    if context[0] == 99 and len(context) > 9:
        raise RuntimeError("out of memory")
    if context[0] == 98 and len(context) > 9:
        os._exit(7)
    return 4 + blake2b(repr(list(context)).encode()).digest()[0]


def scripted(pace: float = 0.0) -> Engine:
    return ScriptedEngine(keyed, max_model_len=200, token_delay_s=pace)


def unknown() -> Engine:
    raise UserError("model", "nowhere", "give a folder")


def broken() -> Engine:
    os._exit(9)


class Counting(ScriptedEngine):
    """Samples the number of its open sessions."""

    def __init__(self) -> None:
        super().__init__(keyed, max_model_len=200, token_delay_s=0.01)
        self.live = 0

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        session = await super().open(prompt, sampling)
        if prompt == (77,):
            self.next_token = lambda _: 100 + self.live
        else:
            self.live += 1
            session.close = self.closed  # type: ignore[method-assign]
        return session

    async def closed(self) -> None:
        self.live -= 1


def within(act: Callable[[SubprocessEngine], Awaitable[Any]], make: Callable[[], Engine] = scripted) -> Any:
    async def run(engine: SubprocessEngine) -> Any:
        async with engine:
            return await act(engine)

    return asyncio.run(run(SubprocessEngine(make)))


def gone(pid: int) -> bool:
    """Whether a process ends soon; a zombie has ended."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


class Told(ScriptedSession):
    """Samples the last tokens of the forbidden sequences."""

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), *_: object) -> Sampled:
        return Sampled(tuple(end[-1] for end in forbidden), FinishReason.LIMIT)


class Listening(ScriptedEngine):
    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        return Told(self, prompt, sampling)


def listening() -> Engine:
    return Listening(keyed)


def test_forbidden_sequences_reach_the_worker() -> None:
    async def act(engine: SubprocessEngine) -> tuple[int, ...]:
        return (await (await engine.open(PROMPT, Sampling())).sample(5, ((7,), (8, 9)))).token_ids

    assert within(act, listening) == (7, 9)


def test_conformance() -> None:
    async def all_checks(engine: SubprocessEngine) -> None:
        for check in conformance.CHECKS:
            await check(engine, PROMPT)

    within(all_checks)


def test_its_tokens_equal_those_of_the_engine_in_this_process() -> None:
    window = Window(9, 4, (5, 6, 7), frozenset())
    there = within(lambda engine: conformance.token_ids_of(engine, PROMPT, window, DriverOptions(max_chunk_tokens=2)))
    assert there == asyncio.run(conformance.token_ids_of(scripted(), PROMPT, window))


def test_the_engines_attributes_are_known_here() -> None:
    async def facts(engine: SubprocessEngine) -> tuple[Any, ...]:
        return engine.name, engine.profile, engine.capabilities, engine.max_model_len, engine.tokenizer.encode("ab")

    here = scripted()
    assert within(facts) == (here.name, here.profile, here.capabilities, 200, [97, 98])


def test_pending_tokens_arrive_during_a_sample() -> None:
    async def seen(engine: SubprocessEngine) -> list[int]:
        session = await engine.open(PROMPT, Sampling())
        task = asyncio.create_task(session.sample(30))
        lengths: set[int] = set()
        while not task.done():
            assert session.free_tokens == 200 - len(PROMPT) - len(session.pending_token_ids)
            lengths.add(len(session.pending_token_ids))
            await asyncio.sleep(0.001)
        assert session.free_tokens == 200 - len(PROMPT) - 30
        return sorted(lengths)

    assert len(within(seen, partial(scripted, 0.01))) > 5


def test_an_interrupt_right_after_a_sample_is_not_lost() -> None:
    async def act(engine: SubprocessEngine) -> FinishReason:
        session = await engine.open(PROMPT, Sampling())
        task = asyncio.create_task(session.sample(150))
        await asyncio.sleep(0)
        session.interrupt()
        return (await task).reason

    assert within(act, partial(scripted, 0.05)) is FinishReason.INTERRUPTED


def test_an_engine_that_cannot_be_constructed_raises_its_error() -> None:
    with pytest.raises(UserError, match="nowhere"):
        SubprocessEngine(unknown)
    with pytest.raises(EngineFault, match="status 9"):
        SubprocessEngine(broken)


def test_what_does_not_fit_is_a_user_error() -> None:
    with pytest.raises(UserError, match="200 tokens"):
        within(lambda engine: engine.open([5] * 200, Sampling()))
    with pytest.raises(UserError, match="no tokens"):
        within(lambda engine: engine.open([], Sampling()))


async def reply(engine: SubprocessEngine, prompt: Sequence[int]) -> tuple[int, ...]:
    session = await engine.open(prompt, Sampling())
    try:
        return (await session.sample(20)).token_ids
    finally:
        await session.close()


def test_a_failing_reply_does_not_affect_others() -> None:
    async def act(engine: SubprocessEngine) -> list[Any]:
        both = await asyncio.gather(reply(engine, [99, 1]), reply(engine, PROMPT), return_exceptions=True)
        return [*both, len(await reply(engine, PROMPT)), engine.is_alive]

    fault, ids, again, alive = within(act)
    assert isinstance(fault, EngineFault)
    assert "out of memory" in str(fault)
    assert (len(ids), again, alive) == (20, 20, True)


def test_a_worker_that_ends_is_a_fault_of_all_running_and_later_samples() -> None:
    async def act(engine: SubprocessEngine) -> list[Any]:
        idle = await engine.open(PROMPT, Sampling())
        both = await asyncio.gather(reply(engine, [98, 1]), reply(engine, PROMPT), return_exceptions=True)
        late = await asyncio.gather(idle.sample(3), idle.append([1]), reply(engine, PROMPT), return_exceptions=True)
        idle.interrupt()
        await idle.close()
        return [engine.is_alive, *both, *late]

    alive, *faults = within(act, partial(scripted, 0.01))
    assert not alive
    assert len(faults) == 5
    assert all(isinstance(fault, EngineFault) and "process has ended" in str(fault) for fault in faults)


def test_a_cancelled_reply_is_closed_in_the_worker() -> None:
    async def act(engine: SubprocessEngine) -> tuple[int, int]:
        async def live() -> int:
            return (await (await engine.open((77,), Sampling())).sample(1)).token_ids[0] - 100

        tasks = [asyncio.create_task(reply(engine, PROMPT)) for _ in range(5)]
        await asyncio.sleep(0.05)
        before = await live()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return before, await live()

    assert within(act, Counting) == (5, 0)


def test_a_flow_runs_on_it() -> None:
    async def act(engine: SubprocessEngine) -> tuple[int, int | None]:
        session = await engine.open(PROMPT, Sampling())
        ledger = (await run_flow(Flow(Window(7, 5, (5, 6), frozenset()), session.free_tokens), session)).ledger()
        return ledger.thought, ledger.answer

    assert within(act) == (7, 5)


def test_the_worker_ends_with_the_engine() -> None:
    async def act(engine: SubprocessEngine) -> int:
        asyncio.ensure_future(reply(engine, PROMPT)).add_done_callback(lambda task: task.exception())
        await asyncio.sleep(0.05)
        return engine._process.pid

    assert gone(within(act, partial(scripted, 0.05)))


PROGRAM = """
import asyncio, os
from functools import partial
from tests.engines.local.test_worker import PROMPT, reply, scripted
from z1.engines.local import worker
from z1.engines.local.worker import SubprocessEngine

async def main():
    async with SubprocessEngine(partial(scripted, 0.05)) as engine:
        print(engine._process.pid, flush=True)
        await reply(engine, PROMPT * 10)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_worker_ends_with_its_parent_process(how: signal.Signals) -> None:
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root / "src"), str(root)])
    made = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with made:
        assert made.stdout is not None
        child = int(made.stdout.readline())
        os.kill(child, signal.SIGTERM)  # who stops a whole group of processes means the parent, which ends the child
        os.kill(made.pid, how)
        assert gone(child)


class Hanging(ScriptedEngine):
    """Blocks its process at the first sample of a context that starts with 97."""

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        if prompt[0] == 97:
            time.sleep(300)
        return await super().open(prompt, sampling)


def hanging() -> Engine:
    return Hanging(keyed, max_model_len=200)


def responds(engine: SubprocessEngine) -> bool:
    return engine.is_responsive


@pytest.mark.parametrize("how", ["stopped", "hangs"])
def test_a_worker_that_does_not_respond_is_recognised_and_deadlines_raise(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kill -STOP` of the engine's process left /health at 200, and a request with a deadline without an answer."""
    monkeypatch.setattr(worker, "MAX_SILENCE", 2)

    async def act(engine: SubprocessEngine) -> tuple[float, EngineFault]:
        assert responds(engine)
        if how == "stopped":
            os.kill(engine._process.pid, signal.SIGSTOP)
        session = await engine.open([97, 1] if how == "hangs" else PROMPT, Sampling())
        start = time.monotonic()
        flow = Flow(Window(50, 5, (5, 6), frozenset()), session.free_tokens)
        with pytest.raises(EngineFault) as fault:
            await run_flow(flow, session, DriverOptions(deadline=0.1))
        assert not responds(engine)
        engine._process.kill()
        return time.monotonic() - start, fault.value

    seconds, fault = within(act, hanging)
    assert seconds < 10
    assert "does not respond" in str(fault)


def test_a_worker_that_continues_responds_again() -> None:
    async def act(engine: SubprocessEngine) -> None:
        os.kill(engine._process.pid, signal.SIGSTOP)
        while responds(engine):
            await asyncio.sleep(0.05)
        os.kill(engine._process.pid, signal.SIGCONT)
        while not responds(engine):
            await asyncio.sleep(0.05)
        assert len(await reply(engine, PROMPT)) == 20

    within(act)


def test_a_long_step_that_ended_is_not_taken_for_a_worker_that_hangs() -> None:
    async def act(engine: SubprocessEngine) -> None:
        engine._silence, engine._longest_silence = 20, 0
        assert not responds(engine)
        engine._longest_silence = 20
        assert responds(engine)

    within(act)
