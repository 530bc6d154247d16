"""Sessions: requests that share one thinking budget, and what each of their replies uses of it.

An `Account` is the budget of a session while replies of it run. A reply takes thinking tokens from it in parts, before
they are sampled, and returns those that it did not use as soon as its thought has ended. So the account is never
overspent, and a reply holds little that others could use. A reply that finds the account empty waits while others may
return some; its thought ends when the account is used up. All of it runs in the server's event loop, between awaits, so
there are no races.

A `Turn` is one reply: its share of the account, and its row in the ledger, which is written before the client gets the
tokens (`ledger_file.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any
from weakref import WeakValueDictionary

from z1.errors import Z1Error
from z1.serve.api.session import SessionRow, SessionSettings, TurnRow, check_settings, session_object
from z1.serve.runtime.ledger_file import LedgerFile
from z1.serve.runtime.reply_runner import Event, Failed, NewTokens, ReplyFinished
from z1.think import THINKING, Bucket, Ledger

PART = 256
"""Most thinking tokens that a reply takes from an account in one go."""

MIN_PART = 16
"""Tokens that it takes at least, if there are so many. Between the two it takes its equal share of what is left."""

UNLIMITED = 1 << 62


class SessionExhausted(Z1Error):
    """The thinking budget of a session is used up, and its requests are to be refused."""

    def __init__(self, row: SessionRow) -> None:
        super().__init__(
            f"session {row.id}: its {row.thinking_budget} thinking tokens are used up; start another session, "
            "or send thinking_budget: 0 for an answer without a thought"
        )


class Account:
    """The thinking budget of one session: what was spent, and what running replies hold."""

    def __init__(self, row: SessionRow) -> None:
        self.row = row
        self.spent, self.held, self.turns = row.spent, 0, row.turns
        self._thinking: set[Turn] = set()
        self._sampling: set[Turn] = set()  # these may return tokens; one that waits has sampled all that it took
        self._waiting: deque[tuple[Turn, int, asyncio.Future[None]]] = deque()

    @property
    def left(self) -> int:
        """Tokens that were not spent."""
        budget = self.row.thinking_budget
        return UNLIMITED if budget is None else budget - self.spent

    async def take(self, turn: Turn, max_tokens: int) -> None:
        """Let `turn` hold up to `max_tokens` more, as soon as there are some; none if the account is used up."""
        self._thinking.add(turn)
        self._sampling.discard(turn)
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, max_tokens, granted))
        self._grant_waiting()
        await granted

    def spend(self, turn: Turn, count: int) -> None:
        """`turn` used `count` of the tokens that it holds."""
        turn.held -= count
        self.held -= count
        self.spent += count

    def release(self, turn: Turn) -> None:
        """The thought of `turn` has ended: it returns what it holds."""
        self.held -= turn.held
        turn.held = 0
        self._thinking.discard(turn)
        self._sampling.discard(turn)
        self._grant_waiting()

    def _grant_waiting(self) -> None:
        """Grant tokens in the order of requests, and none to those that wait once no reply can return any."""
        while self._waiting:
            turn, max_tokens, granted = self._waiting[0]
            available = self.left - self.held
            if not granted.done():  # the reply may have been cancelled
                if available > 0:
                    share = max(MIN_PART, min(PART, available // len(self._thinking)))
                    turn.hold(min(max_tokens, available, share if self.row.thinking_budget is not None else max_tokens))
                    self._sampling.add(turn)
                elif self._sampling:
                    return
                granted.set_result(None)
            self._waiting.popleft()


class Turn:
    """One reply of a session; an `Allowance` of its thought. `on_event` must get every event of the reply.

    `names` are the response's id, the number of the choice, and the model.
    """

    def __init__(self, account: Account, ledger: LedgerFile, names: tuple[str, int, str]) -> None:
        self.account, self._ledger = account, ledger
        self.taken = self.held = self._spent = 0
        self._counts = dict.fromkeys(Bucket, 0)
        self._row = TurnRow(0, time.time(), *names)

    @property
    def session(self) -> int:
        """The number of the session in the ledger."""
        return self.account.row.number

    async def take(self, max_tokens: int) -> None:
        """Take up to `max_tokens` more thinking tokens of the account."""
        await self.account.take(self, max_tokens)

    def hold(self, count: int) -> None:
        """Hold `count` more tokens (called by the account)."""
        self.taken += count
        self.held += count
        self.account.held += count

    def on_event(self, event: Event) -> None:
        """Book what an event says. The client gets it after the next commit of the ledger."""
        if isinstance(event, NewTokens):
            self._count(event.bucket, len(event.token_ids))
        elif isinstance(event, ReplyFinished):
            self._end(event.ledger, event.end.value, event.shift)
        elif isinstance(event, Failed):
            self._end(event.ledger, "aborted" if event.is_cancelled else "failed", event.shift)

    def row(self) -> TurnRow:
        """The row in the ledger."""
        counts = self._counts
        return self._row._replace(
            thinking_tokens=sum(counts[bucket] for bucket in THINKING),
            hint_tokens=counts[Bucket.HINT],
            answer_tokens=counts[Bucket.ANSWER] + counts[Bucket.STOP],
        )

    def status(self) -> dict[str, Any]:
        """The session as the `budget` object has it: as it was when the reply ended, which is written by then."""
        row = self.account.row
        left = None if row.thinking_budget is None else row.thinking_budget - self._spent
        return {"session": {"id": row.id, "spent": self._spent, "left": left}}

    def _count(self, bucket: Bucket, count: int) -> None:
        self._counts[bucket] += count
        if bucket in THINKING:
            self.account.spend(self, count)
        else:
            self.account.release(self)
        self._mark()

    def _end(self, ledger: Ledger, end: str, reason: str | None) -> None:
        for bucket in Bucket:
            if missing := (getattr(ledger, bucket) or 0) - self._counts[bucket]:
                self._count(bucket, missing)
        self.account.release(self)
        self._spent = self.account.spent
        if ledger.paid_tokens:
            self._row = self._row._replace(probe_tokens=ledger.probe, reason=reason, end=end)
            self._mark()

    def _mark(self) -> None:
        """The next commit writes the row."""
        if not self._row.number:  # a reply without tokens has no turn
            self.account.turns += 1
            self._row = self._row._replace(number=self.account.turns)
        self._ledger.mark_turn(self)


class Sessions:
    """The sessions of one server. Those with running replies have an account in memory."""

    def __init__(self, ledger: LedgerFile) -> None:
        self.ledger = ledger
        self._accounts: WeakValueDictionary[tuple[str, str], Account] = WeakValueDictionary()
        self._lock = asyncio.Lock()

    async def open(self, key: str, settings: SessionSettings, *, thinks: bool) -> Account:
        """The account of a session of API key `key`, which is created if it has a budget and does not exist.

        Raises UserError if the settings contradict it, and SessionExhausted if a request that `thinks` is refused.
        """
        async with self._lock:  # one account a session, also while it is being read
            account = self._accounts.get((key, settings.id))
            if account is None:
                live = [one.row.number for one in self._accounts.values()]
                account = Account(await self.ledger.open_session(key, settings, live))
                self._accounts[key, settings.id] = account
        check_settings(settings, account.row)
        if thinks and account.row.on_exhausted == "refuse" and account.left <= 0:
            raise SessionExhausted(account.row)
        return account

    async def read(self, key: str, session_id: str, after: int, limit: int) -> dict[str, Any]:
        """The ledger of a session: `limit` turns after turn `after`. Raises UnknownSession."""
        row, turns = await self.ledger.read_session(key, session_id, after, limit + 1)
        account = self._accounts.get((key, session_id))
        held = 0 if account is None else account.held
        return session_object(row, held, turns[:limit], has_more=len(turns) > limit)
