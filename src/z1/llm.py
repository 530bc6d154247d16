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

from z1 import profiles, synthetic
from z1.engines import DriverOptions, Engine, Sampling, drive
from z1.errors import UserError
from z1.think import Bucket, Flow, Ledger
from z1.think.answer_detector import overlap

SHIPPED, LONG = "z1-tiny", "long-tiny"
"""The model that z1 ships, and beside it, to compare with, the one that was taught to think at length."""

ANSWER = 512
"""Ids that an answer may take where nothing is said, or a quarter of the context where that is less."""

Listener = Callable[[Bucket, str], None]
"""Told each piece of text with the bucket that it stands in."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """What the asker chose; None leaves the choice to z1. `thinking_budget` and `max_answer_tokens` in ids, `deadline`
    in seconds.

    `stop` are strings that end the answer, and do not stand in it; in a thought they end nothing.
    """

    thinking_budget: int | None = None
    max_answer_tokens: int | None = None
    deadline: float | None = None
    temperature: float = 0.0
    seed: int = 0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.thinking_budget is not None and self.thinking_budget < 0:
            raise UserError(
                "window", self.thinking_budget, "give 0 (answer at once) or more, or leave it out to think freely"
            )
        if self.max_answer_tokens is not None and self.max_answer_tokens < 1:
            raise UserError("answer allowance", self.max_answer_tokens, "give 1 or more")
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

    thinking: str
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
        return self.thinking + self.hint + self.answer

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        ledger = {
            bucket: getattr(self.ledger, bucket) for bucket in ("thought", "close", "hint", "answer", "stop", "probe")
        }
        parts = {"model": self.model, "thought": self.thinking, "hint": self.hint, "answer": self.answer}
        return {**parts, "ledger": ledger, "shift": self.shift, "end": self.end, "seconds": round(self.seconds, 3)}


async def ask(engine: Engine, prompt: str, options: GenerationOptions, listen: Listener | None = None) -> Reply:
    """One reply of `engine` to `prompt`. Raises UserError where the prompt does not fit, or the model cannot know
    it.
    """
    began = time.monotonic()
    profile, tokenizer = profiles.profile(engine.profile), engine.tokenizer
    if profile.name == SHIPPED:
        prompt = speaks(prompt)
    draws = {name: getattr(options, name) for name in ("temperature", "top_p", "top_k", "seed")}
    sampling = Sampling(profiles.stop_ids(tokenizer, profile), **draws)
    session = await engine.open(profiles.prompt_ids(tokenizer, profile, prompt), sampling)
    try:
        answer = (
            options.max_answer_tokens
            if options.max_answer_tokens is not None
            else max(1, min(ANSWER, session.free_tokens // 4))
        )
        window = profiles.window(tokenizer, profile, options.thinking_budget, answer)
        detector = profiles.detector(tokenizer, profile)
        strings = profiles.stop_strings(tokenizer, options.stop)
        flow = Flow(window, session.free_tokens, detects=detector is not None, strings=strings)
        pieces = _Pieces(tokenizer, listen, options.stop) if listen else None
        how = DriverOptions(detector, 1 if listen else None, options.deadline, pieces.came if pieces else None)
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
    of `GenerationOptions`. Also works where an event loop is running, such as in a notebook.
    """
    from z1.engines.local.engine import load

    async def run() -> Reply:
        async with load(model or shipped(), profile=profile) as engine:
            return await ask(engine, prompt, GenerationOptions(thinking_budget=window, **options))

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


def shipped(name: str = SHIPPED) -> Path:
    """The folder of a model that z1 ships: its own, or `LONG`, which was taught to think at length."""
    return Path(str(files("z1") / "models" / name))


class _Pieces:
    """Turns ids into text as they come.

    A character that is not whole yet waits for its rest, and so does what may become a stop string in the answer.
    """

    def __init__(self, tokenizer: profiles.Tokenizer, listen: Listener, strings: tuple[str, ...]) -> None:
        self._tokenizer, self._listen, self._strings = tokenizer, listen, strings
        self._bucket: Bucket | None = None
        self._ids: list[int] = []
        self._said = 0

    def came(self, bucket: Bucket, ids: tuple[int, ...]) -> None:
        if bucket is not self._bucket:
            self.end()
            self._bucket, self._ids, self._said = bucket, [], 0
        self._ids += ids
        text = profiles.text_of(self._tokenizer, self._ids)
        if bucket is Bucket.STOP or text.endswith("\ufffd"):
            return
        whole = profiles.before(text, self._strings) if bucket is Bucket.ANSWER else text
        if whole == text and bucket is Bucket.ANSWER:
            whole = text[: len(text) - max((overlap(text, string) for string in self._strings), default=0)]
        self._say(bucket, whole)

    def end(self) -> None:
        """Say what waited for more, now that nothing more comes."""
        if self._bucket is Bucket.ANSWER and self._strings:
            self._say(Bucket.ANSWER, profiles.before(profiles.text_of(self._tokenizer, self._ids), self._strings))

    def _say(self, bucket: Bucket, text: str) -> None:
        if len(text) > self._said:
            self._listen(bucket, text[self._said :])
            self._said = len(text)


def speaks(prompt: str) -> str:
    """`prompt` as the shipped model wants to hear it. Raises UserError for what it cannot know."""
    if not prompt.strip():
        return prompt  # the renderer refuses it in better words
    question = synthetic.recognise(prompt)
    if question is None:
        do = 'ask what a small program prints, or name another model: z1 think --model Qwen/Qwen2.5-7B-Instruct "..."'
        raise UserError(f"{SHIPPED} knows small Python programs only", repr(prompt[:40]), do)
    return question


def _reply(flow: Flow, engine: Engine, strings: tuple[str, ...], seconds: float) -> Reply:
    texts = dict.fromkeys(Bucket, "")
    for span in flow.spans():
        texts[span.bucket] += profiles.text_of(engine.tokenizer, flow.token_ids[span.start : span.end])
    thought = texts[Bucket.THOUGHT] + texts[Bucket.CLOSE]
    shift, end = flow.shifted.value if flow.shifted else "", flow.end.value if flow.end else ""
    answer = profiles.before(texts[Bucket.ANSWER], strings)
    return Reply(thought, texts[Bucket.HINT], answer, flow.ledger(), shift, end, seconds, engine.name)
