"""Recorded traces: thinking budgets and early exits scored on probes that others measured, without a model.

A file has one JSON object per trace: `id`, and `probes`, each the answer that was forced after a prefix of the thought:
`tokens` of the prefix, the `prediction`, whether it is `right`, and optionally `p`, the probability of each option. The
last probe is that of the whole thought, with which exits are compared; an earlier probe can be the reference instead,
since what follows it may be more than thought. Every rule is applied to the recorded probes, so two rules are compared
on the same thoughts. A rule sees only the recorded prefixes; between two of them it cannot exit.

Options need not have all of the probability: a model may begin its answer with something else. The *mass* is what all
options have together, and the *share* of an option its part of the mass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

from z1.benchmarks.gold_letters import check_gold_letters
from z1.benchmarks.rows import Row, make_problem, read_rows
from z1.errors import UserError
from z1.evaluate import intervals
from z1.evaluate.exit_bounds import ProbedThought
from z1.evaluate.paired import bootstrap, difference_of_shares
from z1.exit_policy import AnswerConfidence, ProbeHistory
from z1.records import Interval

AGREEING = (2, 3, 4)
"""Equal answers in a row that end a thought."""

CONFIDENCE = (0.9, 0.95, 0.99)
"""Probabilities, shares and margins of the predicted option that end a thought (DEER, arXiv 2504.15895: 0.95)."""

ENTROPY = (0.3, 0.1, 0.03)
"""Entropies of the shares, in nats, that end a thought."""

MIN_MASS = 0.5
"""The mass that rules on shares need in one of their two forms."""


@dataclass(frozen=True, slots=True)
class RecordedProbe:
    """The answer forced after `tokens` of the thought.

    If they are recorded, `p` is the probability of the predicted option, `margin` its lead over the next one, `mass`
    that of all options, and `entropy` that of their shares in nats.
    """

    tokens: int
    prediction: str
    is_right: bool
    p: float | None
    margin: float = 0.0
    mass: float = 1.0
    entropy: float = 0.0

    @property
    def share(self) -> float:
        """The predicted option's share of the mass."""
        return (self.p or 0.0) / max(self.mass, 1e-12)


Trace = Sequence[RecordedProbe]
"""The probes of one thought, in order; the last is that of the whole thought."""

VALUES: dict[str, Callable[[RecordedProbe], float]] = {
    "probability": lambda one: one.p or 0.0,
    "margin": lambda one: one.margin,
    "share": lambda one: one.share,
    f"mass {MIN_MASS}, share": lambda one: one.share if one.mass >= MIN_MASS else 0.0,
}
"""What a probe needs at least, by the name of the rule."""

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
    start = (int(value["tokens"]), prediction, bool(is_right))
    if not isinstance(options, Mapping):
        return RecordedProbe(*start, None if options is None else float(options))
    p, mass = float(options.get(prediction) or 0.0), sum(map(float, options.values()))
    others = [float(one) for name, one in options.items() if name != prediction]
    shares = [float(one) / mass for one in options.values() if one > 0] if mass else []
    return RecordedProbe(*start, p, p - max(others, default=0.0), mass, sum(one * -log(one) for one in shares))


def rules(traces: Mapping[str, Trace], thinking_budgets: Sequence[int]) -> dict[str, Rule]:
    """The rules that the recorded values allow, by name; the whole thought last."""
    found: dict[str, Rule] = {f"budget {budget}": partial(_at_budget, budget) for budget in thinking_budgets}
    found |= {f"{count} equal answers": partial(_at_agreement, count) for count in AGREEING}
    if all(probe.p is not None for trace in traces.values() for probe in trace):
        for name, value in VALUES.items():
            found |= {f"{name} {least}": partial(_at_value, value, least) for least in CONFIDENCE}
        found |= {f"entropy {most}": partial(_at_value, lambda one: -one.entropy, -most) for most in ENTROPY}
        found |= {f"2 equal answers, probability {least}": partial(_at_both, least) for least in CONFIDENCE}
    return {**found, "whole thought": lambda trace: len(trace) - 1}


def until(trace: Trace, share: float) -> Trace:
    """The probes within this share of the thought, of which the last one becomes the reference."""
    kept = [probe for probe in trace if probe.tokens <= share * trace[-1].tokens + 0.5]
    return kept or trace[:1]


def score(traces: Mapping[str, Trace], thinking_budgets: Sequence[int], reference: float = 1.0) -> list[RecordedScore]:
    """Every rule on all traces, compared with the probe at this share of the thought."""
    kept = {name: until(trace, reference) for name, trace in traces.items()}
    return [_score(name, rule, list(kept.values())) for name, rule in rules(kept, thinking_budgets).items()]


def recorded_thoughts(traces: Mapping[str, Trace], risk: str) -> list[ProbedThought]:
    """The traces for a bound on `lost_right` or `changed_answer` (`exit_bounds.policy_bound`). No tokens of probes are
    recorded, so they count as none.
    """
    return [_thought(name, trace, risk) for name, trace in traces.items()]


def _thought(name: str, trace: Trace, risk: str) -> ProbedThought:
    history, (*probes, whole) = ProbeHistory(), trace
    known = [None if one.p is None else AnswerConfidence(one.p, one.margin, one.entropy) for one in probes]
    return ProbedThought(
        name,
        tuple(history.add(one.tokens, one.prediction, how) for one, how in zip(probes, known, strict=True)),
        tuple(
            float(whole.is_right and not one.is_right if risk == "lost_right" else one.prediction != whole.prediction)
            for one in probes
        ),
        (0,) * len(probes),
        (0,) * len(probes),
        float(whole.tokens),
    )


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


def _at_value(value: Callable[[RecordedProbe], float], least: float, trace: Trace) -> int:
    """The first probe with this value or more."""
    return next((index for index, one in enumerate(trace) if value(one) >= least), len(trace) - 1)


def _at_both(least: float, trace: Trace) -> int:
    both = (at for at, (a, b) in enumerate(pairwise(trace), 1) if a.prediction == b.prediction and (b.p or 0) >= least)
    return next(both, len(trace) - 1)
