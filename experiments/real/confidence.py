"""An exit by confidence: a thought ends when its probed answer is probable (after DEER, arXiv 2504.15895)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp
from statistics import fmean

from z1.engines import Session, run_flow
from z1.errors import EngineFault
from z1.think import Flow, Shift


@dataclass(slots=True)
class ConfidenceExit:
    """Ends a thought when the geometric mean probability of a probed answer's tokens is `min_confidence` or more.

    A probe every `interval` tokens, with the reply's own hint, of at most `max_answer_tokens`. DEER probes at words
    such as "Wait"; this rule probes on a grid, as the other arms do. Needs an engine with log-probabilities.
    """

    interval: int
    min_confidence: float
    max_answer_tokens: int

    async def check(self, flow: Flow, session: Session) -> Shift | None:
        """`Shift.CONVERGED` if the probed answer is probable. A probe that fails in the engine does not count."""
        window = replace(
            flow.window,
            thinking_budget=0,
            max_answer_tokens=min(self.max_answer_tokens, flow.window.max_answer_tokens),
            hint=flow.forced_hint(),
            min_thinking_tokens=0,
            closing=None,
        )
        fork = await session.fork()
        probe = Flow(window, fork.free_tokens)
        try:
            await run_flow(probe, fork)
        except EngineFault:
            return None
        finally:
            flow.add_probe_tokens(len(probe.token_ids))
            await fork.close()
        counts = probe.ledger()
        sampled = (counts.answer or 0) + counts.stop
        logprobs = [one.logprob for one in fork.logprobs[-sampled:]] if sampled else []
        return Shift.CONVERGED if logprobs and exp(fmean(logprobs)) >= self.min_confidence else None
