"""Exit policies: how sure a probed answer has to be for its thought to end.

A probe is the answer that the model is made to give in the middle of its thought. Its *signals* are what can be known
of it without the rest of the thought; *minimums* of them end the thought at the first probe that reaches them all. A
logistic `Combiner` turns the signals into one number, the estimated probability that nothing is lost by an exit.

`POLICIES` is the table that calibration and evaluations share. Nothing here needs an engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import exp, isfinite, log
from typing import Any, NamedTuple

from z1.errors import UserError

MAX_AGREEING = 4
"""Equal answers in a row beyond which the combiner does not count."""

MIN_PROBABILITY = 1e-6
"""Probabilities closer to 0 or 1 are taken as this far from them."""


class AnswerConfidence(NamedTuple):
    """How sure the model is of an answer: the probability of all of it, the smallest difference between a token's
    probability and that of its best alternative, and the largest entropy of a token in nats.
    """

    probability: float
    margin: float
    entropy: float


class ProbeSignals(NamedTuple):
    """What a probe tells. `agreeing` counts equal answers in a row, 0 without an answer; `slope` is the change of the
    probability since the probe before; `confidence` is None where the engine has no log-probabilities.
    """

    thinking_tokens: int
    agreeing: int
    confidence: AnswerConfidence | None = None
    slope: float = 0.0


class ProbeHistory:
    """The probes of one thought, in order."""

    def __init__(self) -> None:
        self._last, self._agreeing, self._probability = "", 0, 0.0

    def add(self, thinking_tokens: int, answer: str, confidence: AnswerConfidence | None) -> ProbeSignals:
        """The signals of the next probe; `answer` is "" if there is none."""
        self._agreeing = 0 if not answer else self._agreeing + 1 if answer == self._last else 1
        self._last = answer
        slope = 0.0
        if confidence is not None:
            slope, self._probability = confidence.probability - self._probability, confidence.probability
        return ProbeSignals(thinking_tokens, self._agreeing, confidence, slope)


@dataclass(frozen=True, slots=True)
class Combiner:
    """A logistic regression on `features`: `weights` and, last, the intercept. `mean_thought` is the scale of the
    thinking tokens.
    """

    weights: tuple[float, ...]
    mean_thought: float

    def score(self, signals: ProbeSignals) -> float:
        """The estimated probability that an exit at this probe loses nothing."""
        values = features(signals, self.mean_thought)
        total = sum(weight * value for weight, value in zip(self.weights, (*values, 1.0), strict=True))
        return 1 / (1 + exp(-max(-700.0, min(700.0, total))))


FEATURES = ("log odds", "margin", "entropy", "agreeing", "slope", "share of the mean thought")


def features(signals: ProbeSignals, mean_thought: float) -> tuple[float, ...]:
    """The values that the combiner weighs, in the order of `FEATURES`, of about equal size."""
    confidence = signals.confidence or AnswerConfidence(0.0, 0.0, 0.0)
    p = min(1 - MIN_PROBABILITY, max(MIN_PROBABILITY, confidence.probability))
    return (
        log(p / (1 - p)) / 5,
        confidence.margin,
        confidence.entropy,
        min(signals.agreeing, MAX_AGREEING) / MAX_AGREEING,
        signals.slope,
        min(4.0, signals.thinking_tokens / max(1.0, mean_thought)),
    )


@dataclass(frozen=True, slots=True)
class ExitMinimums:
    """What a probe has to reach to end the thought: all of those that are not None. Without any it never ends."""

    agreeing: int | None = None
    probability: float | None = None
    combined: float | None = None
    combiner: Combiner | None = None

    @property
    def needs_confidence(self) -> bool:
        """Whether the engine must have log-probabilities."""
        return self.probability is not None or self.combined is not None

    @property
    def can_exit(self) -> bool:
        """Whether there is any."""
        return self.needs_confidence or self.agreeing is not None

    def are_met(self, signals: ProbeSignals, score: float | None = None) -> bool:
        """Whether a thought ends at a probe with these signals; never where it has no answer. `score` is the combiner's
        if it is known.
        """
        if not self.can_exit or signals.agreeing < (self.agreeing or 1):
            return False
        probability = 0.0 if signals.confidence is None else signals.confidence.probability
        if self.probability is not None and probability < self.probability:
            return False
        if self.combined is None:
            return True
        if score is None:
            score = 0.0 if self.combiner is None else self.combiner.score(signals)
        return score >= self.combined

    def values(self) -> dict[str, float]:
        """The minimums by name, without the combiner."""
        found = ((name, getattr(self, name)) for name in ("agreeing", "probability", "combined"))
        return {name: value for name, value in found if value is not None}


NO_MINIMUMS = ExitMinimums()
"""No probe ends the thought."""

PROBABILITIES = (
    *(0.9999, 0.999, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91),
    *(0.9, 0.88, 0.86, 0.84, 0.82, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.4, 0.3),
)

POLICIES: dict[str, tuple[ExitMinimums, ...]] = {
    "agreement": tuple(ExitMinimums(count) for count in (32, 24, 16, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1)),
    "confidence": tuple(ExitMinimums(probability=p) for p in PROBABILITIES),
    "both": tuple(ExitMinimums(count, p) for count in (4, 3, 2) for p in PROBABILITIES),
    "combined": tuple(ExitMinimums(combined=p) for p in PROBABILITIES),
}
"""The minimums of each policy that calibration tries; `agreement` and `confidence` from the most careful one."""

SCHEMA = "z1 exit policy 1"


@dataclass(frozen=True, slots=True)
class CalibratedPolicy:
    """What `z1 calibrate` writes and `z1 serve --exit-policy` reads: when a thought ends, and the bound that was shown.

    A probe every `every` thinking tokens, of at most `answer_tokens`. The risk named `risk` is at most `max_risk` with
    `confidence`, under `assumption`; `runs` name what it was calibrated on.
    """

    policy: str
    minimums: ExitMinimums
    every: int
    answer_tokens: int
    risk: str
    max_risk: float
    confidence: float
    assumption: str
    problems: int
    runs: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Any, source: str) -> CalibratedPolicy:
        """The policy in `value`, which `source` names. Raises UserError."""
        if not isinstance(value, Mapping) or value.get("schema") != SCHEMA:
            got = value.get("schema", "no schema") if isinstance(value, Mapping) else type(value).__name__
            raise UserError(f"exit policy {source}", got, f"give a file of {SCHEMA!r} that z1 calibrate wrote")
        try:
            return _calibrated(dict(value))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"exit policy {source}", repr(error), "write it again with z1 calibrate") from None


def _calibrated(value: dict[str, Any]) -> CalibratedPolicy:
    given = {field.name: value[field.name] for field in fields(CalibratedPolicy)}
    minimums = dict(given["minimums"])
    if minimums.get("combiner") is not None:
        weights = tuple(float(one) for one in minimums["combiner"]["weights"])
        if len(weights) != len(FEATURES) + 1 or not all(map(isfinite, weights)):
            raise ValueError(f"{len(weights)} weights for {len(FEATURES)} features")
        minimums["combiner"] = Combiner(weights, float(minimums["combiner"]["mean_thought"]))
    found = CalibratedPolicy(**{**given, "minimums": ExitMinimums(**minimums), "runs": tuple(given["runs"])})
    numbers = (found.every, found.answer_tokens)
    shares = (found.max_risk, found.confidence)
    is_valid = found.minimums.can_exit and all(type(one) is int and one > 0 for one in numbers)
    if not is_valid or not all(0 < one < 1 for one in shares):
        raise ValueError(f"minimums {found.minimums.values()}, every {found.every}, max_risk {found.max_risk}")
    return found
