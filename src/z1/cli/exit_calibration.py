"""Exit policies of `z1 calibrate`: their bounds, the table of them, and the file that `z1 serve` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from z1.errors import UserError
from z1.exit_policy import POLICIES, CalibratedPolicy

if TYPE_CHECKING:
    from z1.cli.tables import ResultTable
    from z1.evaluate.exit_bounds import PolicyBound, RiskLimit
    from z1.evaluate.exit_savings import SweptThought


def limits(risks: Mapping[str, float | None], confidence: float) -> list[RiskLimit]:
    """The limits that were asked for."""
    from z1.evaluate.exit_bounds import RiskLimit

    return [RiskLimit(risk, value, confidence) for risk, value in risks.items() if value is not None]


def exit_bounds(
    thoughts: Sequence[SweptThought], limit: RiskLimit, policy: str | None, clusters: Path | None
) -> list[PolicyBound]:
    """The bounds of the policy, or of all that the run allows and that its problems can show; all of these hold
    together, with the confidence of `limit`. Raises UserError if there is none.
    """
    from dataclasses import replace

    from z1.evaluate.exit_bounds import policy_bound, problems_needed
    from z1.evaluate.exit_savings import probed_thoughts

    if policy is not None and policy not in POLICIES:
        raise UserError("exit policy", policy, f"choose one of {', '.join(POLICIES)}")
    probed = probed_thoughts(thoughts, limit.risk, None if clusters is None else read_clusters(clusters))
    signals = [one for thought in probed for one in thought.signals]
    has_confidence = bool(signals) and all(one.confidence is not None for one in signals)
    if policy not in (None, "agreement") and not has_confidence:
        raise UserError("exit policy", policy, "evaluate again: the run has no probabilities of forced answers")
    names = [policy] if policy is not None else list(POLICIES) if has_confidence else ["agreement"]
    each = replace(limit, confidence=1 - (1 - limit.confidence) / len(names))
    count = len({one.cluster for one in probed})
    shown = [name for name in names if problems_needed(name, each) <= count] or names[:1]
    return [policy_bound(name, probed, each) for name in shown]


def read_clusters(path: Path) -> dict[str, str]:
    """The cluster of each problem in a JSON file. Raises UserError."""
    from z1 import runs

    found = runs.read_json(path)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise UserError(f"clusters {path}", "no object of texts", 'give {"PROBLEM": "CLUSTER", ...}')
    return found


def chosen_bound(bounds: Sequence[PolicyBound]) -> PolicyBound | None:
    """The bound with the fewest sampled tokens, those of probes included; None if no exit saves any."""
    shown = [one for one in bounds if one.minimums is not None and one.step_ratio < 1]
    return min(shown, key=lambda one: one.step_ratio, default=None)


def policy_file(
    bound: PolicyBound | None, limit: RiskLimit, every: int, thoughts: Sequence[SweptThought], run: Mapping[str, str]
) -> CalibratedPolicy | None:
    """What `z1 serve --exit-policy` reads; the confidence of `limit` counts the choice of the row."""
    from z1.evaluate.exit_bounds import ASSUMPTION
    from z1.evaluate.exit_savings import answer_tokens

    if bound is None or bound.minimums is None:
        return None
    return CalibratedPolicy(
        bound.policy,
        bound.minimums,
        every,
        answer_tokens(thoughts),
        limit.risk,
        limit.max_risk,
        limit.confidence,
        ASSUMPTION,
        bound.problems,
        (dict(run),),
    )


def bounds_table(bounds: Sequence[PolicyBound], limit: RiskLimit, every: int) -> ResultTable:
    """The bounds on one risk, which hold together with the confidence of `limit`."""
    from z1.cli.tables import ResultTable, interval_cell
    from z1.evaluate.exit_bounds import ASSUMPTION

    together = "; all rows hold together" if len(bounds) > 1 else ""
    columns = ["policy", "exit at", "measured %", "exited", "thinking", "sampled", "all", "problems", "set aside"]
    table = ResultTable(
        f"{limit.risk} at most {limit.max_risk:.1%} at confidence {limit.confidence:.0%}",
        columns,
        columns[1:],
        f"a probe every {every} tokens; thinking tokens, with those that probes sample, and with all of probes, over "
        f"those of whole thoughts; for {ASSUMPTION}{together}",
    )
    for one in bounds:
        values = {} if one.minimums is None else one.minimums.values()
        table.add(
            one.policy,
            ", ".join(f"{name} {value:g}" for name, value in values.items()) or "none is shown",
            interval_cell(one.measured, scale=100),
            f"{one.exited:.0%}",
            f"{one.thinking_ratio:.2f}",
            f"{one.step_ratio:.2f}",
            f"{one.paid_ratio:.2f}",
            str(one.problems),
            str(one.set_aside),
        )
    return table
