"""Log of teacher requests and replies: append-only, keyed by content, with the cost of every attempt.

One line per event: *request* before a request is sent, then *reply* or *fault*. A reply counts once its line is on the
disk. Its key is a hash of what determines it (model, prompt, settings, level, sample), never of code, so nothing is
requested again after a kill or in a new version. A request without an end was in flight when the process was killed.
Requests are sent in `teacher.py`.
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

from z1.curate.finish_reasons import REFUSAL
from z1.curate.plan import TeacherSettings
from z1.curate.sources import Candidate
from z1.errors import UserError
from z1.records import Record
from z1.runs import Log, iterate_log
from z1.surrogates import encode_for_hash

REPLIES = "replies.jsonl"


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """A request for the reply number `sample` to `problem` at `level`."""

    key: str
    prompt: str
    problem: Candidate
    level: str
    sample: int


@dataclass(frozen=True, slots=True)
class TeacherReply(Record):
    """A teacher's reply. `end` is its finish reason: "stop", or "length" for a truncated reply, which is kept.

    It is "refusal" for a refusal, and "" if the server does not say. `thought` is the reasoning that a server returns
    separately, "" otherwise. Token counts are the server's; None if it gives none.
    """

    key: str
    text: str
    thought: str
    end: str
    prompt_tokens: int | None
    completion_tokens: int | None


def requests_for(problem: Candidate, teacher: TeacherSettings) -> Iterator[TeacherRequest]:
    """All requests of a plan for `problem`: each level and sample."""
    settings = {"max_tokens": teacher.max_tokens, "temperature": teacher.temperature, "top_p": teacher.top_p}
    for level, template in teacher.levels.items():
        prompt = template.replace("{question}", problem.question)
        for sample in range(teacher.samples):
            content = json.dumps([teacher.model, prompt, settings, level, sample], sort_keys=True)
            key = sha256(encode_for_hash(content)).hexdigest()[:32]
            yield TeacherRequest(key, prompt, problem, level, sample)


class TeacherLogWriter:
    """The log in `folder`, open for writing, with the replies it holds and their cost."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = Log(folder / REPLIES)
        self.tokens: dict[str, tuple[int, int]] = {}
        """Prompt and completion tokens of each reply, by key."""
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        """Number of faults by reason."""
        self._ended: Counter[str] = Counter()
        """Requests of a key that ended in a reply, or in a fault without cost."""
        self._ends: dict[str, str] = {}
        """Finish reason of each reply, by key."""
        self._uncounted: set[str] = set()
        """Keys of replies without a token count."""

    def __enter__(self) -> TeacherLogWriter:
        with ExitStack() as opened:
            opened.enter_context(self._log)
            for event in iterate_log(self._log.path, dict):
                self._count(event)
            opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()

    def __contains__(self, key: str) -> bool:
        return key in self.tokens

    def is_refused(self, key: str) -> bool:
        """Whether the reply to a request is a refusal."""
        return self._ends.get(key) == REFUSAL

    def log_request(self, key: str) -> None:
        """Log that a request is about to be sent."""
        self._add({"event": "request", "key": key})

    def log_reply(self, reply: TeacherReply) -> None:
        """Log a reply; it is on the disk once this returns."""
        self._add({"event": "reply", **reply.as_json()})
        self._log.sync()

    def log_fault(self, key: str, reason: str, *, paid: bool) -> None:
        """Log a failed request; `paid` if the server may have generated, and so charged, for it."""
        self._add({"event": "fault", "key": key, "reason": reason, "paid": paid})

    def _add(self, event: dict[str, Any]) -> None:
        self._log.add([event])
        self._count(event)

    def _count(self, event: Mapping[str, Any]) -> None:
        key = str(event["key"])
        match event["event"]:
            case "request":
                self.requests[key] += 1
            case "reply":
                self.tokens[key] = event["prompt_tokens"] or 0, event["completion_tokens"] or 0
                self._ends[key] = str(event["end"])
                self._uncounted.discard(key)
                if event["completion_tokens"] is None:
                    self._uncounted.add(key)
                self._ended[key] += 1
            case "fault":
                self._ended[key] += not event["paid"]
                self.faults[str(event["reason"])] += 1
            case other:
                raise UserError(f"log {self._log.path}", f"event {other}", "repair or delete it")

    def usage(self, prices: tuple[float, float]) -> dict[str, float]:
        """Tokens and cost: each reply once, and again for each paid request for it that gave no reply.

        `lost` are paid requests for replies that never arrived, whose token counts are unknown, and `uncounted` replies
        without a token count. `cost` is in the currency of `prices`, per million prompt and completion tokens.
        """
        wasted = {key: count - self._ended[key] for key, count in self.requests.items() if count > self._ended[key]}
        once = [sum(tokens[side] for tokens in self.tokens.values()) for side in (0, 1)]
        again = [sum(self.tokens[key][side] * n for key, n in wasted.items() if key in self.tokens) for side in (0, 1)]
        cost = sum((first + more) * price for first, more, price in zip(once, again, prices, strict=True)) / 1e6
        return {
            "replies": len(self.tokens),
            "prompt_tokens": once[0],
            "completion_tokens": once[1],
            "repeated": sum(n for key, n in wasted.items() if key in self.tokens),
            "repeated_prompt_tokens": again[0],
            "repeated_completion_tokens": again[1],
            "uncounted": len(self._uncounted),
            "lost": sum(n for key, n in wasted.items() if key not in self.tokens),
            "faults": self.faults.total(),
            "cost": round(cost, 6),
        }


class TeacherLog:
    """The replies in a folder, looked up by key; holds their offsets in the log and no text.

    May be opened while another process writes the log; it sees the lines of the moment it was opened.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / REPLIES
        self._offsets: dict[str, int] = {}
        refused: set[str] = set()
        offset = 0
        for line in self._lines():
            if line.startswith(b'{"event":"reply"') and line.endswith(b"\n"):
                event = json.loads(line)
                if (key := str(event["key"])) not in self._offsets or key in refused:
                    self._offsets[key] = offset
                (refused.add if event["end"] == REFUSAL else refused.discard)(key)
            offset += len(line)

    def __len__(self) -> int:
        return len(self._offsets)

    def _lines(self) -> Iterator[bytes]:
        if self._path.exists():
            with self._path.open("rb") as file:
                yield from file

    def replies_to(self, requests: Iterable[TeacherRequest]) -> Iterator[tuple[TeacherRequest, TeacherReply]]:
        """The requests that have a reply, each with it, in order."""
        answered = ((request, self._offsets[request.key]) for request in requests if request.key in self._offsets)
        if not self._offsets:
            return
        with self._path.open("rb") as file:
            for request, offset in answered:
                file.seek(offset)
                event = json.loads(file.readline())
                del event["event"]
                yield request, TeacherReply.from_json(event)
