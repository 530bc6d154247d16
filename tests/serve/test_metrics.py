"""Tests of z1.serve.metrics."""

from __future__ import annotations

import json
import logging

import pytest

from z1.errors import EngineFault, UserError
from z1.serve.metrics import Metrics, log_line
from z1.serve.runtime.reply_runner import ReplyFinished
from z1.think import End, Ledger, Shift


def test_natural_ends_are_not_forced_and_replies_without_thinking_have_no_thought() -> None:
    metrics = Metrics()
    metrics.count_reply(ReplyFinished(Ledger(thought=5, stop=1), Shift.NATURAL, End.STOP, None, 1.0), has_thinking=True)
    metrics.count_reply(ReplyFinished(Ledger(answer=3), Shift.BUDGET, End.CUT, 0.1, 1.0), has_thinking=False)
    metrics.count_reply(
        ReplyFinished(Ledger(thought=5, hint=2, answer=3), Shift.CONTROL, End.CUT, 0.1, 1.0), has_thinking=True
    )
    text = metrics.text().decode()
    assert 'z1_forced_total{reason="control"} 1.0' in text
    assert text.count("z1_forced_total{") == 1
    assert 'z1_thoughts_total{reason="natural"} 1.0' in text
    assert 'reason="budget"' not in text
    assert 'z1_tokens_total{bucket="answer"} 6.0' in text
    assert 'z1_replies_total{end="cut"} 2.0' in text
    assert "z1_reply_seconds_count 3.0" in text


def test_replies_without_an_end_are_refused_failed_or_disconnected() -> None:
    metrics = Metrics()
    for error in (UserError("max_tokens", 3, "raise it"), EngineFault("lost"), None):
        metrics.count_unfinished(2, error)
    metrics.count_unfinished(0, EngineFault("lost"))
    text = metrics.text().decode()
    assert [f'z1_replies_total{{end="{end}"}} 2.0' in text for end in ("refused", "failed", "disconnected")] == [
        True
    ] * 3


def test_time_to_first_token_needs_a_token() -> None:
    metrics = Metrics()
    metrics.count_prompt(7, 0.5)
    metrics.count_prompt(7, None)
    text = metrics.text().decode()
    assert "z1_prompt_tokens_total 14.0" in text
    assert "z1_time_to_first_token_seconds_count 1.0" in text


def test_a_log_line_has_the_fields_that_are_not_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "z1.serve")
    log_line(id="x", answer=None, end="stop")
    line = json.loads(caplog.messages[0])
    assert line.pop("time") > 0
    assert line == {"id": "x", "end": "stop"}
