"""No reply is lost, duplicated or requested again, whatever faults or kills occur."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.curate import kills
from tests.curate.scripted_teacher import FAULTS, LIMITS, SAYS_THE_TEXT, STATUSES, Script, Teacher, serving, text
from z1.curate.plan import TeacherSettings
from z1.curate.sources import Candidate
from z1.curate.teacher import _retry_after, request_replies
from z1.curate.teacher_log import REPLIES, TeacherLog, TeacherLogWriter, requests_for
from z1.errors import EngineFault, UserError


def request(folder: Path, script: Script, count: int = 4, **settings: Any) -> tuple[Teacher, int, dict[str, float]]:
    """Request `count` replies; returns the teacher, the number of missing replies, and the usage."""
    with serving(Teacher(script, hang_s=6)) as teacher, TeacherLogWriter(folder) as log:
        given = {"retry_wait_s": 0.01, "timeout_s": 20.0, "concurrency": 4, "max_attempts": 4, **settings}
        chosen = TeacherSettings(url=teacher.url, model="m", levels={"plain": "{question}"}, **given)
        requests = [
            one for n in range(count) for one in requests_for(Candidate(f"p{n}", f"p{n}", f"question {n}"), chosen)
        ]
        missing = request_replies(requests, chosen, log, lambda _: None)
        return teacher, missing, log.usage((0, 0))


def kept(folder: Path, field: str) -> list[str]:
    found = (event for event in kills.events(folder / REPLIES) if event["event"] == "reply")
    return sorted(event[field] for event in found)


UNPAID = {*STATUSES, *LIMITS} - {"hang"}
"""Faults for which no server charges."""


def test_a_fault_is_retried_and_counted_as_paid_if_the_server_may_have_generated(tmp_path: Path) -> None:
    def script(prompt: str, times: int) -> str:
        return FAULTS[int(prompt.rsplit(maxsplit=1)[-1])] if times == 0 else "ok"

    teacher, missing, usage = request(tmp_path, script, len(FAULTS), timeout_s=3.0)
    assert missing == 0
    assert set(teacher.asked.values()) == {2}
    assert usage["repeated"] == len(FAULTS) - len(UNPAID) and usage["faults"] == len(FAULTS)
    assert kept(tmp_path, "text") == sorted(text(f"question {n}") for n in range(len(FAULTS)))
    events = kills.events(tmp_path / REPLIES)
    question = {event["key"]: event["text"].split()[3] for event in events if event["event"] == "reply"}
    paid = {FAULTS[int(question[event["key"]])]: event["paid"] for event in events if event["event"] == "fault"}
    assert paid == {fault: fault not in UNPAID for fault in FAULTS}


def test_a_complete_reply_in_any_dialect_is_kept_and_paid_once(tmp_path: Path) -> None:
    def script(prompt: str, _times: int) -> str:
        return SAYS_THE_TEXT[int(prompt.rsplit(maxsplit=1)[-1])]

    teacher, missing, _usage = request(tmp_path, script, len(SAYS_THE_TEXT))
    assert missing == 0 and set(teacher.asked.values()) == {1}
    assert kept(tmp_path, "text") == sorted(text(f"question {n}") for n in range(len(SAYS_THE_TEXT)))


def test_a_truncated_reply_is_kept_and_not_requested_again(tmp_path: Path) -> None:
    for _ in range(2):
        teacher, missing, _usage = request(tmp_path, lambda *_: "cut")
        assert missing == 0
    assert teacher.asked.total() == 0
    assert set(kept(tmp_path, "end")) == {"length"}


def test_a_request_rejected_for_its_content_is_missing_and_the_others_are_present(tmp_path: Path) -> None:
    teacher, missing, usage = request(tmp_path, lambda prompt, _: "400" if prompt == "question 2" else "ok")
    assert missing == 1 and usage["replies"] == 3
    assert teacher.asked["question 2"] == 1


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_a_rejected_key_or_model_ends_the_run_with_one_line(status: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"status {status}"):
        request(tmp_path, lambda *_: status)


def test_a_dead_teacher_ends_the_run_before_every_problem_is_tried(tmp_path: Path) -> None:
    with pytest.raises(EngineFault, match="run the same command again"):
        request(tmp_path, lambda *_: "fail", count=50, max_attempts=2)
    with TeacherLogWriter(tmp_path) as log:
        assert log.usage((0, 0))["faults"] < 50


def test_a_redirect_ends_the_run_and_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"got a redirect to http://127.0.0.1:\d+/v1/elsewhere; correct teacher.url"):
        request(tmp_path, lambda *_: "307")


@pytest.mark.parametrize("variable", ["", "TEACHER_KEY"])
def test_no_key_is_sent_but_the_one_that_the_plan_names(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-token: secret")
    monkeypatch.setenv("TEACHER_KEY", "named")
    teacher, _missing, _usage = request(tmp_path, lambda *_: "ok", api_key_env=variable)
    assert {headers.get("authorization") for headers in teacher.headers} == {"Bearer named" if variable else None}
    assert "secret" not in str(teacher.headers)


def test_a_key_that_is_not_set_ends_the_run_before_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(UserError, match=r"teacher.api_key_env: got NO_SUCH_KEY, which is not set"):
        request(tmp_path, lambda *_: "ok", api_key_env="NO_SUCH_KEY")
    assert not kills.events(tmp_path / REPLIES)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1", "https://me:secret@host/v1"])
def test_a_url_has_a_host_and_no_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"teacher\.url with no host, or with a password"):
        TeacherSettings(url=url, model="m")


def test_a_refused_connection_is_a_fault_without_cost(tmp_path: Path) -> None:
    chosen = TeacherSettings(url="http://127.0.0.1:9/v1", model="m", retry_wait_s=0.0, max_attempts=1, concurrency=1)
    requests = [one for n in range(3) for one in requests_for(Candidate(f"p{n}", f"p{n}", f"q{n}"), chosen)]
    with TeacherLogWriter(tmp_path) as log, pytest.raises(EngineFault, match="connection"):
        request_replies(requests, chosen, log, lambda _: None)
    with TeacherLogWriter(tmp_path) as log:
        assert log.usage((0, 0))["lost"] == 0


def test_concurrency_is_bounded_and_requests_carry_the_plans_settings(tmp_path: Path) -> None:
    with serving(Teacher(wait_s=0.02)) as teacher, TeacherLogWriter(tmp_path) as log:
        chosen = TeacherSettings(url=teacher.url, model="m", concurrency=3, max_tokens=77, top_p=0.5, temperature=0.7)
        requests = [one for n in range(12) for one in requests_for(Candidate(f"p{n}", f"p{n}", f"q{n}"), chosen)]
        assert request_replies(requests, chosen, log, lambda _: None) == 0
    assert teacher.most == 3
    body = teacher.bodies[0]
    assert (body["model"], body["max_tokens"], body["top_p"], body["temperature"]) == ("m", 77, 0.5, 0.7)


def test_problems_with_the_same_text_are_requested_once(tmp_path: Path) -> None:
    with serving(Teacher()) as teacher, TeacherLogWriter(tmp_path) as log:
        chosen = TeacherSettings(url=teacher.url, model="m")
        requests = [one for n in range(3) for one in requests_for(Candidate(f"p{n}", f"p{n}", "the same"), chosen)]
        assert request_replies(requests, chosen, log, lambda _: None) == 0
    assert teacher.asked.total() == 1


def test_an_empty_reply_and_a_refusal_are_replies_that_are_not_requested_again(tmp_path: Path) -> None:
    for _ in range(2):
        teacher, missing, _usage = request(tmp_path, lambda prompt, _: "refusal" if prompt[-1] < "2" else "empty")
        assert missing == 0
    assert teacher.asked.total() == 0
    assert kept(tmp_path, "end") == ["refusal", "refusal", "stop", "stop"]
    teacher, missing, usage = request(tmp_path, lambda *_: "ok", retry_refusals=True)
    assert teacher.asked.total() == 2 and usage["replies"] == 4
    requests = [one for n in range(4) for one in requests_for(Candidate("p", "p", f"question {n}"), _plain())]
    ends = [reply.end for _, reply in TeacherLog(tmp_path).replies_to(requests)]
    assert ends == ["stop"] * 4


def _plain() -> TeacherSettings:
    return TeacherSettings(url="http://t", model="m", levels={"plain": "{question}"})


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("7.5", 7.5, 7.5), ("-1", 0, 0), ("nan", 0, 0), ("soon", 0, 0), ("99999", 60, 60)],
)
def test_a_server_says_when_to_ask_again(header: str, least: float, most: float) -> None:
    assert least <= _retry_after({"retry-after": header}) <= most


def test_a_server_may_say_it_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert 15 < _retry_after({"retry-after": date}) <= 20
    assert _retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert _retry_after({}) == 0


@pytest.mark.slow
def test_after_repeated_kills_every_reply_is_present_once(tmp_path: Path) -> None:
    """Two kills here; fifty with `python -m tests.curate.kills 50`."""
    assert kills.run(tmp_path, 2)["replies"] == 64
