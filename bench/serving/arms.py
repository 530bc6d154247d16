"""The arms of the serving benchmark: the engine alone, z1's server, and vLLM's server.

Each arm is called once per round and returns a `Turn`. The engine alone runs 256 windows; the servers get
requests for replies of the same length from the same client over HTTP. vLLM generates as many tokens in plain
completions, and so does z1's server where the two are compared.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.serving.client import Stream, stream_all
from bench.serving.model import LENGTH, SHAPE, engine, save, tokenizer
from bench.thinking.workloads import Request, Sizes, uniform
from z1 import profiles
from z1.engines import Sampling, run_flow
from z1.think import Flow, Window

ANSWER = 24
PROMPT = 16

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Turn:
    """One arm in one round: sampled tokens, wall seconds, CPU seconds of the engine and of the rest of the server,
    and seconds to the first chunk and between chunks of every stream.
    """

    tokens: int
    seconds: float
    engine_cpu: float = 0.0
    server_cpu: float = 0.0
    first: Sequence[float] = ()
    gaps: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Sampled tokens per second."""
        return self.tokens / self.seconds


def requests(count: int, thinking: int) -> list[Request]:
    """Requests with random prompts; no reply ends by itself."""
    return uniform(count, thinking, Sizes(PROMPT, 1, ANSWER))


class Direct:
    """The engine alone, in this process."""

    def __init__(self, streams: int, core: int, thinking: int) -> None:
        self._engine, self._core = engine(streams, None), core
        self._requests = requests(streams, thinking)
        self._hint = profiles.hint_token_ids(tokenizer(), profiles.get_profile("plain"), no_thinking=False)

    def __call__(self) -> Turn:
        """Run all windows concurrently."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            wall, cpu = time.perf_counter(), time.thread_time()
            tokens = asyncio.run(self._all())
            return Turn(tokens, time.perf_counter() - wall, time.thread_time() - cpu)
        finally:
            os.sched_setaffinity(0, before)

    async def _all(self) -> int:
        return sum(await asyncio.gather(*map(self._one, self._requests)))

    async def _one(self, request: Request) -> int:
        session = await self._engine.open(request.prompt, Sampling())
        try:
            window = Window(request.thinking, request.answer, self._hint, frozenset())
            ledger = (await run_flow(Flow(window, session.free_tokens), session)).ledger()
        finally:
            await session.close()
        return ledger.thought + (ledger.answer or 0)


class _Process:
    """A server in a process of its own."""

    command: list[str]
    stdout: int = subprocess.DEVNULL
    """Target of its standard output; an unread pipe would block the process when full."""

    def __init__(self, streams: int, core: int, thinking: int) -> None:
        self._requests, self.core, self.thinking = requests(streams, thinking), core, thinking

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        settings = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self.command,
            env={**os.environ, **settings},
            cwd=ROOT,
            stdout=self.stdout,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def address(self) -> str:
        """The URL of the server; waits until it listens."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    def send(self, bodies: Sequence[dict[str, Any]]) -> tuple[list[Stream], float]:
        """Send all requests concurrently, from the cores that the engine does not use."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, before - {self.core})
        try:
            return asyncio.run(stream_all(self.address(), bodies))
        finally:
            os.sched_setaffinity(0, before)


class Served(_Process):
    """z1's server; like the clients it does not run on the engine's core."""

    stdout = subprocess.PIPE

    def __init__(self, streams: int, core: int, thinking: int, *, milliseconds: int) -> None:
        super().__init__(streams, core, thinking)
        self._url = ""
        self.command = [sys.executable, "-m", "bench.serving.server", str(streams), str(core), str(milliseconds)]

    def address(self) -> str:
        """The URL, which the server prints on its standard output."""
        if not self._url:
            assert self._process.stdout is not None
            self._url = self._process.stdout.readline().strip()
        if not self._url:
            raise RuntimeError("z1's server did not start")
        return self._url

    def __call__(self) -> Turn:
        """Replies with the windows of `Direct`."""
        budget = {"thinking_token_budget": self.thinking, "answer_tokens": ANSWER}
        return self._turn(budget)

    def plain(self) -> Turn:
        """Plain completions of as many tokens."""
        return self._turn({"max_tokens": self.thinking + ANSWER})

    def _turn(self, settings: dict[str, Any]) -> Turn:
        before = self._cpu_seconds()
        common = {"model": SHAPE.name, "temperature": 0, **settings}
        streams, seconds = self.send([{**common, "prompt": list(request.prompt)} for request in self._requests])
        server, engine = (after - start for after, start in zip(self._cpu_seconds(), before, strict=True))
        tokens = sum(stream.budget["used"] + stream.budget["answer_tokens"] for stream in streams)
        return Turn(tokens, seconds, engine, server, *_times(streams))

    def _cpu_seconds(self) -> tuple[float, float]:
        """CPU seconds of the server's process, and of its engine's."""
        own = self._process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return _cpu(own), sum(map(_cpu, children))


class Peer(_Process):
    """vLLM's own server on the same weights, on the same cores as z1's."""

    def __init__(self, python: str, core: int, streams: int, thinking: int) -> None:
        super().__init__(streams, core, thinking)
        self._folder = tempfile.TemporaryDirectory()
        save(Path(self._folder.name))
        serve = ["-m", "vllm.entrypoints.openai.api_server", "--model", self._folder.name, "--host", "127.0.0.1"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        self._url = f"http://127.0.0.1:{port}"
        limits = ["--port", port, "--max-model-len", str(LENGTH), "--max-num-seqs", str(streams)]
        settings = ["VLLM_CPU_KVCACHE_SPACE=1", f"VLLM_CPU_OMP_THREADS_BIND={core}", "VLLM_NO_USAGE_STATS=1"]
        self.command = [
            "env",
            "HF_HUB_OFFLINE=1",
            *settings,
            python,
            *serve,
            *limits,
            "--served-model-name",
            SHAPE.name,
        ]

    def address(self) -> str:
        """The URL; waits until /health answers."""
        for _ in range(600):
            if self._process.poll() is not None:
                raise RuntimeError("vLLM's server ended")
            try:
                urllib.request.urlopen(self._url + "/health", timeout=1).close()
                return self._url
            except OSError:
                time.sleep(0.5)
        raise RuntimeError("vLLM's server did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._folder.cleanup()

    def __call__(self) -> Turn:
        """Plain completions of as many tokens."""
        common = {"model": SHAPE.name, "temperature": 0, "max_tokens": self.thinking + ANSWER, "ignore_eos": True}
        streams, seconds = self.send([{**common, "prompt": list(request.prompt)} for request in self._requests])
        return Turn(sum(stream.usage["completion_tokens"] for stream in streams), seconds, 0.0, 0.0, *_times(streams))


def _cpu(pid: int | str) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _times(streams: Sequence[Stream]) -> tuple[list[float], list[float]]:
    return [stream.times[0] for stream in streams], [gap for stream in streams for gap in stream.gaps]
