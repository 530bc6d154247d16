"""The ledger in SQLite: sessions, their turns, and usage by day, key and model. Without a file it is in memory.

Rows are marked as they change and written together, in one transaction of a thread, by the next `commit`. A response
commits before it sends, so the file never has less than a client got: after a crash of the process it has all of that,
and after one of the machine it is consistent, and may lack the last seconds (WAL without a sync at each commit). One
server at a time opens a file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from z1.errors import Fault, UserError
from z1.serve.api.session import SessionRow, SessionSettings, TurnRow
from z1.serve.metrics import UsageCounts, UsageKey

VERSION = 2
"""The `user_version` of a file with these tables."""

MAX_SESSIONS = 100_000
"""Sessions of one key."""

TABLES = """
CREATE TABLE session (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL, id TEXT NOT NULL, thinking_budget INTEGER,
    on_exhausted TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, UNIQUE (key, id)
);
CREATE INDEX session_by_expiry ON session (expires);
CREATE TABLE turn (
    session INTEGER NOT NULL REFERENCES session ON DELETE CASCADE, number INTEGER NOT NULL, time REAL NOT NULL,
    reply TEXT NOT NULL, choice INTEGER NOT NULL, model TEXT NOT NULL, thinking_tokens INTEGER NOT NULL,
    hint_tokens INTEGER NOT NULL, answer_tokens INTEGER NOT NULL, probe_tokens INTEGER NOT NULL,
    reason TEXT, "end" TEXT, PRIMARY KEY (session, number)
) WITHOUT ROWID;
CREATE TABLE usage (
    day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, replies INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, thinking_tokens INTEGER NOT NULL, hint_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL, probe_tokens INTEGER NOT NULL, uncounted_replies INTEGER NOT NULL,
    PRIMARY KEY (day, key, model)
) WITHOUT ROWID;
"""

SESSION = """
SELECT number, id, thinking_budget, on_exhausted, created, expires,
       (SELECT total(thinking_tokens) FROM turn WHERE session = session.number),
       (SELECT coalesce(max(turn.number), 0) FROM turn WHERE session = session.number)
FROM session WHERE key = ? AND id = ? AND expires > ?
"""

Result = TypeVar("Result")


class LedgerFault(Fault):
    """The ledger cannot be written, so nothing more is sent."""


class UnknownSession(UserError):
    """The API key has no such session."""


class MarkedTurn(Protocol):
    """A turn whose row has changed."""

    @property
    def session(self) -> int:
        """The number of its session."""
        ...

    def row(self) -> TurnRow:
        """Its row now."""
        ...


class LedgerFile:
    """The ledger in the file at `path` (None: in memory). A session expires `session_ttl` seconds after its last use.

    Raises UserError if the file is another program's, or used by another server.
    """

    def __init__(self, path: Path | None = None, session_ttl: float = 86_400) -> None:
        self.is_persistent, self._ttl = path is not None, session_ttl
        self._thread = ThreadPoolExecutor(1, "z1-ledger") if path is not None else None
        self._connection = _connect(path)
        self._turns: dict[MarkedTurn, None] = {}
        self._usage: dict[UsageKey, UsageCounts] = {}
        self._marked = self._committed = 0
        self._writing: asyncio.Future[None] | None = None

    def mark_turn(self, turn: MarkedTurn) -> None:
        """The next commit writes the row of `turn`."""
        self._turns[turn] = None
        self._marked += 1

    def mark_usage(self, key: UsageKey, counts: UsageCounts) -> None:
        """The next commit writes the `counts` of a day, key and model."""
        self._usage[key] = counts
        self._marked += 1

    async def commit(self) -> None:
        """Return when all that was marked before this call is written. Raises LedgerFault."""
        marked = self._marked
        while self._committed < marked:
            if self._writing is None:
                self._writing = asyncio.ensure_future(self._write())
                self._writing.add_done_callback(_retrieve)
            await asyncio.shield(self._writing)  # others may wait for it too

    async def open_session(self, key: str, settings: SessionSettings, live: Sequence[int]) -> SessionRow:
        """The row of a session, which is created if it does not exist. Expired ones that are not `live` are deleted.

        Raises UserError if a new one has no budget.
        """
        await self.commit()
        return await self._run(partial(_open_session, self._connection, key, settings, live, self._ttl))

    async def read_session(self, key: str, session_id: str, after: int, limit: int) -> tuple[SessionRow, list[TurnRow]]:
        """The row of a session, and its first `limit` turns after turn `after`. Raises UnknownSession."""
        await self.commit()
        return await self._run(partial(_read_session, self._connection, key, session_id, after, limit))

    def read_usage(self) -> dict[UsageKey, UsageCounts]:
        """The counts of every day, key and model."""
        names = ", ".join((*UsageKey._fields, *UsageCounts._fields))
        rows = self._connection.execute(f"SELECT {names} FROM usage").fetchall()
        return {UsageKey(*row[:3]): UsageCounts(*row[3:]) for row in rows}

    async def close(self) -> None:
        """Write what is marked, and close the file."""
        try:
            await self.commit()
        finally:
            await self._run(self._connection.close)
            if self._thread is not None:
                self._thread.shutdown()

    async def _write(self) -> None:
        marked, turns, usage = self._marked, self._turns, self._usage
        self._turns, self._usage = {}, {}
        turn_rows = [(turn.session, *turn.row()) for turn in turns]
        usage_rows = [(*key, *counts) for key, counts in usage.items()]
        try:
            await self._run(partial(_save, self._connection, turn_rows, usage_rows, time.time() + self._ttl))
            self._committed = marked
        except BaseException:
            self._turns, self._usage = {**turns, **self._turns}, {**usage, **self._usage}
            raise
        finally:
            self._writing = None

    async def _run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in the thread of the file; in memory it takes microseconds and needs none."""
        try:
            if self._thread is None:
                return work()
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise LedgerFault(f"the ledger cannot be used: {error}") from error


def _retrieve(writing: asyncio.Future[None]) -> None:
    """Its error is that of the responses that wait for it, of which none may be left."""
    if not writing.cancelled():
        writing.exception()


def _connect(path: Path | None) -> sqlite3.Connection:
    """An open file with the tables, for this process alone."""
    try:
        connection = sqlite3.connect(
            ":memory:" if path is None else path, timeout=0, isolation_level=None, check_same_thread=False
        )
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {setting}").fetchone()
        with _Transaction(connection):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            is_empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version != VERSION and not is_empty:
                raise UserError(f"ledger {path}", f"a database of version {version}", "give another file")
            if is_empty:
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute('UPDATE turn SET "end" = \'interrupted\' WHERE "end" IS NULL')
    except sqlite3.Error as error:
        is_locked = "locked" in str(error)
        got = "a file that another server uses" if is_locked else error
        raise UserError(f"ledger {path}", got, "give a file of this server alone, or one that can be created") from None
    return connection


class _Transaction:
    """A transaction, which an exception rolls back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._connection.in_transaction:  # SQLite itself rolls back when the disk is full
            self._connection.execute("ROLLBACK" if kind is not None else "COMMIT")


def _save(
    connection: sqlite3.Connection, turns: Iterable[tuple[Any, ...]], usage: Iterable[tuple[Any, ...]], expires: float
) -> None:
    turns = list(turns)
    with _Transaction(connection):
        connection.executemany(f"INSERT OR REPLACE INTO turn VALUES ({', '.join('?' * 12)})", turns)
        sessions = {turn[0] for turn in turns}
        connection.executemany("UPDATE session SET expires = ? WHERE number = ?", [(expires, one) for one in sessions])
        connection.executemany(f"INSERT OR REPLACE INTO usage VALUES ({', '.join('?' * 10)})", usage)


def _open_session(
    connection: sqlite3.Connection, key: str, settings: SessionSettings, live: Sequence[int], ttl: float
) -> SessionRow:
    now = time.time()
    row = connection.execute(SESSION, (key, settings.id, now)).fetchone()
    if row is None:
        if settings.thinking_budget is None:
            do = "send session.thinking_budget with the first request of a session; -1: unlimited"
            raise UserError("session.id", f"the unknown or expired session {settings.id}", do)
        budget = None if settings.thinking_budget == -1 else settings.thinking_budget
        values = (key, settings.id, budget, settings.on_exhausted or "answer_now", now, now + ttl)
        with _Transaction(connection):
            kept = f"number NOT IN ({', '.join(map(str, live)) or 'NULL'})" if live else "1"
            connection.execute(f"DELETE FROM session WHERE expires <= ? AND {kept}", (now,))
            count = connection.execute("SELECT count(*) FROM session WHERE key = ?", (key,)).fetchone()[0]
            if count >= MAX_SESSIONS:
                raise UserError("session.id", f"{count} sessions of this key", "use one of them, or wait")
            names = "key, id, thinking_budget, on_exhausted, created, expires"
            connection.execute(f"INSERT INTO session ({names}) VALUES ({', '.join('?' * 6)})", values)
        row = connection.execute(SESSION, (key, settings.id, now)).fetchone()
    return _session_row(row)


def _read_session(
    connection: sqlite3.Connection, key: str, session_id: str, after: int, limit: int
) -> tuple[SessionRow, list[TurnRow]]:
    row = connection.execute(SESSION, (key, session_id, time.time())).fetchone()
    if row is None:
        raise UnknownSession("session", f"{session_id}, which does not exist or has expired", "check the id")
    columns = ", ".join(f'"{name}"' for name in TurnRow._fields)
    query = f"SELECT {columns} FROM turn WHERE session = ? AND number > ? ORDER BY number LIMIT ?"
    turns = connection.execute(query, (row[0], after, limit)).fetchall()
    return _session_row(row), [TurnRow(*turn) for turn in turns]


def _session_row(row: tuple[Any, ...]) -> SessionRow:
    found = SessionRow(*row)
    return found._replace(spent=int(found.spent), turns=int(found.turns))
