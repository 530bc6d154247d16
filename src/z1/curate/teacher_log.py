"""Which replies does a teacher owe, which are here, and what was paid?

One append-only log with a line an event: *asked* before a request leaves, then *reply* or *fault*. A reply counts when
its line is on the disk. Its key is a hash of what decides it (model, prompt, settings, level, sample), never of code,
so nothing is asked again after a kill or a new version. Asked without an end means lost: in flight when a process was
killed. Does not speak to anybody (`teacher.py` does).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from z1.curate.plan import TeacherSettings
from z1.curate.sources import Candidate
from z1.errors import UserError
from z1.records import Record
from z1.runs import Log, iterate_lines

REPLIES = "replies.jsonl"


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """One reply that is wanted: to `problem`, at `level`, the `sample`-th."""

    key: str
    prompt: str
    problem: Candidate
    level: str
    sample: int


@dataclass(frozen=True, slots=True)
class TeacherReply(Record):
    """What a teacher said. `end` is its finish reason: "stop" by itself, "length" cut, which is kept.

    `thought` is what a server keeps apart as reasoning, "" where it does not. Tokens are the server's own count.
    """

    key: str
    text: str
    thought: str
    end: str
    prompt_tokens: int
    completion_tokens: int


def asks(problem: Candidate, teacher: TeacherSettings) -> Iterator[TeacherRequest]:
    """Every reply that the plan wants to `problem`."""
    settings = {"max_tokens": teacher.max_tokens, "temperature": teacher.temperature, "top_p": teacher.top_p}
    for level, template in teacher.levels.items():
        prompt = template.replace("{question}", problem.question)
        for sample in range(teacher.samples):
            what = json.dumps([teacher.model, prompt, settings, level, sample], sort_keys=True)
            key = sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:32]
            yield TeacherRequest(key, prompt, problem, level, sample)


class TeacherReplies:
    """The log in `folder`, open for writing: what is there, and what it cost."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = Log(folder / REPLIES)
        self.tokens: dict[str, tuple[int, int]] = {}
        """Tokens of prompt and reply of each reply that is here."""
        self.asked: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        """How often each fault came, by its first words."""
        self._ended: Counter[str] = Counter()
        """Asks of a key that ended in a reply, or in a fault that is not paid for."""

    def __enter__(self) -> TeacherReplies:
        with ExitStack() as opened:
            opened.enter_context(self._log)
            for event in iterate_lines(self._log.path, dict):
                self._count(event)
            opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()

    def __contains__(self, key: str) -> bool:
        return key in self.tokens

    def ask(self, key: str) -> None:
        """Write that a request is about to leave."""
        self._add({"event": "asked", "key": key})

    def reply(self, reply: TeacherReply) -> None:
        """Keep a reply; it counts once this returns."""
        self._add({"event": "reply", **reply.as_json()})
        self._log.sync()

    def fault(self, key: str, why: str, *, paid: bool) -> None:
        """Write that a request failed; `paid` where the server may have worked, and so charged, for it."""
        self._add({"event": "fault", "key": key, "why": why, "paid": paid})

    def _add(self, event: dict[str, Any]) -> None:
        self._log.add([event])
        self._count(event)

    def _count(self, event: Mapping[str, Any]) -> None:
        key = str(event["key"])
        match event["event"]:
            case "asked":
                self.asked[key] += 1
            case "reply":
                self.tokens[key] = int(event["prompt_tokens"]), int(event["completion_tokens"])
                self._ended[key] += 1
            case "fault":
                self._ended[key] += not event["paid"]
                self.faults[str(event["why"])] += 1
            case other:
                raise UserError(f"log {self._log.path}", f"event {other}", "repair or delete it")

    def ledger(self, prices: tuple[float, float]) -> dict[str, float]:
        """What was paid: each reply once, and again as much for each time it was asked for in vain.

        `lost_unknown` are paid asks whose reply never came, so that nobody knows their tokens. `cost` is in the
        currency of `prices`, which are for a million tokens of prompt and of reply.
        """
        vain = {key: asked - self._ended[key] for key, asked in self.asked.items() if asked > self._ended[key]}
        once = [sum(tokens[side] for tokens in self.tokens.values()) for side in (0, 1)]
        again = [sum(self.tokens[key][side] * n for key, n in vain.items() if key in self.tokens) for side in (0, 1)]
        cost = sum((first + more) * price for first, more, price in zip(once, again, prices, strict=True)) / 1e6
        return {
            "replies": len(self.tokens),
            "prompt_tokens": once[0],
            "completion_tokens": once[1],
            "asked_again": sum(n for key, n in vain.items() if key in self.tokens),
            "again_prompt_tokens": again[0],
            "again_completion_tokens": again[1],
            "lost_unknown": sum(n for key, n in vain.items() if key not in self.tokens),
            "faults": self.faults.total(),
            "cost": round(cost, 6),
        }


class TeacherLog:
    """The replies in a folder, to be taken by key; holds where they lie and not what they say.

    May be opened while somebody writes the log: it has what was there when it was opened.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / REPLIES
        self._begins: dict[str, int] = {}
        begin = 0
        for line in self._lines():
            if line.startswith(b'{"event":"reply"') and line.endswith(b"\n"):
                self._begins.setdefault(str(json.loads(line)["key"]), begin)
            begin += len(line)

    def __len__(self) -> int:
        return len(self._begins)

    def _lines(self) -> Iterator[bytes]:
        if self._path.exists():
            with self._path.open("rb") as file:
                yield from file

    def take(self, wanted: Iterable[TeacherRequest]) -> Iterator[tuple[TeacherRequest, TeacherReply]]:
        """Those of the wanted that are here, in the order of the asking."""
        here = ((ask, self._begins[ask.key]) for ask in wanted if ask.key in self._begins)
        if not self._begins:
            return
        with self._path.open("rb") as file:
            for ask, begin in here:
                file.seek(begin)
                event = json.loads(file.readline())
                del event["event"]
                yield ask, TeacherReply.from_json(event)
