"""Probes: answers that are forced on forks of a session, how sure the model is of them, and the exit that they decide.

A fork shares the thought's cache: a probe computes its hint, in one step, and its answer up to the end of its box, in
the engine's batch. The ledger counts the tokens of forks as probe. Dynasor (arXiv 2412.20993) ends a thought whose
probes agree, with a new request a probe; DEER (arXiv 2504.15895) one whose probed answer is probable. `exit_policy.py`
has what a probe may have to reach.

An answer's probability is that of all of its tokens, up to the one that closes its box; without a box, of all that was
sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import exp, log

from z1.engines.protocol import Capabilities, Engine, FinishReason, Logprob, Sampling, Session
from z1.errors import EngineFault, UserError
from z1.exit_policy import AnswerConfidence, ExitMinimums, ProbeHistory, ProbeSignals
from z1.grading.boxed import extract_boxed
from z1.profiles import Tokenizer
from z1.think import End, Flow, Force, Sample, Shift

NUM_ALTERNATIVES = 5
"""The most likely tokens at a position from which margin and entropy are computed; all others count as one."""

BOX_ENDS = ("}", "}.", "}$", "}$$", "}\n")
"""Texts that close a box; those that are one token end a probe."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A probed answer: its `token_ids` from the hint on, and what it tells."""

    token_ids: tuple[int, ...]
    signals: ProbeSignals

    @property
    def thinking_tokens(self) -> int:
        """The tokens of the thought at the probe."""
        return self.signals.thinking_tokens

    @property
    def agreeing(self) -> int:
        """Equal answers in a row."""
        return self.signals.agreeing


@dataclass(slots=True)
class AnswerExit:
    """Ends a thought at the first probe that reaches `minimums`; a probe every `interval` tokens.

    A probe uses the reply's own hint and at most `max_answer_tokens`. `decode` gives the text of tokens, `read_answer`
    the answer in a text from the hint on, "" if there is none. Forks use `sampling` (`probe_sampling`); without it they
    use the reply's own, and there is no confidence. `on_probe` gets every probe. A probe that fails in the engine does
    not count. With `is_observing` no thought is ended.
    """

    interval: int
    minimums: ExitMinimums
    max_answer_tokens: int
    decode: Callable[[Sequence[int]], str]
    read_answer: Callable[[str], str]
    sampling: Sampling | None = None
    on_probe: Callable[[Probe], None] | None = None
    is_observing: bool = False
    _history: ProbeHistory = field(default_factory=ProbeHistory)

    def __post_init__(self) -> None:
        numbers = {"interval": self.interval, "max_answer_tokens": self.max_answer_tokens}
        if self.minimums.agreeing is not None:
            numbers["agreeing"] = self.minimums.agreeing
        for name, number in numbers.items():
            if number < 1:
                raise UserError(f"answer exit: {name}", number, "give 1 or more")

    async def check(self, flow: Flow, session: Session) -> Shift | None:
        """`Shift.CONVERGED` if the probe at this place reaches the minimums."""
        try:
            probe = await self._probe(flow, session)
        except EngineFault:
            return None
        if self.on_probe is not None:
            self.on_probe(probe)
        return Shift.CONVERGED if not self.is_observing and self.minimums.are_met(probe.signals) else None

    async def _probe(self, flow: Flow, session: Session) -> Probe:
        """The answer on a fork, without what closes the thought and without its stop token. Tokens are counted even if
        the fork fails.
        """
        hint = flow.forced_hint()
        window = replace(
            flow.window,
            thinking_budget=0,
            max_answer_tokens=min(self.max_answer_tokens, flow.window.max_answer_tokens),
            hint=hint,
            min_thinking_tokens=0,
            closing=None,
            landing=None,
            repetition=None,
        )
        fork = await session.fork(self.sampling)
        probe = Flow(window, fork.free_tokens)
        try:
            await self._run(probe, fork)
        finally:
            flow.add_probe_tokens(len(probe.token_ids))
            await fork.close()
        closing = max(0, len(hint) - len(flow.window.hint))
        token_ids = tuple(probe.token_ids[closing : len(probe.token_ids) - (probe.end is End.STOP)])
        confidence = forced_confidence(probe.token_ids, len(hint), fork.logprobs, self.decode)
        answer = self.read_answer(self.decode(token_ids))
        return Probe(token_ids, self._history.add(len(flow.token_ids), answer, confidence))

    async def _run(self, flow: Flow, session: Session) -> None:
        """Run `flow` until it ends or its box is complete, without control or callback."""
        while flow.end is None:
            step = flow.next_step()
            if isinstance(step, Force):
                await session.append(step.token_ids)
                flow.add_tokens(step.token_ids)
            elif isinstance(step, Sample):
                sampled = await session.sample(step.max_tokens)
                flow.add_tokens(sampled.token_ids)
                is_box_end = sampled.reason is FinishReason.STOP and flow.end is None
                if is_box_end and extract_boxed(self.decode(flow.token_ids)) is not None:
                    return


def scored_sampling(sampling: Sampling, capabilities: Capabilities) -> Sampling:
    """`sampling` for a fork whose answer is to be scored, if the engine has log-probabilities."""
    count = NUM_ALTERNATIVES if capabilities.has_logprobs else None
    return replace(sampling, logprobs=count, forced_logprobs=False)


def probe_sampling(sampling: Sampling, engine: Engine) -> Sampling:
    """`sampling` for the forks of an `AnswerExit`, which end a sample where a box may be complete."""
    scored = scored_sampling(sampling, engine.capabilities)
    return replace(scored, stop_token_ids=sampling.stop_token_ids | _box_end_tokens(engine.tokenizer))


@lru_cache(maxsize=16)
def _box_end_tokens(tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that usually close a box. A probe that closes it with another one only takes longer."""
    encoded = [tokenizer.encode(text, add_special_tokens=False) for text in BOX_ENDS]
    return frozenset(token_ids[0] for token_ids in encoded if len(token_ids) == 1)


def forced_confidence(
    token_ids: Sequence[int], num_forced: int, logprobs: Sequence[Logprob], decode: Callable[[Sequence[int]], str]
) -> AnswerConfidence | None:
    """How sure a model is of the answer in `token_ids`, of which the first `num_forced` were forced; `logprobs` has one
    for each of the others, in order. None without them.
    """
    if not 0 < len(token_ids) - num_forced <= len(logprobs):
        return None
    size = _box_end(token_ids, num_forced, decode) or len(token_ids)
    return confidence_of(logprobs[: size - num_forced])


def confidence_of(logprobs: Sequence[Logprob]) -> AnswerConfidence:
    """The confidence of an answer of these tokens, of which there is at least one."""
    return AnswerConfidence(
        exp(sum(one.logprob for one in logprobs)), min(map(_margin, logprobs)), max(map(_entropy, logprobs))
    )


def _box_end(token_ids: Sequence[int], num_forced: int, decode: Callable[[Sequence[int]], str]) -> int | None:
    """The number of tokens up to the one that closes a box; None if none does."""
    for size in range(num_forced + 1, len(token_ids) + 1):
        if "}" in decode(token_ids[size - 1 : size]) and extract_boxed(decode(token_ids[:size])) is not None:
            return size
    return None


def _margin(one: Logprob) -> float:
    """The probability of the token less that of its best alternative."""
    best = [logprob for _, logprob in one.top]
    other = next((logprob for logprob in best if logprob < one.logprob), None)
    if best and best[0] > one.logprob:
        other = best[0]
    elif len(best) > 1 and best[1] == one.logprob:
        other = best[1]
    return exp(one.logprob) - (0.0 if other is None else exp(other))


def _entropy(one: Logprob) -> float:
    """In nats, with all tokens but the most likely ones as one."""
    shares = [exp(logprob) for _, logprob in one.top]
    rest = 1 - sum(shares)
    return sum(share * -log(share) for share in (*shares, rest) if share > 0)
