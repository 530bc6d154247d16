"""The Python API: `LLM` loads a model once and generates replies with a thinking budget.

    with z1.LLM("Qwen/Qwen3-8B") as llm:
        reply = llm.generate("How many primes are below 60?", thinking_budget=512)
        replies = llm.generate(questions, thinking_budget=512)     # a list is generated as one batch
        print(reply.answer, reply.ledger.thought, reply.shift)

`LLM` runs an engine in a background thread, so it works in scripts, in notebooks and inside a running event loop.
`z1.generation` has the options, the reply, and the coroutine for code that has its own engine.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, TypeVar, Unpack, overload

from z1.engines import Control, Engine
from z1.errors import EngineFault, UserError
from z1.generation import (
    GenerationOptions,
    GenerationSettings,
    Message,
    Reply,
    ReplyDelta,
    TextListener,
    generate_reply,
)
from z1.models import shipped
from z1.think import THINKING, Bucket

PARTS = {**dict.fromkeys(THINKING, "thinking"), Bucket.HINT: "hint", Bucket.ANSWER: "answer"}

T = TypeVar("T")


class ReplyStream:
    """A reply that is being generated: iterate with `for` or `async for` over its `ReplyDelta`s.

    Generation starts with the iteration. Leaving the loop early cancels it. `reply` is the whole reply once the
    iteration is finished, None before.
    """

    def __init__(self, start: Callable[[TextListener, Callable[[Control], None]], Future[Reply]]) -> None:
        self._start = start
        self._answer_now: Callable[[], object] | None = None
        self.reply: Reply | None = None

    def answer_now(self) -> None:
        """End the thought that is being generated, from any thread; no effect where none is."""
        if (request := self._answer_now) is not None:
            request()

    def __iter__(self) -> Iterator[ReplyDelta]:
        queue: SimpleQueue[ReplyDelta | None] = SimpleQueue()
        future = self._begin(queue.put)
        try:
            while (delta := queue.get()) is not None:
                yield delta
            self.reply = _result(future)
        finally:
            future.cancel()

    async def __aiter__(self) -> AsyncIterator[ReplyDelta]:
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[ReplyDelta | None]()
        future = self._begin(lambda delta: loop.call_soon_threadsafe(queue.put_nowait, delta))
        try:
            while (delta := await queue.get()) is not None:
                yield delta
            self.reply = _result(future)
        finally:
            future.cancel()

    def _begin(self, put: Callable[[ReplyDelta | None], object]) -> Future[Reply]:
        def on_text(bucket: Bucket, text: str) -> None:
            put(ReplyDelta(PARTS[bucket], text))

        def on_start(control: Control) -> None:
            self._answer_now = partial(asyncio.get_running_loop().call_soon_threadsafe, control.answer_now)

        def on_end(_: object) -> None:
            self._answer_now = None
            put(None)

        future = self._start(on_text, on_start)
        future.add_done_callback(on_end)
        return future


class LLM:
    """A model that generates with a thinking budget. Close it, or use it as a context manager.

    `model` is a model folder, a GGUF file or a hub id; z1-tiny, which is in the package, by default. `profile` names
    the model's family (a row of `z1.profiles.PROFILES`) where it cannot be detected. Up to `max_num_seqs` replies are
    generated at once, each with a context of at most `max_model_len` tokens. With `deterministic`, greedy replies do
    not depend on what else is generated (bit for bit on one kind of CPU). `LLM.of` takes an engine instead of a model.
    `dtype` is that of the weights on a CPU: float32, bfloat16, or auto, which is float32 where that fits into memory.

    Raises UserError for a model that cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        profile: str | None = None,
        max_num_seqs: int = 64,
        max_model_len: int = 4096,
        deterministic: bool = False,
        dtype: str = "auto",
    ) -> None:
        from z1.engines.local.engine import LocalSettings, load

        settings = LocalSettings(max_num_seqs, max_model_len, deterministic, dtype=dtype)
        self._run_engine(load(model or shipped(), settings, profile), max_num_seqs)

    @classmethod
    def of(cls, engine: Engine, max_num_seqs: int = 64) -> Self:
        """An LLM on an engine that is not entered yet: a remote server, vLLM in process, a scripted model."""
        made = cls.__new__(cls)
        made._run_engine(engine, max_num_seqs)
        return made

    def _run_engine(self, engine: Engine, max_num_seqs: int) -> None:
        self.engine = engine
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(max_num_seqs)
        self._running: set[Future[Any]] = set()
        thread = threading.Thread(target=self._loop.run_forever, name="z1-llm", daemon=True)
        thread.start()
        self._close = weakref.finalize(self, _shut_down, engine, self._loop, thread, self._running)
        try:
            self.submit(engine.__aenter__()).result()
        except BaseException:
            self._close()
            raise

    def close(self) -> None:
        """Cancel what is being generated, stop the engine and free its memory. Closing twice has no effect."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload  # a string is also a sequence of strings: this signature comes first
    def generate(self, prompts: str, **settings: Unpack[GenerationSettings]) -> Reply: ...  # type: ignore[overload-overlap]
    @overload
    def generate(self, prompts: Sequence[str], **settings: Unpack[GenerationSettings]) -> list[Reply]: ...
    def generate(self, prompts: str | Sequence[str], **settings: Unpack[GenerationSettings]) -> Reply | list[Reply]:
        """Reply to one prompt, or to many as one batch, in their order.

        Each prompt is a user message; the model's chat template is applied. The settings are the fields of
        `GenerationOptions`. Raises UserError for a prompt that does not fit, EngineFault where the engine fails.
        """
        return self._wait(self._replies(_conversations(prompts), GenerationOptions.of(**settings)), prompts)

    @overload
    def chat(self, messages: Sequence[Message], **settings: Unpack[GenerationSettings]) -> Reply: ...
    @overload
    def chat(self, messages: Sequence[Sequence[Message]], **settings: Unpack[GenerationSettings]) -> list[Reply]: ...
    def chat(
        self, messages: Sequence[Message] | Sequence[Sequence[Message]], **settings: Unpack[GenerationSettings]
    ) -> Reply | list[Reply]:
        """Reply to one conversation, or to many as one batch. A message has the keys `role` and `content`."""
        return self._wait(self._replies(_conversations(messages), GenerationOptions.of(**settings)), messages)

    async def agenerate(
        self, prompts: str | Sequence[str], **settings: Unpack[GenerationSettings]
    ) -> Reply | list[Reply]:
        """As `generate`, awaited from the caller's event loop."""
        work = self._replies(_conversations(prompts), GenerationOptions.of(**settings))
        return _same_shape(await asyncio.wrap_future(self.submit(work)), prompts)

    async def achat(
        self, messages: Sequence[Message] | Sequence[Sequence[Message]], **settings: Unpack[GenerationSettings]
    ) -> Reply | list[Reply]:
        """As `chat`, awaited from the caller's event loop."""
        work = self._replies(_conversations(messages), GenerationOptions.of(**settings))
        return _same_shape(await asyncio.wrap_future(self.submit(work)), messages)

    def stream(self, prompt: str | Sequence[Message], **settings: Unpack[GenerationSettings]) -> ReplyStream:
        """The reply to one prompt or one conversation, as it is generated."""
        (conversation,) = _conversations(prompt)
        options = GenerationOptions.of(**settings)
        return ReplyStream(lambda on_text, on_start: self.submit(self._reply(conversation, options, on_text, on_start)))

    async def _replies(self, conversations: Sequence[Sequence[Message]], options: GenerationOptions) -> list[Reply]:
        async def numbered(number: int, conversation: Sequence[Message]) -> Reply:
            try:
                return await self._reply(conversation, options)
            except UserError as error:
                if len(conversations) == 1:
                    raise
                raise UserError(f"prompt {number}: {error.what}", error.got, error.do) from None

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(numbered(n, one)) for n, one in enumerate(conversations)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _reply(
        self,
        conversation: Sequence[Message],
        options: GenerationOptions,
        on_text: TextListener | None = None,
        on_start: Callable[[Control], None] | None = None,
    ) -> Reply:
        async with self._slots:
            return await generate_reply(self.engine, conversation, options, on_text, on_start)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine that uses `engine` on the engine's event loop. Raises UserError if the LLM is closed."""
        if not self._close.alive:
            work.close()
            raise UserError("LLM", "a closed LLM", "load the model again")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def _wait(self, work: Coroutine[Any, Any, list[Reply]], given: object) -> Reply | list[Reply]:
        future = self.submit(work)
        try:
            return _same_shape(_result(future), given)
        finally:
            future.cancel()  # Ctrl-C stops the running generation; no effect on a finished future


def _shut_down(
    engine: Engine, loop: asyncio.AbstractEventLoop, thread: threading.Thread, running: set[Future[Any]]
) -> None:
    for future in tuple(running):
        future.cancel()
    try:
        asyncio.run_coroutine_threadsafe(engine.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _result(future: Future[T]) -> T:
    """The result of `future`. Raises EngineFault if closing the LLM cancelled it."""
    try:
        return future.result()
    except CancelledError:
        raise EngineFault("the LLM was closed while it generated") from None


def _conversations(given: Any) -> list[list[Message]]:
    """One conversation for each prompt or list of messages in `given`."""
    if isinstance(given, str):
        return [[{"role": "user", "content": given}]]
    if _is_conversation(given):
        return [list(given)]
    return [conversation for one in given for conversation in _conversations(one)]


def _same_shape(replies: list[Reply], given: Any) -> Reply | list[Reply]:
    """One reply for one prompt or conversation, a list for many."""
    return replies[0] if isinstance(given, str) or _is_conversation(given) else replies


def _is_conversation(given: Any) -> bool:
    return bool(given) and all(isinstance(one, Mapping) for one in given)
