"""What would windows have saved on my own traffic, and which answers would they have changed?

Nobody knows the right answers of one's own requests. So each is thought through once, freely, and answered at every
window besides (`sweep.py`); a window's answer is compared with the one after full thinking by what both say
(`grading/agree.py`). A changed answer need not be a worse one: full thinking is not always right.

A file of requests has an object a line: the body of a chat request as it was sent (`messages`), or a line of OpenAI's
batch files, which holds one under `body`. Settings in it other than the messages are not replayed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from z1.benchmarks import Benchmark
from z1.errors import Fault, UserError
from z1.evaluate import intervals
from z1.evaluate.paired import bootstrap
from z1.grading import Grade, Verdict
from z1.grading.equivalence import answer_parts, canonical_answer
from z1.records import Attempt, Interval, Problem
from z1.runs import read_lines

ORIGIN = "traffic"


@dataclass(frozen=True, slots=True)
class ReplayRequests(Benchmark):
    """One's own requests, where a benchmark is wanted; a problem's question is its conversation as JSON."""

    def messages(self, problem: Problem) -> list[dict[str, str]]:
        """The conversation as it was sent."""
        return list(json.loads(problem.question))


def traffic(path: Path) -> ReplayRequests:
    """The requests in `path`, in the place of a benchmark."""
    return ReplayRequests(ORIGIN, lambda count, seed, options: requests(path)[:count], _ungraded, "your own", str(path))


def _ungraded(text: str, problem: Problem, cut: bool) -> Grade:
    return Grade(Verdict.UNGRADED)


def requests(path: Path) -> list[Problem]:
    """The requests in a JSONL file. Raises UserError for one without a conversation of texts, by its line."""
    if not path.is_file():
        raise UserError("requests", f"no file {path}", "give a JSONL file of chat requests")
    found: list[Problem] = []
    for conversation in read_lines(path, partial(_conversation, path)):
        found.append(Problem(str(len(found) + 1), json.dumps(conversation), "", ORIGIN))
    if not found:
        raise UserError(f"requests {path}", "none", "give one chat request a line, each line ended")
    return found


def _conversation(path: Path, line: Mapping[str, Any]) -> list[dict[str, str]]:
    body = line.get("body", line) if isinstance(line, Mapping) else None
    turns = body.get("messages") if isinstance(body, Mapping) else None
    if not isinstance(turns, list) or not turns:
        raise UserError("messages", turns, f"give the conversation of each request in {path.name}")
    return [{"role": str(turn["role"]), "content": _text(turn["content"])} for turn in turns]


def _text(content: Any) -> str:
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "".join(str(part["text"]) for part in content)
    if not isinstance(content, str):
        raise UserError("content", content, "replay holds text only")
    return content


@dataclass(frozen=True, slots=True)
class ReplaySavings:
    """One window against full thinking: shares of 0 to 1 with their intervals, tokens as means a request.

    `money` is what a thousand requests would have cost less, at the price of a million tokens that was given.
    """

    thinking_budget: int
    requests: int
    missing: int
    shifted: float
    changed: Interval
    thought: Interval
    thought_saved: Interval
    paid_saved: Interval
    money: Interval | None

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def savings(attempts: Iterable[Attempt], price: float | None = None) -> list[ReplaySavings]:
    """A row a window, ascending; `price` is that of a million tokens of output. Raises Fault where nothing is known."""
    by_window: dict[int | None, dict[str, Attempt]] = {}
    for attempt in attempts:
        by_window.setdefault(attempt.thinking_budget, {})[attempt.problem] = attempt
    free = by_window.pop(None, {})
    found = [
        _saving(window, by_window[window], free, price) for window in sorted(w for w in by_window if w is not None)
    ]
    if not found:
        raise Fault("no request was answered both freely and under a window")
    return found


def _saving(
    window: int, capped: Mapping[str, Attempt], free: Mapping[str, Attempt], price: float | None
) -> ReplaySavings:
    pairs = [(capped[p], free[p]) for p in sorted(capped.keys() & free.keys()) if _known(capped[p]) and _known(free[p])]
    if not pairs:
        raise Fault(f"every request is missing under window {window}; see the faults in attempts.jsonl")
    changed = sum(_says(short) != _says(full) for short, full in pairs)
    used = [(_thought(short), _thought(full)) for short, full in pairs]
    paid = [float(full.counts().paid_tokens - short.counts().paid_tokens) for short, full in pairs]
    paid_saved = bootstrap([[tokens] for tokens in paid])
    return ReplaySavings(
        thinking_budget=window,
        requests=len(pairs),
        missing=len(capped.keys() | free.keys()) - len(pairs),
        shifted=sum(short.ledger["hint"] != 0 for short, _ in pairs) / len(pairs),
        changed=intervals.share(changed, len(pairs)),
        thought=intervals.mean([short for short, _ in used]),
        thought_saved=_share_saved(used),
        paid_saved=paid_saved,
        money=None if price is None else Interval(*(tokens * price / 1000 for tokens in paid_saved)),
    )


def _share_saved(used: Sequence[tuple[float, float]]) -> Interval:
    """Of all ids that full thinking took; its interval is that of the saving, with the whole held fixed."""
    whole = sum(full for _, full in used) / len(used)
    saved = bootstrap([[full - short] for short, full in used])
    return Interval(*(tokens / whole for tokens in saved)) if whole else Interval(0.0, 0.0, 0.0)


def _known(attempt: Attempt) -> bool:
    return attempt.verdict != Verdict.MISSING


def _thought(attempt: Attempt) -> float:
    return float(attempt.ledger["thought"] or 0)


def _says(attempt: Attempt) -> str:
    """What the reply says from its hint on, or all of it where it has no answer of its own."""
    return canonical_answer(
        "".join(answer_parts((span[0], text) for span, text in zip(attempt.spans, attempt.texts, strict=True)))
    )
