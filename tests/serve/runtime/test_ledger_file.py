"""Tests of z1.serve.runtime.ledger_file: what is committed is in the file, and only one server has it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from z1.errors import UserError
from z1.serve.api.session import SessionSettings, TurnRow
from z1.serve.metrics import UsageCounts, UsageKey
from z1.serve.runtime import ledger_file
from z1.serve.runtime.ledger_file import LedgerFault, LedgerFile, UnknownSession


@dataclass(eq=False)
class Marked:
    """A turn whose counts the test sets."""

    session: int
    number: int = 1
    thinking_tokens: int = 0
    end: str | None = None
    rows: list[int] = field(default_factory=list)

    def row(self) -> TurnRow:
        self.rows.append(self.thinking_tokens)
        return TurnRow(self.number, 0.0, "reply", 0, "model", self.thinking_tokens, end=self.end)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_a_commit_has_all_that_was_marked_before(tmp_path: Path) -> None:
    """Many writers: each finds its own count in the file when its commit returns, though one write serves many."""

    async def main() -> None:
        ledger = LedgerFile(tmp_path / "ledger")
        session = (await ledger.open_session("me", SessionSettings("s", 9), ())).number
        written: list[int] = []

        async def write(number: int) -> None:
            turn = Marked(session, number)
            for count in range(1, 20):
                turn.thinking_tokens = count
                ledger.mark_turn(turn)
                await ledger.commit()
                written.append(count)
                _, turns = await ledger.read_session("me", "s", number - 1, 1)
                assert turns[0].thinking_tokens >= count

        await asyncio.gather(*map(write, range(1, 9)))
        row, turns = await ledger.read_session("me", "s", 0, 100)
        assert (row.spent, row.turns, len(turns)) == (8 * 19, 8, 8)
        await ledger.close()

    run(main)


def test_a_file_is_that_of_one_server_and_survives_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "ledger"

    async def main() -> None:
        ledger = LedgerFile(path)
        session = (await ledger.open_session("me", SessionSettings("s", 9, "refuse"), ())).number
        ledger.mark_turn(Marked(session, thinking_tokens=3))
        ledger.mark_usage(UsageKey("2026-11-29", "me", "m"), UsageCounts(1, 2, 3, 4, 5, 6, 7))
        await ledger.commit()
        with pytest.raises(UserError, match="a file that another server uses"):
            LedgerFile(path)
        ledger._connection.close()  # as a killed process does: without a word
        again = LedgerFile(path)
        row, (turn,) = await again.read_session("me", "s", 0, 9)
        assert (row.spent, row.on_exhausted, turn.end) == (3, "refuse", "interrupted")
        assert again.read_usage() == {UsageKey("2026-11-29", "me", "m"): UsageCounts(1, 2, 3, 4, 5, 6, 7)}
        await again.close()

    run(main)


def test_a_disk_that_fails_loses_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = LedgerFile(tmp_path / "ledger")
        session = (await ledger.open_session("me", SessionSettings("s", 9), ())).number
        turn = Marked(session, thinking_tokens=3)
        ledger._connection.execute("PRAGMA query_only = ON")
        for _ in range(2):
            ledger.mark_turn(turn)
            with pytest.raises(LedgerFault, match="cannot be used: attempt to write"):
                await ledger.commit()
        ledger._connection.execute("PRAGMA query_only = OFF")
        await ledger.commit()
        assert (await ledger.read_session("me", "s", 0, 9))[0].spent == 3
        await ledger.close()

    run(main)


def test_sessions_expire_unless_they_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("z1.serve.runtime.ledger_file.time.time", lambda: now[0])

    async def main() -> None:
        ledger = LedgerFile(session_ttl=10.0)

        def count() -> int:
            counted: int = ledger._connection.execute("SELECT count(*) FROM turn").fetchone()[0]
            return counted

        first = await ledger.open_session("me", SessionSettings("old", 9), ())
        now[0] += 9
        ledger.mark_turn(Marked(first.number, thinking_tokens=3))
        now[0] += 9  # its last use extends it
        assert (await ledger.read_session("me", "old", 0, 9))[0].spent == 3
        now[0] += 11
        with pytest.raises(UnknownSession):
            await ledger.read_session("me", "old", 0, 9)
        with pytest.raises(UserError, match="unknown or expired"):
            await ledger.open_session("me", SessionSettings("old"), ())
        await ledger.open_session("me", SessionSettings("other", 9), [first.number])
        assert count() == 1
        again = await ledger.open_session("me", SessionSettings("old", 9), ())
        assert (count(), again.spent) == (0, 0)

    run(main)


def test_a_key_has_a_maximum_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "MAX_SESSIONS", 2)

    async def main() -> None:
        ledger = LedgerFile()
        for name in ("a", "b", "a"):
            await ledger.open_session("me", SessionSettings(name, 9), ())
        with pytest.raises(UserError, match="2 sessions of this key"):
            await ledger.open_session("me", SessionSettings("c", 9), ())
        await ledger.open_session("you", SessionSettings("c", 9), ())

    run(main)


@pytest.mark.parametrize("content", [b"not a database" * 100, "newer", "foreign", "folder"])
def test_another_file_is_refused(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "ledger"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    else:
        LedgerFile(path)._connection.close() if content == "newer" else None
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE mine (x)" if content == "foreign" else "PRAGMA user_version = 99")
        other.close()
    with pytest.raises(UserError, match=r"ledger .*: got"):
        LedgerFile(path)
