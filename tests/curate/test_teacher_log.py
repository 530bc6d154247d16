"""A reply is keyed by what determines it; usage follows from the log alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from z1.curate.plan import TeacherSettings
from z1.curate.sources import Candidate
from z1.curate.teacher_log import REPLIES, TeacherLog, TeacherLogWriter, TeacherReply, TeacherRequest, requests_for
from z1.errors import UserError

TEACHER = TeacherSettings(url="http://x", model="m", levels={"a": "A {question}", "b": "B {question}"})
PROBLEM = Candidate("p", "p", "Q?")


def reply(key: str) -> TeacherReply:
    return TeacherReply(key, "text", "", "stop", 10, 100)


def keys(**changes: object) -> list[str]:
    return [ask.key for ask in requests_for(PROBLEM, TEACHER.model_copy(update=changes))]


def test_every_level_and_sample_has_its_own_key() -> None:
    wanted: list[TeacherRequest] = list(
        requests_for(PROBLEM, TEACHER.model_copy(update={"samples": 3, "temperature": 1.0}))
    )
    assert [(ask.level, ask.sample) for ask in wanted] == [(level, n) for level in "ab" for n in range(3)]
    assert len({ask.key for ask in wanted}) == 6
    assert wanted[0].prompt == "A Q?"


def test_the_key_depends_only_on_what_determines_the_reply() -> None:
    assert keys() == keys(url="http://y", concurrency=2, max_attempts=1, timeout_s=1.0, prices=(1.0, 2.0))
    for change in ({"model": "n"}, {"max_tokens": 9}, {"temperature": 0.5}, {"top_p": 0.5}):
        assert not set(keys()) & set(keys(**change)), change


def test_the_next_process_reads_complete_replies_and_ignores_a_torn_one(tmp_path: Path) -> None:
    with TeacherLogWriter(tmp_path) as log:
        for key in "ab":
            log.log_request(key)
            log.log_reply(reply(key))
    path = tmp_path / REPLIES
    path.write_bytes(path.read_bytes()[:-5])
    with TeacherLogWriter(tmp_path) as log:
        assert "a" in log and "b" not in log
        assert log.usage((0, 0))["lost"] == 1
    (kept,) = TeacherLog(tmp_path).replies_to(TeacherRequest(key, "", PROBLEM, "a", 0) for key in "ba")
    assert kept[1] == reply("a") and len(TeacherLog(tmp_path)) == 1


def test_usage_counts_paid_requests_without_a_reply(tmp_path: Path) -> None:
    with TeacherLogWriter(tmp_path) as log:
        log.log_request("a")  # lost in a kill
        log.log_request("a")
        log.log_fault("a", "status 500", paid=False)
        log.log_request("a")
        log.log_fault("a", "broken reply", paid=True)
        log.log_request("a")
        log.log_reply(reply("a"))
        log.log_request("b")  # lost, and not repeated
    for _ in range(2):
        with TeacherLogWriter(tmp_path) as log:
            ledger = log.usage((2.0, 5.0))
    assert ledger["prompt_tokens"] == 10 and ledger["completion_tokens"] == 100
    assert ledger["repeated"] == 2 and ledger["repeated_completion_tokens"] == 200
    assert ledger["lost"] == 1 and ledger["faults"] == 2
    assert ledger["cost"] == round((30 * 2 + 300 * 5) / 1e6, 6)


def test_an_unknown_event_is_an_error(tmp_path: Path) -> None:
    (tmp_path / REPLIES).write_text(json.dumps({"event": "dance", "key": "a"}) + "\n")
    with pytest.raises(UserError, match="dance"), TeacherLogWriter(tmp_path):
        pass
    with pytest.raises(UserError, match="dance"), TeacherLogWriter(tmp_path):
        pass


def test_an_empty_log_has_no_replies(tmp_path: Path) -> None:
    assert list(TeacherLog(tmp_path).replies_to(requests_for(PROBLEM, TEACHER))) == []
