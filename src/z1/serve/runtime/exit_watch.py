"""The server's exit policy, and a monitor that ends it when it changes more answers than its bound allows.

A share of the requests, drawn before anything is known of them, keeps its whole thought. Their probes tell where the
policy would have ended it and with which answer; the loss is 1 if that is another than the reply's own. A test
martingale over these losses (`risk_control.RiskMonitor`) raises an alarm with the calibration's confidence, and after
it all thoughts are whole. The clients of the drawn requests get the better reply, so nothing is generated twice: the
cost is the thought that was not saved.

Of the requests with one session only the first that is drawn counts, since they are not independent.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from z1.engines import Engine, Probe
from z1.errors import UserError
from z1.exit_policy import NO_MINIMUMS, CalibratedPolicy
from z1.grading.equivalence import canonical_answer
from z1.risk_control import RiskMonitor
from z1.serve.api.budget import Policy
from z1.serve.runtime.reply_runner import Event, GenerationRequest, NewTokens, ReplyFinished
from z1.serve.runtime.shadow import canonical_reply
from z1.think import Shift

MONITORED = "changed_answer"
"""The only loss that can be seen without right answers."""

_RANDOM = secrets.SystemRandom()

ExitOutcome = Literal["exited", "whole", "same", "changed", "unaffected", "suspended"]

Mode = Literal["applied", "observed", "suspended"]


@dataclass(frozen=True, slots=True)
class ExitResult:
    """One reply under the server's exit policy, in tokens.

    `exited`, or `whole` because no probe was sure enough. Of those drawn: the answer of the exit is the `same` or
    `changed`, or `unaffected` because there was no exit; `exit_tokens` is where it was. `suspended`: after the alarm.
    """

    outcome: ExitOutcome
    thinking_tokens: int
    exit_tokens: int
    probe_tokens: int


@dataclass(slots=True)
class ExitTotals:
    """Sums over replies. The saving of the replies that were not drawn is estimated from those that were."""

    drawn: int = 0
    drawn_saved_tokens: int = 0
    not_drawn: int = 0
    probe_tokens: int = 0

    def add(self, result: ExitResult) -> None:
        """Count a reply."""
        if result.outcome == "suspended":
            return
        is_drawn = result.outcome not in ("exited", "whole")
        self.drawn += is_drawn
        self.not_drawn += not is_drawn
        self.drawn_saved_tokens += result.thinking_tokens - result.exit_tokens
        self.probe_tokens += result.probe_tokens

    @property
    def net_saved_tokens(self) -> float:
        """Estimated thinking tokens that were saved, less the probes of all replies; those drawn have saved none."""
        return self.not_drawn * self.drawn_saved_tokens / max(1, self.drawn) - self.probe_tokens


MAX_SESSIONS = 100_000
"""Sessions whose first drawn reply is remembered; beyond, the oldest is forgotten."""


class ExitWatch:
    """Applies `calibrated` to requests that have its `policy` by default, and watches a share of them.

    `token_bytes` maps a token to its bytes, `on_result` gets every reply, `draw` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        calibrated: CalibratedPolicy,
        share: float,
        token_bytes: Callable[[int], bytes],
        on_result: Callable[[ExitResult], None],
        draw: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self.policy, self.share, self.token_bytes = policy_of(calibrated), share, token_bytes
        self._on_result, self._draw = on_result, draw
        self.monitor = RiskMonitor(calibrated.max_risk, calibrated.confidence)
        self.totals = ExitTotals()
        self._sessions: dict[str, None] = {}

    def start(
        self, requests: Sequence[GenerationRequest], session: str | None = None
    ) -> tuple[list[GenerationRequest], list[ExitObserver | None]]:
        """The requests as they are to be run, and what follows the events of each; None with another policy."""
        modes = [self._mode() if request.policy.is_default else None for request in requests]
        changes: dict[Mode | None, dict[str, Any]] = {
            "observed": {"is_observing": True},
            "suspended": {"minimums": NO_MINIMUMS},
        }
        changed = [
            replace(one, policy=replace(one.policy, **changes[mode])) if mode in changes else one
            for one, mode in zip(requests, modes, strict=True)
        ]
        return changed, [ExitObserver(self, mode, session) if mode else None for mode in modes]

    def add(self, result: ExitResult, session: str | None) -> None:
        """Count a reply; of a session only the first that was drawn is evidence."""
        self.totals.add(result)
        is_drawn = result.outcome in ("same", "changed", "unaffected")
        if is_drawn and (session is None or session not in self._sessions):
            self.monitor.add(float(result.outcome == "changed"))
            if session is not None:
                self._sessions[session] = None
                if len(self._sessions) > MAX_SESSIONS:
                    del self._sessions[next(iter(self._sessions))]
        self._on_result(result)

    def _mode(self) -> Mode:
        if self.monitor.alarm:
            return "suspended"
        return "observed" if self._draw() < self.share else "applied"


@dataclass(slots=True)
class ExitObserver:
    """Follows one reply: where the policy ends it, or would have, and whether that changes its answer."""

    watch: ExitWatch
    mode: Mode
    session: str | None
    _exit: Probe | None = None
    _new_tokens: list[NewTokens] = field(default_factory=list)

    def on_event(self, event: Event) -> None:
        """Take an event of the reply."""
        if isinstance(event, Probe) and self._exit is None and self.watch.policy.minimums.are_met(event.signals):
            self._exit = event
        elif isinstance(event, NewTokens) and self.mode == "observed":
            self._new_tokens.append(event)
        elif isinstance(event, ReplyFinished):
            tokens = event.ledger.thinking_tokens
            exit_tokens = tokens if self._exit is None else self._exit.thinking_tokens
            result = ExitResult(self._outcome(event), tokens, exit_tokens, event.ledger.probe)
            self.watch.add(result, self.session)

    def _outcome(self, event: ReplyFinished) -> ExitOutcome:
        if self.mode == "suspended":
            return "suspended"
        if self.mode == "applied":
            return "exited" if event.shift is Shift.CONVERGED else "whole"
        if self._exit is None:
            return "unaffected"
        token_bytes = self.watch.token_bytes
        probed = canonical_answer(b"".join(map(token_bytes, self._exit.token_ids)).decode("utf-8", "replace"))
        return "same" if probed == canonical_reply(self._new_tokens, token_bytes) else "changed"


def policy_of(calibrated: CalibratedPolicy) -> Policy:
    """The policy of a request that sets none."""
    return Policy(calibrated.every, calibrated.minimums, calibrated.answer_tokens, is_default=True)


def check_exit_policy(calibrated: CalibratedPolicy, share: float, engine: Engine) -> None:
    """Raises UserError if the engine cannot apply the policy, or the server cannot watch its bound."""
    can = engine.capabilities
    if not can.can_fork or (calibrated.minimums.needs_confidence and not can.has_logprobs):
        lack = "has no log-probabilities" if can.can_fork else "cannot fork a session"
        raise UserError("exit policy", f"{calibrated.policy}, and {engine.name} {lack}", "use the local engine or vLLM")
    if share and calibrated.risk != MONITORED:
        do = "calibrate with --max-changed-answer, or serve with --full-thought-share 0"
        raise UserError("exit policy", f"a bound on {calibrated.risk}, which traffic does not show", do)
