"""How does one prompt become one reply?

The same few steps for the command line and for Python: render the prompt, open a session, drive a window over it, and
say in words and numbers what happened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from z1 import chat, world
from z1.engines import Drive, Engine, Sampling, drive
from z1.errors import UserError
from z1.think import Bucket, Flow, Ledger
from z1.think.answer import overlap

SHIPPED, LONG = "z1-tiny", "long-tiny"
"""The model that z1 ships, and beside it, to compare with, the one that was taught to think at length."""

ANSWER = 512
"""Ids that an answer may take where nothing is said, or a quarter of the context where that is less."""

Listener = Callable[[Bucket, str], None]
"""Told each piece of text with the bucket that it stands in."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the asker chose; None leaves the choice to z1. `window` and `answer` in ids, `deadline` in seconds.

    `stop` are strings that end the answer, and do not stand in it; in a thought they end nothing.
    """

    window: int | None = None
    answer: int | None = None
    deadline: float | None = None
    temperature: float = 0.0
    seed: int = 0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 0:
            raise UserError("window", self.window, "give 0 (answer at once) or more, or leave it out to think freely")
        if self.answer is not None and self.answer < 1:
            raise UserError("answer allowance", self.answer, "give 1 or more")
        if self.deadline is not None and self.deadline < 0:
            raise UserError("deadline", self.deadline, "give seconds, 0 or more")
        if self.temperature < 0:
            raise UserError("temperature", self.temperature, "give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise UserError("top_p", self.top_p, "give a share above 0, at most 1 (which leaves every id in)")
        if self.top_k < 0:
            raise UserError("top_k", self.top_k, "give how many ids to leave in, or 0 for all")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply in its parts. `ledger` counts ids; `shift` says why thinking stopped, `end` how the reply ended."""

    thought: str
    hint: str
    answer: str
    ledger: Ledger
    shift: str
    end: str
    seconds: float
    model: str

    @property
    def text(self) -> str:
        """The whole reply."""
        return self.thought + self.hint + self.answer

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        ledger = {
            bucket: getattr(self.ledger, bucket) for bucket in ("thought", "close", "hint", "answer", "stop", "probe")
        }
        parts = {"model": self.model, "thought": self.thought, "hint": self.hint, "answer": self.answer}
        return {**parts, "ledger": ledger, "shift": self.shift, "end": self.end, "seconds": round(self.seconds, 3)}


async def ask(engine: Engine, prompt: str, options: Options, listen: Listener | None = None) -> Reply:
    """One reply of `engine` to `prompt`. Raises UserError where the prompt does not fit, or the model cannot know
    it.
    """
    began = time.monotonic()
    profile, tokenizer = chat.profile(engine.profile), engine.tokenizer
    if profile.name == SHIPPED:
        prompt = speaks(prompt)
    draws = {name: getattr(options, name) for name in ("temperature", "top_p", "top_k", "seed")}
    sampling = Sampling(chat.stop_ids(tokenizer, profile), **draws)
    session = await engine.open(chat.prompt_ids(tokenizer, profile, prompt), sampling)
    try:
        answer = options.answer if options.answer is not None else max(1, min(ANSWER, session.room // 4))
        window = chat.window(tokenizer, profile, options.window, answer)
        detector = chat.detector(tokenizer, profile)
        strings = chat.stop_strings(tokenizer, options.stop)
        flow = Flow(window, session.room, detects=detector is not None, strings=strings)
        pieces = _Pieces(tokenizer, listen, options.stop) if listen else None
        how = Drive(detector, 1 if listen else None, options.deadline, pieces.came if pieces else None)
        await drive(flow, session, how)
    finally:
        await session.close()
    if pieces is not None:
        pieces.end()
    return _reply(flow, engine, options.stop, time.monotonic() - began)


def think(
    prompt: str,
    model: str | Path | None = None,
    window: int | None = None,
    *,
    profile: str | None = None,
    **options: Any,
) -> Reply:
    """Think about `prompt` for at most `window` ids (None: freely) and answer.

    `model` is a model folder or a hub id, the shipped z1-tiny where nothing is said; further `options` are the fields
    of `Options`. Also works where an event loop is running, such as in a notebook.
    """
    from z1.engines.local import load

    async def run() -> Reply:
        async with load(model or shipped(), profile=profile) as engine:
            return await ask(engine, prompt, Options(window=window, **options))

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


def shipped(name: str = SHIPPED) -> Path:
    """The folder of a model that z1 ships: its own, or `LONG`, which was taught to think at length."""
    return Path(str(files("z1") / "models" / name))


class _Pieces:
    """Turns ids into text as they come.

    A character that is not whole yet waits for its rest, and so does what may become a stop string in the answer.
    """

    def __init__(self, tokenizer: chat.Tokenizer, listen: Listener, strings: tuple[str, ...]) -> None:
        self._tokenizer, self._listen, self._strings = tokenizer, listen, strings
        self._bucket: Bucket | None = None
        self._ids: list[int] = []
        self._said = 0

    def came(self, bucket: Bucket, ids: tuple[int, ...]) -> None:
        if bucket is not self._bucket:
            self.end()
            self._bucket, self._ids, self._said = bucket, [], 0
        self._ids += ids
        text = chat.text_of(self._tokenizer, self._ids)
        if bucket is Bucket.STOP or text.endswith("\ufffd"):
            return
        whole = chat.before(text, self._strings) if bucket is Bucket.ANSWER else text
        if whole == text and bucket is Bucket.ANSWER:
            whole = text[: len(text) - max((overlap(text, string) for string in self._strings), default=0)]
        self._say(bucket, whole)

    def end(self) -> None:
        """Say what waited for more, now that nothing more comes."""
        if self._bucket is Bucket.ANSWER and self._strings:
            self._say(Bucket.ANSWER, chat.before(chat.text_of(self._tokenizer, self._ids), self._strings))

    def _say(self, bucket: Bucket, text: str) -> None:
        if len(text) > self._said:
            self._listen(bucket, text[self._said :])
            self._said = len(text)


def speaks(prompt: str) -> str:
    """`prompt` as the shipped model wants to hear it. Raises UserError for what it cannot know."""
    if not prompt.strip():
        return prompt  # the renderer refuses it in better words
    question = world.recognise(prompt)
    if question is None:
        do = 'ask what a small program prints, or name another model: z1 think --model Qwen/Qwen2.5-7B-Instruct "..."'
        raise UserError(f"{SHIPPED} knows small Python programs only", repr(prompt[:40]), do)
    return question


def _reply(flow: Flow, engine: Engine, strings: tuple[str, ...], seconds: float) -> Reply:
    texts = dict.fromkeys(Bucket, "")
    for span in flow.spans():
        texts[span.bucket] += chat.text_of(engine.tokenizer, flow.ids[span.start : span.end])
    thought = texts[Bucket.THOUGHT] + texts[Bucket.CLOSE]
    shift, end = flow.shifted.value if flow.shifted else "", flow.end.value if flow.end else ""
    answer = chat.before(texts[Bucket.ANSWER], strings)
    return Reply(thought, texts[Bucket.HINT], answer, flow.ledger(), shift, end, seconds, engine.name)
