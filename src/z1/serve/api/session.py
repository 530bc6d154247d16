"""The session of a request: the field `session`, the header `X-Z1-Session`, and the response of its ledger.

    "session": {"id": "abc", "thinking_budget": 4096, "on_exhausted": "refuse"}
    X-Z1-Session: abc; thinking_budget=4096; on_exhausted=refuse

The requests of a session share one thinking budget. Its first request sets budget and behaviour; later ones need the id
only. Whoever sends both header and field must send the same values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from z1.errors import UserError
from z1.serve.api.budget import single_value
from z1.serve.api.schema import SESSION_ID, SessionBudget

HEADER = "X-Z1-Session"

OnExhausted = Literal["answer_now", "refuse"]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a request says of its session: the id and, if it says so, the thinking budget (-1: unlimited) and what
    happens to further requests once it is used up.
    """

    id: str
    thinking_budget: int | None = None
    on_exhausted: OnExhausted | None = None


class TurnRow(NamedTuple):
    """One reply of a session, as the ledger has it; the token counts add up to its completion tokens, probes aside.

    `reason` is why the thought ended, `end` how the reply did: stop, string, cut, failed, aborted (cancelled), or
    interrupted (the server was killed); None while it runs.
    """

    number: int
    time: float
    reply: str
    choice: int
    model: str
    thinking_tokens: int = 0
    hint_tokens: int = 0
    answer_tokens: int = 0
    probe_tokens: int = 0
    reason: str | None = None
    end: str | None = None


class SessionRow(NamedTuple):
    """A session as the ledger has it: its number, settings, times, and the thinking tokens and turns so far.

    `thinking_budget` None is unlimited; times are seconds since 1970.
    """

    number: int
    id: str
    thinking_budget: int | None
    on_exhausted: OnExhausted
    created: float
    expires: float
    spent: int
    turns: int


def parse_session(field: SessionBudget | None, header: str | None) -> SessionSettings:
    """The session that field and header name. Raises UserError if they name none or contradict each other."""
    sent = _parse_header(header) if header is not None else {}
    body = field.model_dump() if field is not None else {}
    names = ("id", "thinking_budget", "on_exhausted")
    values = {
        name: single_value({f"session.{name}": body.get(name), f"{HEADER} {name}": sent.get(name)}) for name in names
    }
    if values["id"] is None:
        raise UserError("session.id", "nothing", f"send an id, here or in the header {HEADER}")
    return SessionSettings(**values)


def _parse_header(header: str) -> dict[str, Any]:
    """The id and the parameters of the header. Raises UserError."""
    session_id, *parameters = (part.strip() for part in header.split(";"))
    if not re.fullmatch(SESSION_ID, session_id):
        do = "send 1 to 100 letters, digits and _ . : - as the id"
        raise UserError(HEADER, session_id[:60], do)
    values: dict[str, Any] = {"id": session_id}
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "thinking_budget" and re.fullmatch(r"-1|[0-9]{1,15}", value):
            values[name] = int(value)
        elif name == "on_exhausted" and value in get_args(OnExhausted):
            values[name] = value
        else:
            do = "send ID; thinking_budget=TOKENS; on_exhausted=answer_now or refuse"
            raise UserError(HEADER, parameter[:60], do)
    return values


def check_settings(settings: SessionSettings, row: SessionRow) -> None:
    """Raise UserError if a request contradicts the session that it names: both settings are those of the first one."""
    budget = -1 if row.thinking_budget is None else row.thinking_budget
    for name, got, have in (
        ("thinking_budget", settings.thinking_budget, budget),
        ("on_exhausted", settings.on_exhausted, row.on_exhausted),
    ):
        if got is not None and got != have:
            do = f"send {have} or leave it out, or choose another id; a session does not change"
            raise UserError(f"session.{name}", f"{got} for the session {settings.id}", do)


def session_object(row: SessionRow, held: int, turns: Sequence[TurnRow], *, has_more: bool) -> dict[str, Any]:
    """The response of GET /v1/sessions/ID. `held` tokens are reserved for replies that are thinking."""
    budget = row.thinking_budget
    return {
        "object": "session",
        "id": row.id,
        "thinking_budget": -1 if budget is None else budget,
        "on_exhausted": row.on_exhausted,
        "created": int(row.created),
        "expires": int(row.expires),
        "spent": row.spent,
        "held": held,
        "left": None if budget is None else budget - row.spent,
        "turns": [turn_object(turn) for turn in turns],
        "has_more": has_more,
    }


def turn_object(turn: TurnRow) -> dict[str, Any]:
    """One turn in that response."""
    fields = {name: value for name, value in turn._asdict().items() if name != "reply"}
    completion = turn.thinking_tokens + turn.hint_tokens + turn.answer_tokens
    return {**fields, "time": round(turn.time, 3), "id": turn.reply, "completion_tokens": completion}
