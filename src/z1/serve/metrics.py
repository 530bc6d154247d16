"""Prometheus metrics of one server, its usage by day, key and model, and its log of one line of JSON per reply.

None contains text of prompts or replies, unless the server logs prompts (`--log-prompts`). Token counts give
throughput; latency is measured to the first token, to the answer and to the end of a reply.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from z1.errors import UserError, Z1Error
from z1.risk_control import RiskMonitor
from z1.serve.runtime.exit_watch import ExitResult
from z1.serve.runtime.reply_runner import ReplyFinished
from z1.serve.runtime.shadow import ShadowResult
from z1.think import Bucket, Ledger, Shift

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300)

LOG = logging.getLogger("z1.serve")


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.usage = Usage()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(name, text, buckets=SECONDS, registry=registry)

        self._requests = counter("z1_requests", "Requests by route and status.", "route", "status")
        self._tokens = counter("z1_tokens", "Generated and forced tokens by ledger bucket.", "bucket")
        self._prompt_tokens = counter("z1_prompt_tokens", "Prompt tokens.")
        self._thoughts = counter("z1_thoughts", "Thoughts by the reason why they ended.", "reason")
        self._forced = counter("z1_forced", "Thoughts that were ended from outside, by reason.", "reason")
        self._replies = counter(
            "z1_replies", "Replies by how they ended: stop, string, cut, aborted, failed, disconnected.", "end"
        )
        self._first_token = histogram("z1_time_to_first_token_seconds", "Latency to the first token.")
        self._answer = histogram("z1_time_to_answer_seconds", "Latency to the first token of the answer.")
        self._reply = histogram("z1_reply_seconds", "Latency to the end of the reply.")
        self._shadow_replies = counter(
            "z1_shadow_replies",
            "Replies at a shadow budget: unaffected, answered the same, changed or missing, or dropped.",
            "thinking_budget",
            "outcome",
        )
        self._shadow_tokens = counter(
            "z1_shadow_tokens",
            "Thinking tokens of those replies, tokens that the budget saves, and tokens sampled for the comparison.",
            "thinking_budget",
            "kind",
        )
        self._exit_replies = counter(
            "z1_exit_replies",
            "Replies under the exit policy: exited, whole; of those drawn same, changed, unaffected; after the alarm "
            "suspended.",
            "outcome",
        )
        self._exit_tokens = counter(
            "z1_exit_tokens",
            "Of those replies: thinking tokens, those after an exit that was only observed, and tokens of probes.",
            "kind",
        )
        self._exit_net_saved = Gauge(
            "z1_exit_net_saved_tokens", "Estimated tokens saved by exits, less all probes.", registry=registry
        )
        self._exit_evidence = Gauge(
            "z1_exit_evidence", "Evidence that exits change more answers than their bound allows.", registry=registry
        )
        self._exit_alarm = Gauge("z1_exit_alarm", "1 once all thoughts are whole again.", registry=registry)
        self.running = Gauge("z1_running_replies", "Running replies.", registry=registry)

    def count_request(self, route: str, status: int) -> None:
        """Count a response."""
        self._requests.labels(route, str(status)).inc()

    def count_prompt(self, prompt_tokens: int, time_to_first_token: float | None) -> None:
        """Count a prompt and, if there was a token, the seconds to the first."""
        self._prompt_tokens.inc(prompt_tokens)
        if time_to_first_token is not None:
            self._first_token.observe(time_to_first_token)

    def count_reply(self, event: ReplyFinished, *, has_thinking: bool) -> None:
        """Count a finished reply."""
        ledger = event.ledger
        for bucket in (*Bucket, "probe"):
            self._tokens.labels(bucket).inc(getattr(ledger, bucket) or 0)
        self._replies.labels(event.end.value).inc()
        self._reply.observe(event.seconds)
        if event.time_to_answer is not None:
            self._answer.observe(event.time_to_answer)
        if has_thinking and event.shift is not None:
            self._thoughts.labels(event.shift.value).inc()
            if event.shift is not Shift.NATURAL:
                self._forced.labels(event.shift.value).inc()

    def count_unfinished(self, count: int, error: Z1Error | None) -> None:
        """Count replies that were refused or failed with `error`; without one, their client disconnected."""
        end = "disconnected" if error is None else "refused" if isinstance(error, UserError) else "failed"
        if count:
            self._replies.labels(end).inc(count)

    def count_shadow(self, result: ShadowResult) -> None:
        """Count a reply at a shadow budget."""
        budget = str(result.thinking_budget)
        self._shadow_replies.labels(budget, result.outcome).inc()
        self._shadow_tokens.labels(budget, "thinking").inc(result.thinking_tokens)
        self._shadow_tokens.labels(budget, "saved").inc(result.saved_tokens)
        self._shadow_tokens.labels(budget, "sampled").inc(result.sampled_tokens)

    def count_exit(self, result: ExitResult, net_saved_tokens: float, monitor: RiskMonitor) -> None:
        """Count a reply under the server's exit policy."""
        self._exit_replies.labels(result.outcome).inc()
        self._exit_tokens.labels("thinking").inc(result.thinking_tokens)
        self._exit_tokens.labels("observed").inc(result.thinking_tokens - result.exit_tokens)
        self._exit_tokens.labels("probe").inc(result.probe_tokens)
        self._exit_net_saved.set(net_saved_tokens)
        self._exit_evidence.set(monitor.evidence)
        self._exit_alarm.set(monitor.alarm)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class UsageKey(NamedTuple):
    """What usage is summed by: the day in UTC, the name of the API key, and the model's name in the request."""

    day: str
    key: str
    model: str


class UsageCounts(NamedTuple):
    """Sums over replies, broken off ones included; thought, hint and answer add up to the completion tokens. Those of
    uncounted replies are not in the sums: the upstream did not say how many they are.
    """

    replies: int = 0
    prompt_tokens: int = 0
    thinking_tokens: int = 0
    hint_tokens: int = 0
    answer_tokens: int = 0
    probe_tokens: int = 0
    uncounted_replies: int = 0

    @classmethod
    def of_reply(cls, prompt_tokens: int, ledger: Ledger) -> UsageCounts:
        """The counts of one reply."""
        thinking = ledger.thinking_tokens
        answer = ledger.completion_tokens - thinking - ledger.hint
        return cls(1, prompt_tokens, thinking, ledger.hint, answer, ledger.probe)


class Usage:
    """Usage of one server by day, key and model."""

    def __init__(self) -> None:
        self.sums: dict[UsageKey, UsageCounts] = {}

    def add(self, key: str, model: str, counts: UsageCounts) -> UsageKey:
        """Add the counts of replies; returns which sums have changed."""
        at = UsageKey(time.strftime("%Y-%m-%d", time.gmtime()), key, model)
        self.sums[at] = UsageCounts(*map(sum, zip(self.sums.get(at, UsageCounts()), counts, strict=True)))
        return at

    def rows(self, key: str | None = None) -> list[dict[str, Any]]:
        """The sums in order, those of one key or all."""
        found = sorted((at, counts) for at, counts in self.sums.items() if key in (None, at.key))
        return [{**at._asdict(), **counts._asdict()} for at, counts in found]


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Rows of usage as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*UsageKey._fields, *UsageCounts._fields])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def log_line(**fields: Any) -> None:
    """Log one line of JSON with the fields that are not None."""
    line = {"time": round(time.time(), 3), **{name: value for name, value in fields.items() if value is not None}}
    LOG.info(json.dumps(line, ensure_ascii=False))
