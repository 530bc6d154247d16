"""Replay of recorded requests: what thinking budgets would have saved, and which answers they would have changed.

Recorded requests have no reference answers. So each is answered once with unlimited thinking and at every budget
(`sweep.py`), and the answer at a budget is compared with the answer after unlimited thinking by its content
(`grading/equivalence.py`). A changed answer is not necessarily worse, since unlimited thinking is not always right.

A file of requests has one JSON object per line: the body of a chat request (`messages`), or a line of OpenAI's batch
files, which has the body under `body`. Other settings of the body are not replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from z1.errors import Fault, UserError
from z1.evaluate import intervals
from z1.evaluate.conversations import conversation_problem
from z1.evaluate.paired import bootstrap
from z1.grading import Verdict
from z1.grading.equivalence import answer_parts, canonical_answer
from z1.records import Attempt, Interval, Problem
from z1.runs import read_lines

ORIGIN = "traffic"


def load_requests(path: Path) -> list[Problem]:
    """The requests in a JSONL file. Raises UserError, with the line, for one without a conversation of texts."""
    if not path.is_file():
        raise UserError(f"requests {path}", "no such file", "give a JSONL file of chat requests")
    found: list[Problem] = []
    for conversation in read_lines(path, partial(_conversation, path)):
        found.append(conversation_problem(str(len(found) + 1), conversation, ORIGIN))
    if not found:
        raise UserError(f"requests {path}", "none", "give one chat request per line")
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
        raise UserError("content", content, "replay supports text only")
    return content


@dataclass(frozen=True, slots=True)
class ReplaySavings:
    """One thinking budget compared with unlimited thinking: shares of 0 to 1, and mean tokens per request.

    `cost_saved` is what 1,000 requests would have cost less, at the given price per million output tokens.
    """

    thinking_budget: int
    requests: int
    missing: int
    shifted: float
    changed: Interval
    thinking_tokens: Interval
    thinking_saved: Interval
    paid_tokens_saved: Interval
    cost_saved: Interval | None

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def savings(attempts: Iterable[Attempt], price_per_mtok: float | None = None) -> list[ReplaySavings]:
    """One row per budget, ascending. Raises Fault if no request was answered both at a budget and without one."""
    by_budget: dict[int | None, dict[str, Attempt]] = {}
    for attempt in attempts:
        by_budget.setdefault(attempt.thinking_budget, {})[attempt.problem] = attempt
    free = by_budget.pop(None, {})
    found = [
        _saving(budget, by_budget[budget], free, price_per_mtok)
        for budget in sorted(w for w in by_budget if w is not None)
    ]
    if not found:
        raise Fault("no request was answered both at a budget and without one")
    return found


def _saving(
    budget: int, capped: Mapping[str, Attempt], free: Mapping[str, Attempt], price_per_mtok: float | None
) -> ReplaySavings:
    pairs = [(capped[p], free[p]) for p in sorted(capped.keys() & free.keys()) if _known(capped[p]) and _known(free[p])]
    if not pairs:
        reason = next((a.fault for a in (*capped.values(), *free.values()) if a.fault), "there are none")
        raise Fault(f"every request is missing at budget {budget}: {reason}; see `fault` in attempts.jsonl")
    changed = sum(_answer(short) != _answer(full) for short, full in pairs)
    used = [(_thought(short), _thought(full)) for short, full in pairs]
    paid = [float(full.counts().paid_tokens - short.counts().paid_tokens) for short, full in pairs]
    paid_saved = bootstrap([[tokens] for tokens in paid])
    return ReplaySavings(
        thinking_budget=budget,
        requests=len(pairs),
        missing=len(capped.keys() | free.keys()) - len(pairs),
        shifted=sum(short.ledger["hint"] != 0 for short, _ in pairs) / len(pairs),
        changed=intervals.share(changed, len(pairs)),
        thinking_tokens=intervals.mean([short for short, _ in used]),
        thinking_saved=_share_saved(used),
        paid_tokens_saved=paid_saved,
        cost_saved=None
        if price_per_mtok is None
        else Interval(*(tokens * price_per_mtok / 1000 for tokens in paid_saved)),
    )


def _share_saved(used: Sequence[tuple[float, float]]) -> Interval:
    """The saved share of the thinking tokens; the interval is that of the saving, with the total fixed."""
    whole = sum(full for _, full in used) / len(used)
    saved = bootstrap([[full - short] for short, full in used])
    return Interval(*(tokens / whole for tokens in saved)) if whole else Interval(0.0, 0.0, 0.0)


def _known(attempt: Attempt) -> bool:
    return attempt.verdict != Verdict.MISSING


def _thought(attempt: Attempt) -> float:
    return float(attempt.ledger["thought"] or 0)


def _answer(attempt: Attempt) -> str:
    """The canonical answer of the reply: from its hint on, or of all of it if it has no answer part."""
    return canonical_answer(
        "".join(answer_parts((span[0], text) for span, text in zip(attempt.spans, attempt.texts, strict=True)))
    )
