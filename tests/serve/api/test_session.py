"""Tests of z1.serve.api.session; tests/serve/test_sessions.py sends wrong fields and headers to the server."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.errors import UserError
from z1.serve.api.schema import SessionBudget
from z1.serve.api.session import (
    SessionRow,
    SessionSettings,
    TurnRow,
    check_settings,
    parse_session,
    session_object,
    turn_object,
)


def field(**fields: object) -> SessionBudget:
    return SessionBudget.model_validate(fields)


@pytest.mark.parametrize(
    ("body", "header", "expected"),
    [
        ({"id": "a"}, None, SessionSettings("a")),
        (None, "a", SessionSettings("a")),
        (None, " a ;thinking_budget=-1", SessionSettings("a", -1)),
        (None, "a;thinking_budget=7; on_exhausted=refuse", SessionSettings("a", 7, "refuse")),
        ({"thinking_budget": 7}, "a; on_exhausted=answer_now", SessionSettings("a", 7, "answer_now")),
        ({"id": "a", "thinking_budget": 7}, "a; thinking_budget=7", SessionSettings("a", 7)),
    ],
)
def test_field_and_header_say_the_same(body: dict[str, object] | None, header: str | None, expected: object) -> None:
    assert parse_session(None if body is None else field(**body), header) == expected


@given(st.text(max_size=60))
def test_any_header_is_parsed_or_refused(header: str) -> None:
    with suppress(UserError):
        assert parse_session(None, header).id == header.partition(";")[0].strip()


@pytest.mark.parametrize("budget", [None, 5])
def test_a_session_does_not_change(budget: int | None) -> None:
    row = SessionRow(1, "a", budget, "refuse", 0.0, 1.0, 0, 0)
    shown = -1 if budget is None else budget
    for same in (SessionSettings("a"), SessionSettings("a", shown), SessionSettings("a", shown, "refuse")):
        check_settings(same, row)
    for other in (SessionSettings("a", 6), SessionSettings("a", 0), SessionSettings("a", None, "answer_now")):
        with pytest.raises(UserError, match="a session does not change"):
            check_settings(other, row)


def test_the_counts_of_a_turn_add_up() -> None:
    turn = TurnRow(1, 2.34567, "chatcmpl-1", 0, "m", 5, 3, 2, 9, "budget", "cut")
    assert turn_object(turn) == {
        **{"number": 1, "time": 2.346, "id": "chatcmpl-1", "choice": 0, "model": "m", "reason": "budget", "end": "cut"},
        **{"thinking_tokens": 5, "hint_tokens": 3, "answer_tokens": 2, "probe_tokens": 9, "completion_tokens": 10},
    }
    row = SessionRow(1, "a", None, "refuse", 0.0, 1.0, 5, 1)
    shown = session_object(row, 4, [turn], has_more=False)
    assert (shown["thinking_budget"], shown["left"], shown["spent"], shown["held"]) == (-1, None, 5, 4)
