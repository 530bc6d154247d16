"""One reply as HTML, beside its question.

Thought, forced tokens, answer and end are distinguished by background, and by a tag that works in black and white. The
text is complete, escaped, and keeps its whitespace; tags are not copied with the text.
"""

from __future__ import annotations

from z1.report import formatting, templates
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
    End.REPETITION: "the answer repeated itself",
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
    Bucket.BIASED: "thought with a bias on its end",
    Bucket.NUDGE: "forced inside the thought",
    Bucket.CLOSE: "the model\u2019s own think tag",
    Bucket.HINT: "forced by z1",
    Bucket.ANSWER: "answered by the model",
    Bucket.STOP: "end",
}


def card(shown: ShownTranscript) -> str:
    """One reply as an HTML article."""
    attempt, problem = shown.attempt, shown.problem
    free = attempt.thinking_budget is None
    buckets = (str(span[0]) for span in attempt.spans)
    reasons = (REASONS.get(attempt.shift, attempt.shift), ENDS.get(attempt.end, attempt.end))
    return templates.render(
        "card",
        verdict=VERDICTS.get(attempt.verdict, attempt.verdict),
        is_right=attempt.verdict == "right",
        problem=problem,
        label=shown.evaluation.label,
        budget="unlimited thinking" if free else f"thinking budget {formatting.budget(attempt.thinking_budget)}",
        steps="" if problem.steps is None else f"{problem.steps:,} step{'s' * (problem.steps != 1)}",
        parts=list(zip(buckets, attempt.texts, strict=True)),
        stopped="; ".join(filter(None, reasons)),
        counts=_counts(attempt.counts()),
    )


def _counts(ledger: Ledger) -> str:
    answer = "answer not separated" if ledger.answer is None else f"{ledger.answer:,} answer"
    counts = [f"{ledger.thought:,} thinking", answer, f"{ledger.stop:,} stop"]
    more = {"biased": ledger.biased, "nudge": ledger.nudge, "close": ledger.close, "hint": ledger.hint}
    counts[1:1] = [f"{count:,} {name}" for name, count in more.items() if count]
    if ledger.probe:
        counts.append(f"{ledger.probe:,} probe")
    return " + ".join(counts) + f" = {ledger.paid_tokens:,} paid; the paper counts {ledger.phase_one:,} as thinking."
