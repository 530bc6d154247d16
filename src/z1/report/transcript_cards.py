"""One reply as HTML, beside its question.

Thought, forced tokens, answer and end are distinguished by background, and by a tag that works in black and white. The
text is complete, escaped, and keeps its whitespace; tags are not copied with the text.
"""

from __future__ import annotations

from html import escape

from z1.report import formatting
from z1.report.transcripts import ShownTranscript
from z1.think.ledger import Bucket, End, Ledger, Shift

REASONS: dict[str, str] = {
    Shift.NATURAL: "the model ended its thought",
    Shift.BUDGET: "the thinking budget was used up",
    Shift.CONTEXT: "the context was used up",
    Shift.DEADLINE: "the deadline passed",
    Shift.CONTROL: "an answer was requested",
    Shift.CONVERGED: "probes agreed on an answer",
    Shift.REPETITION: "the thought repeated itself",
    Shift.SESSION: "the session's thinking budget was used up",
}
ENDS: dict[str, str] = {
    End.STOP: "",
    End.STRING: "",
    End.CUT: "the answer was cut off",
    End.ABORTED: "the reply was aborted",
}
VERDICTS = {
    "right": "\u2713 right",
    "wrong": "\u2717 wrong",
    "unparsed": "? no answer found",
    "cut": "\u2702 cut off",
}
KEY = {
    Bucket.THOUGHT: "thought by the model",
    Bucket.CLOSE: "the model\u2019s own think tag",
    Bucket.HINT: "forced by z1",
    Bucket.ANSWER: "answered by the model",
    Bucket.STOP: "end",
}


def key() -> str:
    """The legend of backgrounds and tags, as HTML."""
    parts = (f'<span><mark class="{one}">{_tag(one)}{escape(text)} </mark></span>' for one, text in KEY.items())
    return f'<p class="key">{" ".join(parts)}</p>'


def card(shown: ShownTranscript) -> str:
    """One reply as an HTML article."""
    attempt, problem = shown.attempt, shown.problem
    ledger = attempt.counts()
    budget = (
        "unlimited thinking"
        if attempt.thinking_budget is None
        else f"thinking budget {formatting.budget(attempt.thinking_budget)}"
    )
    verdict = VERDICTS.get(attempt.verdict, attempt.verdict)
    steps = "" if problem.steps is None else f"<span>{problem.steps:,} step{'s' * (problem.steps != 1)}</span>"
    stopped = "; ".join(filter(None, (REASONS.get(attempt.shift, attempt.shift), ENDS.get(attempt.end, attempt.end))))
    return (
        f'<article><header><span class="verdict{" right" * (attempt.verdict == "right")}">{escape(verdict)}</span>'
        f"<span>expected <code>{escape(problem.answer)}</code></span>"
        f"<span>{escape(shown.evaluation.label)}</span>"
        f"<span>{budget}</span>{steps}"
        f'<span class="soft">{escape(problem.id)}</span></header>'
        f'<div class="sides"><div><h3>Question</h3><div class="text">{escape(problem.question)}</div></div>'
        f'<div><h3>Reply</h3><div class="text">{_reply(shown)}</div></div></div>'
        f'<div class="meta">Thinking stopped: {escape(stopped)}. Tokens: {_counts(ledger)}</div></article>'
    )


def _reply(shown: ShownTranscript) -> str:
    buckets = (str(span[0]) for span in shown.attempt.spans)
    parts = zip(buckets, shown.attempt.texts, strict=True)
    return "".join(f'<mark class="{escape(one)}">{_tag(one)}{escape(text)}</mark>' for one, text in parts)


def _tag(bucket: str) -> str:
    return f'<span class="tag">{escape(bucket)}</span>'


def _counts(ledger: Ledger) -> str:
    answer = "answer not separated" if ledger.answer is None else f"{ledger.answer:,} answer"
    counts = [f"{ledger.thought:,} thinking", answer, f"{ledger.stop:,} stop"]
    if ledger.hint or ledger.close:
        counts[1:1] = [f"{count:,} {name}" for name, count in (("close", ledger.close), ("hint", ledger.hint)) if count]
    if ledger.probe:
        counts.append(f"{ledger.probe:,} probe")
    return " + ".join(counts) + f" = {ledger.paid_tokens:,} paid; the paper counts {ledger.phase_one:,} as thinking."
