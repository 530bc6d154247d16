"""Recorded traces: thinking budgets and early exits scored on probes that others measured, without a model.

A file has one JSON object per trace: `id`, and `probes`, each the answer that was forced after a prefix of the thought:
`tokens` of the prefix, the `prediction`, whether it is `right`, and optionally `p`, the probability of each option. The
last probe is that of the whole thought. Every rule is applied to the recorded probes, so two rules are compared on the
same thoughts. A rule sees only the recorded prefixes; between two of them it cannot exit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from z1.benchmarks.gold_letters import check_gold_letters
from z1.benchmarks.rows import Row, make_problem, read_rows
from z1.errors import UserError
from z1.evaluate import intervals
from z1.evaluate.paired import bootstrap, difference_of_shares
from z1.records import Interval

AGREEING = (2, 3)
"""Equal answers in a row that end a thought."""

CONFIDENCE = (0.9, 0.95, 0.99)
"""Probabilities of the predicted option that end a thought (DEER, arXiv 2504.15895, exits at 0.95)."""


@dataclass(frozen=True, slots=True)
class RecordedProbe:
    """The answer forced after `tokens` of the thought; `p` is the probability of the predicted option if recorded."""

    tokens: int
    prediction: str
    is_right: bool
    p: float | None


Trace = Sequence[RecordedProbe]
"""The probes of one thought, in order; the last is that of the whole thought."""

Rule = Callable[[Trace], int]
"""Maps a trace to the index of the probe at which the thought ends."""


@dataclass(frozen=True, slots=True)
class RecordedScore:
    """One rule on all traces, compared with whole thoughts: shares of 0 to 1, and means per trace."""

    rule: str
    traces: int
    exited: float
    accuracy: Interval
    accuracy_difference: Interval
    thinking_tokens: Interval
    thinking_tokens_saved: Interval
    probes: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def read_traces(path: Path) -> dict[str, Trace]:
    """The traces in a JSONL file, which may be compressed with gzip, by id. Raises UserError for an invalid row."""
    if not path.is_file():
        raise UserError(f"traces {path}", "no such file", "give a JSONL file of traces with probes")
    traces: dict[str, Trace] = {}
    golds = []
    for number, row in enumerate(read_rows(path), 1):
        name = str(row.get("id", number))
        if name in traces:
            raise UserError(f"{path}, row {number}, id", name, "give every row an id of its own")
        traces[name] = make_problem(f"{path}, row {number}", partial(_trace, row))
        golds.append(str(row.get("answer", "")))
    if all(len(gold) == 1 and gold.isalpha() for gold in golds):
        check_gold_letters(path.name, golds)
    return traces


def _trace(row: Row) -> Trace:
    probes = row.get("probes")
    if not isinstance(probes, list) or not probes:
        raise UserError("probes", probes, "give the probes of every trace, ascending in tokens")
    try:
        found = [_probe(one, row.get("answer")) for one in probes]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError("probes", repr(error), "give tokens, prediction and right of every probe") from None
    if [one.tokens for one in found] != sorted(one.tokens for one in found):
        raise UserError("tokens of the probes", [one.tokens for one in found], "give them in ascending order")
    return found


def _probe(value: Mapping[str, Any], gold: Any) -> RecordedProbe:
    prediction, options = str(value["prediction"]), value.get("p")
    is_right = value["right"] if "right" in value else prediction == str(gold)
    p = options.get(prediction) if isinstance(options, Mapping) else options
    return RecordedProbe(int(value["tokens"]), prediction, bool(is_right), None if p is None else float(p))


def rules(traces: Mapping[str, Trace], thinking_budgets: Sequence[int]) -> dict[str, Rule]:
    """The rules that the recorded values allow, by name; the whole thought last."""
    found: dict[str, Rule] = {f"budget {budget}": partial(_at_budget, budget) for budget in thinking_budgets}
    found |= {f"{count} equal answers": partial(_at_agreement, count) for count in AGREEING}
    if all(probe.p is not None for trace in traces.values() for probe in trace):
        found |= {f"probability {p}": partial(_at_confidence, p) for p in CONFIDENCE}
    return {**found, "whole thought": lambda trace: len(trace) - 1}


def score(traces: Mapping[str, Trace], thinking_budgets: Sequence[int]) -> list[RecordedScore]:
    """Every rule on all traces."""
    return [_score(name, rule, list(traces.values())) for name, rule in rules(traces, thinking_budgets).items()]


def _score(name: str, rule: Rule, traces: Sequence[Trace]) -> RecordedScore:
    ends = [rule(trace) for trace in traces]
    chosen = [trace[end] for trace, end in zip(traces, ends, strict=True)]
    pairs = [(probe, trace[-1]) for probe, trace in zip(chosen, traces, strict=True)]
    is_probing = not name.startswith(("budget", "whole"))
    return RecordedScore(
        name,
        len(traces),
        sum(end < len(trace) - 1 for trace, end in zip(traces, ends, strict=True)) / len(traces),
        intervals.share(sum(probe.is_right for probe in chosen), len(chosen)),
        difference_of_shares([[float(probe.is_right) - float(whole.is_right)] for probe, whole in pairs]),
        intervals.mean([float(probe.tokens) for probe in chosen]),
        bootstrap([[float(whole.tokens - probe.tokens)] for probe, whole in pairs]),
        sum(end + 1 for end in ends) / len(ends) if is_probing else 0.0,
    )


def _at_budget(budget: int, trace: Trace) -> int:
    """The last recorded prefix within the budget; the first if none is."""
    return max((index for index, probe in enumerate(trace) if probe.tokens <= budget), default=0)


def _at_agreement(count: int, trace: Trace) -> int:
    equal = 0
    for index, probe in enumerate(trace):
        equal = equal + 1 if index and probe.prediction == trace[index - 1].prediction else 1
        if equal >= count:
            return index
    return len(trace) - 1


def _at_confidence(least: float, trace: Trace) -> int:
    confident = (index for index, probe in enumerate(trace) if probe.p is not None and probe.p >= least)
    return next(confident, len(trace) - 1)
