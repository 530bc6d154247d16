"""How is a teacher asked so that no reply is ever lost?

Any OpenAI-compatible endpoint, through the `openai` library, whose own retries are off: each request is written down
before it leaves. Faults (connection, hanging, 408, 409, 429, 5xx, broken JSON) are tried again after a growing wait; a
reply cut at its length is a reply. A request that the server refuses for its content is a fault that is not tried again
in this run; a refused key, model or address ends it. Source: https://github.com/openai/openai-python (its
`_base_client.py` for which statuses are worth another try). Departs from it in trying broken JSON again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import openai

from z1.curate.plan import TeacherSettings
from z1.curate.teacher_log import TeacherReplies, TeacherReply, TeacherRequest
from z1.errors import EngineFault, UserError, Z1Error

LONGEST_WAIT_S = 60.0

AGAIN = {408, 409, 429}
"""Statuses besides 5xx that may be better next time."""

SETTINGS = {401: "teacher.key_variable", 403: "teacher.key_variable", 404: "teacher.url or teacher.model"}
"""Statuses that no other request will change, and what to look at."""


class _Failed(Exception):
    """One request failed: why, whether it may have been paid for, whether to try again, and after how many seconds."""

    def __init__(self, why: str, *, paid: bool, again: bool = True, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.paid, self.again, self.wait_s = why, paid, again, wait_s


def ask_all(
    wanted: Iterable[TeacherRequest], teacher: TeacherSettings, replies: TeacherReplies, at: Callable[[int], None]
) -> int:
    """Ask for every reply that is not here yet; returns how many are still missing. `at` is told how many are here.

    Raises UserError where the endpoint refuses key or model, EngineFault where it gives nothing at all.
    """
    try:
        return asyncio.run(_Asking(teacher, replies, at).run(iter(wanted)))
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    """The one error of a group that says why; our own before others."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, Z1Error)), leaves[0])


class _Asking:
    def __init__(self, teacher: TeacherSettings, replies: TeacherReplies, at: Callable[[int], None]) -> None:
        self._teacher, self._replies, self._at = teacher, replies, at
        self._here = self._missing = self._in_vain = 0
        self._begun: set[str] = set()

    async def run(self, wanted: Iterator[TeacherRequest]) -> int:
        key = os.environ.get(self._teacher.key_variable) or "none"
        async with openai.AsyncOpenAI(
            api_key=key, base_url=self._teacher.url, max_retries=0, timeout=self._teacher.timeout_s
        ) as client:
            left = self._left(wanted)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._teacher.concurrency):
                    group.create_task(self._work(client, left))
        return self._missing

    def _left(self, wanted: Iterator[TeacherRequest]) -> Iterator[TeacherRequest]:
        """What is not here yet, each key once: problems that read the same share their replies."""
        for ask in wanted:
            if ask.key in self._begun:
                continue
            self._begun.add(ask.key)
            if ask.key in self._replies:
                self._here += 1
                self._at(self._here)
            else:
                yield ask

    async def _work(self, client: openai.AsyncOpenAI, left: Iterator[TeacherRequest]) -> None:
        for ask in left:
            if await self._until_here(client, ask):
                self._here, self._in_vain = self._here + 1, 0
                self._at(self._here)
            else:
                self._missing, self._in_vain = self._missing + 1, self._in_vain + 1
            if self._in_vain > self._teacher.concurrency:
                raise EngineFault(
                    f"teacher {self._teacher.url}: {self._in_vain} problems in a row without a reply, the last for "
                    f"{list(self._replies.faults)[-1]}; run the same command again when it answers"
                )

    async def _until_here(self, client: openai.AsyncOpenAI, ask: TeacherRequest) -> bool:
        """Try for one reply; whether it came."""
        for tried in range(self._teacher.tries):
            self._replies.ask(ask.key)
            try:
                self._replies.reply(await self._once(client, ask))
            except _Failed as failed:
                self._replies.fault(ask.key, failed.why, paid=failed.paid)
                if not failed.again:
                    return False
                if tried + 1 < self._teacher.tries:
                    grown = min(LONGEST_WAIT_S, self._teacher.wait_s * 2**tried)
                    await asyncio.sleep(max(failed.wait_s, grown * random.uniform(0.75, 1)))
            else:
                return True
        return False

    async def _once(self, client: openai.AsyncOpenAI, ask: TeacherRequest) -> TeacherReply:
        teacher = self._teacher
        try:
            async with asyncio.timeout(teacher.timeout_s):  # the library's is for each read, and a server may trickle
                raw = await client.chat.completions.with_raw_response.create(
                    model=teacher.model,
                    messages=[{"role": "user", "content": ask.prompt}],
                    max_tokens=teacher.max_tokens,
                    temperature=teacher.temperature,
                    top_p=teacher.top_p,
                )
            return parse(ask.key, raw.http_response.content)
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except (TimeoutError, openai.APITimeoutError):
            raise _Failed("hanging", paid=True) from None
        except openai.APIConnectionError as error:
            never_left = type(error.__cause__).__name__ == "ConnectError"
            raise _Failed("connection", paid=not never_left) from None
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise _Failed("broken reply", paid=True) from None

    def _refused(self, error: openai.APIStatusError) -> Exception:
        status = error.status_code
        if status in SETTINGS:
            return UserError(f"teacher {self._teacher.url}", f"status {status}", f"correct {SETTINGS[status]}")
        again = status in AGAIN or status >= 500
        return _Failed(f"status {status}", paid=False, again=again, wait_s=_asked_to_wait(error.response.headers))


def _asked_to_wait(headers: Any) -> float:
    """Seconds in a `retry-after` header, up to the longest wait; 0 where there is none or a date."""
    try:
        return max(0.0, min(LONGEST_WAIT_S, float(headers.get("retry-after", 0))))
    except ValueError:
        return 0.0


def parse(key: str, body: bytes) -> TeacherReply:
    """The reply in a chat completion. Raises ValueError, TypeError, KeyError or IndexError where it is not whole."""
    value = json.loads(body)
    choice, usage = value["choices"][0], value.get("usage") or {}
    message = choice["message"]
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    text, end = message["content"] or "", choice["finish_reason"]
    if not isinstance(end, str) or not (text or thought):
        raise ValueError("a reply without an end or without text")
    tokens = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
    return TeacherReply(key, text, thought, end, *tokens)
