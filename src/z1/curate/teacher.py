"""Teacher client: requests trajectories from an OpenAI-compatible endpoint without losing a reply.

Each request is logged before it is sent. Faults (connection error, timeout, 408, 409, 429, 5xx, broken JSON) are
retried after an exponential backoff; a reply truncated at `max_tokens` is a reply. A request rejected for its content
is a fault that is not retried in this run; a rejected key, model or address ends the run. So does a redirect: the key
goes to no host but the one in the plan. Source: https://github.com/openai/openai-python (`_base_client.py` for the
retryable statuses). Departs from it in retrying broken JSON, and in reading no `OPENAI_…` variables.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from z1.curate.plan import TeacherSettings
from z1.curate.teacher_log import TeacherLogWriter, TeacherReply, TeacherRequest
from z1.curate.teacher_reply import parse
from z1.errors import EngineFault, UserError, leading_error

MAX_WAIT_S = 60.0

RETRYABLE = {408, 409, 429}
"""Retryable statuses besides 5xx."""

FATAL = {401: "teacher.api_key_env", 403: "teacher.api_key_env", 404: "teacher.url or teacher.model"}
"""Statuses that every other request would get too, and the setting to correct."""


class _Failed(Exception):
    """A failed request: its reason, whether it may be charged, whether to retry it, and after how many seconds."""

    def __init__(self, reason: str, *, is_paid: bool, is_retryable: bool = True, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.is_paid, self.is_retryable, self.wait_s = reason, is_paid, is_retryable, wait_s


def request_replies(
    requests: Iterable[TeacherRequest],
    teacher: TeacherSettings,
    log: TeacherLogWriter,
    progress: Callable[[int], None],
) -> int:
    """Send every request that has no reply in `log`; returns the number of replies still missing.

    `progress` receives the number of replies present. Raises UserError if the endpoint rejects key or model,
    EngineFault if it returns no replies at all.
    """
    try:
        return asyncio.run(_Client(teacher, log, progress).run(iter(requests)))
    except BaseExceptionGroup as group:
        raise leading_error(group) from None


class _Client:
    def __init__(self, teacher: TeacherSettings, log: TeacherLogWriter, progress: Callable[[int], None]) -> None:
        self._teacher, self._log, self._progress = teacher, log, progress
        self._present = self._missing = self._failures_in_a_row = 0
        self._started: set[str] = set()

    async def run(self, requests: Iterator[TeacherRequest]) -> int:
        async with httpx2.AsyncClient(
            headers=_authorization(self._teacher),
            timeout=self._teacher.timeout_s,
            limits=httpx2.Limits(max_connections=None),
            follow_redirects=False,
        ) as client:
            pending = self._pending(requests)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._teacher.concurrency):
                    group.create_task(self._work(client, pending))
        return self._missing

    def _pending(self, requests: Iterator[TeacherRequest]) -> Iterator[TeacherRequest]:
        """The requests without a reply, each key once: problems with the same text share their replies."""
        for request in requests:
            if request.key in self._started:
                continue
            self._started.add(request.key)
            refused = self._teacher.retry_refusals and self._log.is_refused(request.key)
            if request.key in self._log and not refused:
                self._present += 1
                self._progress(self._present)
            else:
                yield request

    async def _work(self, client: httpx2.AsyncClient, pending: Iterator[TeacherRequest]) -> None:
        for request in pending:
            if await self._try(client, request):
                self._present, self._failures_in_a_row = self._present + 1, 0
                self._progress(self._present)
            else:
                self._missing, self._failures_in_a_row = self._missing + 1, self._failures_in_a_row + 1
            if self._failures_in_a_row > self._teacher.concurrency:
                raise EngineFault(
                    f"teacher {self._teacher.url}: {self._failures_in_a_row} problems in a row without a reply, the "
                    f"last one failed with {list(self._log.faults)[-1]}; run the same command again when it responds"
                )

    async def _try(self, client: httpx2.AsyncClient, request: TeacherRequest) -> bool:
        """Request one reply, with retries; whether it arrived."""
        for attempt in range(self._teacher.max_attempts):
            self._log.log_request(request.key)
            try:
                self._log.log_reply(await self._send(client, request))
            except _Failed as failed:
                self._log.log_fault(request.key, failed.reason, paid=failed.is_paid)
                if not failed.is_retryable:
                    return False
                if attempt + 1 < self._teacher.max_attempts:
                    backoff = min(MAX_WAIT_S, self._teacher.retry_wait_s * 2**attempt)
                    await asyncio.sleep(max(failed.wait_s, backoff * random.uniform(0.75, 1)))
            else:
                return True
        return False

    async def _send(self, client: httpx2.AsyncClient, request: TeacherRequest) -> TeacherReply:
        teacher = self._teacher
        body = {
            "model": teacher.model,
            "messages": [{"role": "user", "content": request.prompt}],
            "max_tokens": teacher.max_tokens,
            "temperature": teacher.temperature,
            "top_p": teacher.top_p,
        }
        try:
            async with asyncio.timeout(teacher.timeout_s):  # the client's limit is per read of the response
                response = await client.post(f"{teacher.url.rstrip('/')}/chat/completions", json=body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise _Failed("connection", is_paid=False) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise _Failed("timeout", is_paid=True) from None
        except httpx2.HTTPError:
            raise _Failed("connection", is_paid=True) from None
        if not response.is_success:
            raise self._status_error(response)
        try:
            return parse(request.key, response.content)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise _Failed("broken reply", is_paid=True) from None

    def _status_error(self, response: httpx2.Response) -> Exception:
        status, what = response.status_code, f"teacher {self._teacher.url}"
        if response.has_redirect_location:
            return UserError(what, f"a redirect to {response.headers['location']}", "correct teacher.url")
        if status in FATAL:
            return UserError(what, f"status {status}", f"correct {FATAL[status]}")
        is_retryable = status in RETRYABLE or status >= 500
        wait_s = _retry_after(response.headers)
        return _Failed(f"status {status}", is_paid=False, is_retryable=is_retryable, wait_s=wait_s)


def _authorization(teacher: TeacherSettings) -> dict[str, str]:
    """The header with the plan's API key; none if the plan names no variable. Raises UserError if it is not set."""
    if not (variable := teacher.api_key_env):
        return {}
    if not (key := os.environ.get(variable, "").strip()):
        raise UserError("teacher.api_key_env", f"{variable}, which is not set", "set it, or remove the setting")
    return {"authorization": f"Bearer {key}"}


def _retry_after(headers: Any) -> float:
    """Seconds in a `retry-after` header, as a number or as a date, at most MAX_WAIT_S; 0 if there is none."""
    value = str(headers.get("retry-after") or "0")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(MAX_WAIT_S, seconds) if seconds > 0 else 0.0  # not for NaN
