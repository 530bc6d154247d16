"""Is what ended counted where an operator looks for it?"""

from __future__ import annotations

import json
import logging

import pytest

from z1.serve.metrics import Metrics, journal
from z1.serve.runtime.reply_runner import ReplyFinished
from z1.think import End, Ledger, Shift


def test_a_natural_end_is_no_forced_one_and_where_nothing_is_thought_no_thought_ends() -> None:
    meters = Metrics()
    meters.ended(ReplyFinished(Ledger(thought=5, stop=1), Shift.NATURAL, End.STOP, None, 1.0), thinks=True)
    meters.ended(ReplyFinished(Ledger(answer=3), Shift.BUDGET, End.CUT, 0.1, 1.0), thinks=False)
    meters.ended(ReplyFinished(Ledger(thought=5, hint=2, answer=3), Shift.CONTROL, End.CUT, 0.1, 1.0), thinks=True)
    text = meters.text().decode()
    assert 'z1_forced_total{reason="control"} 1.0' in text
    assert text.count("z1_forced_total{") == 1
    assert 'z1_thoughts_total{reason="natural"} 1.0' in text
    assert 'reason="budget"' not in text
    assert 'z1_tokens_total{bucket="answer"} 6.0' in text
    assert 'z1_replies_total{end="cut"} 2.0' in text
    assert "z1_reply_seconds_count 3.0" in text


def test_the_first_id_is_timed_where_there_was_one() -> None:
    meters = Metrics()
    meters.begun(7, 0.5)
    meters.begun(7, None)
    text = meters.text().decode()
    assert "z1_prompt_tokens_total 14.0" in text
    assert "z1_time_to_first_token_seconds_count 1.0" in text


def test_a_line_holds_the_facts_that_there_are(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "z1.serve")
    journal(id="x", answer=None, end="stop")
    line = json.loads(caplog.messages[0])
    assert line.pop("time") > 0
    assert line == {"id": "x", "end": "stop"}
