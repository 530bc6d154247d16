"""What can an operator see?

Prometheus metrics of one server, and a line of JSON a request. Neither holds text of prompts or replies, unless the
server was told to write prompts down.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from z1.serve.runtime.reply_runner import ReplyFinished
from z1.serve.runtime.shadow import ShadowResult
from z1.think import Shift

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300)

LOG = logging.getLogger("z1.serve")


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        at = self._registry = CollectorRegistry()
        self._requests = Counter("z1_requests", "Requests, by route and status.", ["route", "status"], registry=at)
        self._tokens = Counter("z1_tokens", "Ids, by where they stand.", ["bucket"], registry=at)
        self._prompt = Counter("z1_prompt_tokens", "Ids of prompts.", registry=at)
        self._thoughts = Counter("z1_thoughts", "Thoughts, by why they ended.", ["reason"], registry=at)
        self._forced = Counter("z1_forced", "Thoughts ended from outside, by why.", ["reason"], registry=at)
        self._replies = Counter("z1_replies", "Replies, by how they ended.", ["end"], registry=at)
        self._first = Histogram("z1_time_to_first_token_seconds", "Until the first id.", buckets=SECONDS, registry=at)
        self._answer = Histogram("z1_time_to_answer_seconds", "Until the answer began.", buckets=SECONDS, registry=at)
        self._whole = Histogram("z1_reply_seconds", "Until the reply ended.", buckets=SECONDS, registry=at)
        self._shadow = Counter(
            "z1_shadow_replies",
            "Replies under a shadow window: whole, answered the same, changed or missing, or forgotten.",
            ["window", "outcome"],
            registry=at,
        )
        self._shadow_tokens = Counter(
            "z1_shadow_tokens",
            "Ids of thoughts under a shadow window: thought, saved by it, and paid to know it.",
            ["window", "kind"],
            registry=at,
        )
        self.running = Gauge("z1_running_replies", "Replies under way.", registry=at)

    def request(self, route: str, status: int) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()

    def begun(self, prompt_tokens: int, first: float | None) -> None:
        """A prompt was read, and the first id came after `first` seconds."""
        self._prompt.inc(prompt_tokens)
        if first is not None:
            self._first.observe(first)

    def ended(self, ended: ReplyFinished, *, thinks: bool) -> None:
        """A reply ended."""
        ledger = ended.ledger
        for bucket in ("thought", "close", "hint", "answer", "stop", "probe"):
            self._tokens.labels(bucket).inc(getattr(ledger, bucket) or 0)
        self._replies.labels(ended.end.value).inc()
        self._whole.observe(ended.seconds)
        if ended.answered is not None:
            self._answer.observe(ended.answered)
        if thinks and ended.shift is not None:
            self._thoughts.labels(ended.shift.value).inc()
            if ended.shift is not Shift.NATURAL:
                self._forced.labels(ended.shift.value).inc()

    def shadowed(self, seen: ShadowResult) -> None:
        """A reply was followed under a shadow window."""
        window = str(seen.thinking_budget)
        self._shadow.labels(window, seen.outcome).inc()
        for kind in ("thought", "saved", "paid"):
            self._shadow_tokens.labels(window, kind).inc(getattr(seen, kind))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


def journal(**facts: Any) -> None:
    """One line of JSON."""
    LOG.info(_line({"time": round(time.time(), 3), **facts}))


def _line(facts: Mapping[str, Any]) -> str:
    return json.dumps({name: fact for name, fact in facts.items() if fact is not None}, ensure_ascii=False)
