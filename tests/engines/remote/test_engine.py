"""A remote engine passes the conformance tests, and upstream errors are faults, never answers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import pytest

from tests.engines import conformance
from tests.engines.http_host import serving
from tests.engines.upstream import Upstream
from tests.serve import conftest as second
from z1.engines import Engine, Sampling
from z1.engines import remote as engines
from z1.engines.local import engine as local
from z1.engines.remote import RemoteEngine
from z1.engines.scripted import Characters, Script, ScriptedEngine
from z1.errors import EngineFault, UpstreamFault, UserError
from z1.families import AnswerKind
from z1.generation import GenerationOptions, generate_reply
from z1.models import shipped

PROMPT = [ord(letter) for letter in "what is it?"]


def letters(context: Sequence[int]) -> int:
    """A letter that depends on the whole context."""
    return 97 + blake2b(bytes(context)).digest()[0] % 26


def with_engine(upstream: Upstream, act: Callable[[RemoteEngine], Awaitable[Any]], **said: Any) -> Any:
    async def run() -> Any:
        async with (
            serving(upstream) as address,
            RemoteEngine(engines.Upstream(address, **said), Characters(), ("made up", "z1-tiny")) as engine,
        ):
            return await act(engine)

    return asyncio.run(run())


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "text"])
@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: conformance.Check, ids: bool) -> None:
    upstream = Upstream(letters, ids=ids, length=120)
    with_engine(upstream, lambda engine: check(engine, PROMPT))
    assert upstream.open == 0


def test_an_upstreams_capabilities_are_probed() -> None:
    async def seen(engine: RemoteEngine) -> tuple[str, int, bool]:
        return engine.upstream_model, engine.max_model_len, engine.capabilities.has_token_ids

    assert with_engine(Upstream(letters), seen) == ("made", 400, True)
    assert with_engine(Upstream(letters, ids=False), seen) == ("made", 400, False)
    assert with_engine(Upstream(letters), seen, has_token_ids=False, max_model_len=50, model="made") == (
        "made",
        50,
        False,
    )


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "text"])
def test_a_reply_ends_with_the_upstreams_stop(ids: bool) -> None:
    script = Script({"hi": "well\n\nIt is 4."}, {"hi": "4}."}, "\\boxed{")

    async def asked(engine: RemoteEngine) -> tuple[str, str, int]:
        engine.profile = "plain"
        reply = await generate_reply(engine, "hi", GenerationOptions(max_answer_tokens=20))
        return reply.text, reply.end, reply.ledger.stop

    assert with_engine(Upstream(script, ids=ids), asked) == ("well\n\nIt is 4.", "stop", 1)


@pytest.mark.parametrize("fault", [500, 400, 401, "break", "error"])
def test_upstream_errors_are_faults_and_nothing_is_sent_twice(fault: int | str) -> None:
    upstream = Upstream(letters)

    async def broken(engine: RemoteEngine) -> tuple[int, ...]:
        session = await engine.open(PROMPT, Sampling())
        upstream.faults, upstream.asked = [fault], []
        with pytest.raises(EngineFault, match="upstream"):
            await session.sample(9)
        assert len(upstream.asked) == 1
        assert session.free_tokens == 400 - len(PROMPT)
        return (await session.sample(9)).token_ids

    context = list(PROMPT)
    for _ in range(9):
        context.append(letters(context))
    assert with_engine(upstream, broken) == tuple(context[len(PROMPT) :])


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
def test_a_response_that_breaks_off_is_a_bad_gateway(whole: bool) -> None:
    class Breaking(Upstream):
        async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
            if not (whole and body and body.get("stream")):
                return await super().answer(path, body, writer)
            writer.write(b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n")
            writer.write(b'{"choices": [{"text": "so f')

    upstream = Breaking(letters)

    async def broken(engine: RemoteEngine) -> UpstreamFault:
        session = await engine.open(PROMPT, Sampling())
        upstream.faults = [] if whole else ["break"]
        with pytest.raises(UpstreamFault, match="the upstream broke off its response: ") as caught:
            await session.sample(9)
        return caught.value

    assert with_engine(upstream, broken).status == 502


def test_an_upstream_with_a_full_context_is_a_fault() -> None:
    class Short(Upstream):
        async def _stream(self, body: Any, context: Any, writer: Any, fault: Any) -> None:
            await super()._stream({**body, "max_tokens": 2}, context, writer, fault)

    async def asked(engine: RemoteEngine) -> None:
        session = await engine.open(PROMPT, Sampling())
        with pytest.raises(EngineFault, match="2 of 9"):
            await session.sample(9)

    with_engine(Short(letters), asked)


def test_only_connecting_is_retried() -> None:
    async def run() -> None:
        upstream = Upstream(letters)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        late: list[asyncio.Server] = []

        async def open_late() -> None:
            await asyncio.sleep(0.1)
            late.append(await asyncio.start_server(upstream.serve, "127.0.0.1", port))

        opening = asyncio.create_task(open_late())
        address = f"http://127.0.0.1:{port}/v1"
        async with RemoteEngine(engines.Upstream(address), Characters(), ("made up", "plain")) as engine:
            assert engine.upstream_model == "made"
        await opening
        late[0].close()
        with pytest.raises(EngineFault, match="does not answer"):
            async with RemoteEngine(engines.Upstream(address), Characters(), ("made up", "plain")):
                pass

    asyncio.run(run())


def test_draws_repeat_and_differ_between_positions() -> None:
    upstream = Upstream(letters)

    async def drawn(engine: RemoteEngine) -> list[Any]:
        session = await engine.open(PROMPT, Sampling(temperature=0.7, top_p=0.9, top_k=5, seed=1))
        await session.sample(2)
        await session.sample(2)
        return [(one["seed"], one["temperature"], one["top_p"], one["top_k"]) for one in upstream.asked[-2:]]

    first, second = with_engine(upstream, drawn)
    assert first[1:] == second[1:] == (0.7, 0.9, 5)
    assert first[0] != second[0]
    assert with_engine(upstream, drawn) == [first, second]


def test_a_prompt_that_does_not_fit_is_a_user_error() -> None:
    async def asked(engine: RemoteEngine) -> None:
        for prompt in ([], [5] * 50):
            with pytest.raises(UserError):
                await engine.open(prompt, Sampling())

    with_engine(Upstream(letters), asked, max_model_len=50)


def test_a_cancelled_sample_closes_its_stream() -> None:
    upstream = Upstream(letters, length=5000)

    async def given_up(engine: RemoteEngine) -> None:
        session = await engine.open(PROMPT, Sampling())
        task = asyncio.create_task(session.sample(4000))
        while not session.pending_token_ids:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(400):
            if not upstream.open:
                return
            await asyncio.sleep(0.005)

    with_engine(upstream, given_up)
    assert upstream.open == 0


def test_proxied_requests_are_unchanged() -> None:
    upstream = Upstream(letters)
    body = {
        "prompt": [120],
        "max_tokens": 2,
        "stream": True,
        "tools": [{"type": "function"}],
        "response_format": {"type": "x"},
    }

    async def passed(engine: RemoteEngine, path: str) -> tuple[int, str, bytes]:
        async with engine.proxy_request(path, body) as answer:
            return answer.status, answer.media_type, b"".join([piece async for piece in answer.chunks])

    status, kind, said = with_engine(
        upstream, lambda engine: passed(engine, "/completions"), has_token_ids=False, has_windows=False
    )
    assert (status, kind) == (200, "text/event-stream")
    assert said.count(b"data: ") == 3
    assert upstream.asked[-1] == {**body, "model": "made"}
    upstream.faults = [422]
    status, kind, said = with_engine(
        upstream, lambda engine: passed(engine, "/completions"), has_token_ids=False, has_windows=False
    )
    assert (status, kind, b"as told" in said) == (422, "application/json", True)


def test_a_budget_is_sent_to_an_upstream_with_budgets() -> None:
    class Keeps(Upstream):
        """Refuses a window that makes no sense, as vLLM does with our processor."""

        async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
            if body and body.get("vllm_xargs", {}).get("z1_thinking_budget", 0) < -1:
                self.faults = [400]
            await super().answer(path, body, writer)

    async def keeps(engine: RemoteEngine) -> bool:
        return engine.has_windows

    assert with_engine(Keeps(letters), keeps)
    assert not with_engine(Upstream(letters), keeps)
    assert with_engine(Upstream(letters), keeps, has_windows=True)

    async def told(engine: RemoteEngine) -> list[Any]:
        body = {"tools": [], "vllm_xargs": {"z1_markers": ["<tool_call>"]}}
        free = engine.request_with_budget(body, None, None, None, None)
        return [free, engine.request_with_budget(body, 5, 9, "so:", AnswerKind.CODE)]

    assert with_engine(Upstream(letters), told, has_windows=False) == [None, None]
    free, given = with_engine(Upstream(letters), told, has_windows=True)
    assert free == {"tools": [], "vllm_xargs": {"z1_markers": ["<tool_call>"], "z1_thinking_budget": -1}}
    assert given["vllm_xargs"] == {
        "z1_markers": ["<tool_call>"],
        "z1_thinking_budget": 5,
        "z1_max_answer_tokens": 9,
        "z1_hint": "so:",
        "z1_answer_kind": "code",
    }


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_conformance_of_a_second_z1_behind_the_first(check: conformance.Check) -> None:
    async def held(url: str) -> tuple[int, bool, bool]:
        upstream = engines.Upstream(f"{url}/v1")
        async with RemoteEngine(upstream, Characters(), ("made up", "z1-tiny")) as engine:
            await check(engine, PROMPT)
            return engine.max_model_len, engine.capabilities.has_token_ids, engine.has_windows

    with second.serving(ScriptedEngine(letters, max_model_len=120)) as there:
        assert asyncio.run(held(there.url)) == (120, True, False)
        assert there.idle()


def test_a_second_z1_gives_the_replies_of_the_model_behind_it() -> None:
    """Stop tokens and markers are handled by the first z1; the second returns token ids."""
    here = local.load(shipped(), local.LocalSettings(max_num_seqs=2, max_model_len=512, deterministic=True))
    asked = [GenerationOptions(thinking_budget=window, max_answer_tokens=24) for window in (0, 9, 200)]

    async def replies(engine: Engine) -> list[Any]:
        async with engine:
            return [replace(await generate_reply(engine, "print(3 + 4)", options), seconds=0) for options in asked]

    async def bound(engine: Engine) -> None:
        async with engine:
            await conformance.forbidden_sequences_are_not_sampled(engine, [5, 6, 7, 20])

    with second.serving(
        local.load(shipped(), local.LocalSettings(max_num_seqs=2, max_model_len=512, deterministic=True))
    ) as there:
        upstream = engines.Upstream(f"{there.url}/v1")
        assert asyncio.run(replies(engines.load(upstream, str(shipped())))) == asyncio.run(replies(here))
        remote = engines.load(upstream, str(shipped()))
        asyncio.run(bound(remote))
        assert remote.capabilities.max_forbidden_length == 1


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (200, "text/html", b"<html>log in</html>", "/models of the upstream answered with text/html, not JSON"),
        (200, "application/json", b'{"data": []}', "/models lists no model"),
        (200, "application/json", b'{"data": [{"id": 5}, null]}', "/models lists no model"),
        (200, "application/json", b'"hello"', "/models lists no model"),
        (401, "application/json", b'{"error": {"message": "no sk-abcdef0123456789"}}', "answered 401: no [removed]"),
        (302, "text/html", b"", "the upstream answered 302"),
    ],
)
def test_a_server_that_is_no_upstream_is_a_fault_in_one_line(status: int, kind: str, body: bytes, said: str) -> None:
    class Other(Upstream):
        async def answer(self, path: str, _: Any, writer: asyncio.StreamWriter) -> None:
            head = f"HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)

    async def nothing(engine: RemoteEngine) -> None:
        raise AssertionError("entered")

    with pytest.raises(EngineFault) as caught:
        with_engine(Other(letters), nothing)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("card", "length"),
    [({"context_length": 77}, 77), ({"meta": {"n_ctx": 66, "n_ctx_train": 99}}, 66), ({"max_model_len": "x"}, 4096)],
)
def test_a_context_length_is_found_under_the_names_of_servers(card: dict[str, Any], length: int) -> None:
    class Listed(Upstream):
        async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
            if not path.endswith("/models"):
                return await super().answer(path, body, writer)
            data = json.dumps([{"id": "other"}, {"id": "mine", **card}]).encode()
            writer.write(b"HTTP/1.1 200 x\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
            return None

    async def seen(engine: RemoteEngine) -> tuple[str, int]:
        return engine.upstream_model, engine.max_model_len

    assert with_engine(Listed(letters), seen, model="mine") == ("mine", length)


def test_a_name_is_enough_where_the_upstream_lists_no_models() -> None:
    class Silent(Upstream):
        async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
            if not path.endswith("/models"):
                return await super().answer(path, body, writer)
            writer.write(b"HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n")
            return None

    async def seen(engine: RemoteEngine) -> str:
        return engine.upstream_model

    assert with_engine(Silent(letters), seen, model="mine") == "mine"
    with pytest.raises(EngineFault, match="answered 404"):
        with_engine(Silent(letters), seen)


def test_token_ids_that_are_none_are_a_fault_in_one_line() -> None:
    upstream = Upstream(lambda _: 97)

    async def asked(engine: RemoteEngine) -> None:
        session = await engine.open(PROMPT, Sampling())
        upstream.next_id = lambda _: -1
        with pytest.raises(EngineFault, match="the upstream sent '-1' as a token id; does MODEL name its model"):
            await session.sample(5)

    with_engine(upstream, asked)
