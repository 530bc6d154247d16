"""Models, drivers and a reference, for the tests of the flow.

A *case* is a window, a number of free tokens, a model (the next token is a keyed hash of the context), optional answer
markers, and optionally the number of tokens at which the caller shifts. `drive` is a driver as for engines; `two_pass`
is the plain reference: sample the thought; if it did not end, append the hint; sample the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import cycle
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from z1.think import (
    AnswerDetector,
    Closing,
    End,
    Finished,
    Flow,
    Force,
    Ledger,
    Repetition,
    Sample,
    Shift,
    SoftLanding,
    StopStrings,
    Window,
)

PIECES = (b"a", b"b", b"ab", b"", b"c", b"ba", b"a\xc3", b"\xa9")
WHOLE = 10**9

Model = Callable[[Sequence[int]], int]
Step = Sample | Force


@dataclass(frozen=True)
class Case:
    window: Window
    room: int
    key: int
    letters: int
    markers: tuple[bytes, ...]
    shift_at: int | None
    strings: tuple[bytes, ...] = ()

    def model(self, ids: Sequence[int]) -> int:
        return blake2b(bytes(ids), key=self.key.to_bytes(4)).digest()[0] % self.letters

    def detector(self) -> AnswerDetector | None:
        return (
            AnswerDetector(self.markers, PIECES.__getitem__, self.window.min_thinking_tokens) if self.markers else None
        )

    @property
    def most_thought(self) -> int:
        left = self.room - self.window.max_hint_tokens - self.window.max_answer_tokens
        return left if self.window.thinking_budget is None else min(left, self.window.thinking_budget)


def cases(
    fence: bool | None = None, markers: bool | None = None, steered: bool | None = None
) -> st.SearchStrategy[Case]:
    """Cases by seed: many times faster than drawing each field, so each invariant is tested with more of them.

    `steered`: whether a repetition, a soft landing or both may act on the thought; None: in half of the cases.
    """
    return st.integers(0, 2**48).map(lambda seed: case_of(Random(seed), fence, markers, steered))


def case_of(random: Random, fence: bool | None, markers: bool | None, steered: bool | None = None) -> Case:
    letters = random.randint(2, len(PIECES))

    def ids(least: int, most: int) -> tuple[int, ...]:
        return tuple(random.randrange(letters) for _ in range(random.randint(least, most)))

    def some(yes: bool | None) -> bool:
        return random.random() < 0.5 if yes is None else yes

    answer, more = random.randint(0, 6), random.randint(0, 16)
    thinking = random.choice((None, *range(13)))
    most = answer if thinking == 0 else min(more if thinking is None else thinking, more)
    window = Window(
        thinking_budget=thinking,
        max_answer_tokens=answer,
        hint=ids(0, 4) if answer else (),
        closing=closing_of(random, letters) if answer and random.random() < 0.5 else None,
        stop_token_ids=frozenset(ids(0, 1)),
        think_end=ids(1, 3) if some(fence) else (),
        min_thinking_tokens=random.randint(0, most)
        if letters > 2 and random.random() < 0.3
        else 0,  # there is another token to take
    )
    if some(steered):
        window = replace(window, repetition=repetition_of(random, ids), landing=landing_of(random, ids))

    def texts() -> tuple[bytes, ...]:
        return tuple(b"".join(PIECES[token] for token in ids(1, 4)) or b"a" for _ in range(random.randint(1, 2)))

    return Case(
        window,
        room=window.reserved_tokens + more,
        key=random.getrandbits(32),
        letters=letters,
        markers=texts() if some(markers) else (),
        shift_at=random.choice((None, random.randint(0, 14))),
        strings=texts() if some(None) else (),
    )


def closing_of(random: Random, letters: int) -> Closing:
    """A closing that depends on the whole thought and on whether the hint has begun, often none."""
    key, most = random.getrandbits(16), random.randint(1, 3)

    def close(token_ids: Sequence[int], begun: int) -> tuple[int, ...]:
        digest = blake2b(bytes([*token_ids, begun]), key=key.to_bytes(2)).digest()
        return tuple(byte % letters for byte in digest[1 : 1 + digest[0] % (most + 1)])

    return Closing(most, close)


def repetition_of(random: Random, ids: Callable[[int, int], tuple[int, ...]]) -> Repetition | None:
    """A repetition that a hash of the tokens finds."""
    if random.random() < 0.3:
        return None
    key, share, nudges = random.getrandbits(16), random.choice((30, 120)), random.randint(0, 2)

    def is_loop(token_ids: Sequence[int], start: int) -> bool:
        return blake2b(bytes(token_ids[start:]), key=key.to_bytes(2)).digest()[0] < share

    return Repetition(ids(1, 3) if nudges else (), nudges, random.randint(1, 5), is_loop)


def landing_of(random: Random, ids: Callable[[int, int], tuple[int, ...]]) -> SoftLanding | None:
    """A soft landing whose borders are a hash of the tokens."""
    if random.random() < 0.3:
        return None
    key, share = random.getrandbits(16), random.choice((0, 60, 250))

    def is_border(token_ids: Sequence[int]) -> bool:
        return blake2b(bytes(token_ids), key=key.to_bytes(2)).digest()[0] < share

    soft, grace = random.randint(0, 9), random.randint(0, 6)
    return SoftLanding(soft, grace, random.choice((0.0, 1.0)), ids(0, 2), is_border)


def may_end(case: Case) -> Case:
    """The same without a minimum, for servers that do not support one."""
    return replace(case, window=replace(case.window, min_thinking_tokens=0))


SIZES = st.integers(0, 2**16).map(lambda seed: Random(seed).choices(range(1, 6), k=4))


def takes_bias(context: Sequence[int], value: float) -> bool:
    """Whether a model with this bias ends its thought: always with the bias 1, half as often with half of it."""
    return reluctance(context) < value


def reluctance(context: Sequence[int]) -> float:
    """The bias above which the model ends its thought after `context`: from 0 to 1, and never one that a case has."""
    return (blake2b(bytes(context), key=b"bias").digest()[0] + 1e-3) / 256


def sample(model: Model, context: Sequence[int], step: Sample, stops: frozenset[int], letters: int) -> list[int]:
    """Tokens of the model: at most `step.max_tokens`, none after a stop token, and no forbidden sequence."""
    ids: list[int] = []
    while len(ids) < step.max_tokens and not (ids and ids[-1] in stops):
        token = model([*context, *ids])
        if step.bias is not None and (term := step.bias.term([*context, *ids], len(ids))) is not None:
            token = term[0] if takes_bias([*context, *ids], term[1]) else token
        while any(ends([*context, *ids, token], never) for never in step.forbidden):
            token = (token + 1) % letters
        ids.append(token)
    return ids


def ends(ids: Sequence[int], end: Sequence[int]) -> bool:
    return list(ids[max(0, len(ids) - len(end)) :]) == list(end)


def rounds(case: Case, flow: Flow, sizes: Sequence[int] = (WHOLE,), model: Model | None = None) -> Iterator[Step]:
    """Run the flow in chunks of at most these sizes, shifted at `shift_at`; yield each step when done."""
    watch, size = case.detector(), cycle(sizes)
    while True:
        if len(flow.token_ids) == case.shift_at:
            flow.shift(Shift.CONTROL)
        step = flow.next_step()
        assert flow.next_step() == step
        if isinstance(step, Finished):
            return
        before = len(flow.token_ids)
        if isinstance(step, Force):
            flow.add_tokens(step.token_ids)
        else:
            most = min(step.max_tokens, next(size))
            if case.shift_at is not None and before < case.shift_at:
                most = min(most, case.shift_at - before)
            flow.add_tokens(
                sample(
                    model or case.model,
                    flow.token_ids,
                    replace(step, max_tokens=most),
                    case.window.stop_token_ids,
                    case.letters,
                )
            )
        assert len(flow.token_ids) > before or flow.end is End.STRING, "a round without progress would go on for ever"
        if watch is not None:
            tell(flow, watch, flow.token_ids[before:])
        yield step


def tell(flow: Flow, watch: AnswerDetector, ids: Sequence[int]) -> None:
    if (at := watch.feed(ids)) is not None:
        flow.start_answer(at)
    else:
        flow.set_undecided_tokens(watch.undecided_tokens)


def begin(case: Case) -> Flow:
    strings = StopStrings(case.strings, PIECES.__getitem__) if case.strings else None
    return Flow(case.window, case.room, detects_answer=bool(case.markers), stop_strings=strings)


def drive(case: Case, sizes: Sequence[int] = (WHOLE,)) -> Flow:
    flow = begin(case)
    for _ in rounds(case, flow, sizes):
        pass
    return flow


def play(window: Window, *script: int, room: int = 100, size: int = WHOLE) -> Flow:
    """Run the flow with a model that samples these tokens in order, then 0 forever."""
    case, left = Case(window, room, 0, 1, (), None), iter(script)
    flow = begin(case)
    for _ in rounds(case, flow, (size,), lambda _: next(left, 0)):
        pass
    return flow


def seen(flow: Flow) -> tuple[object, ...]:
    """All public state."""
    return (
        list(flow.token_ids),
        flow.spans(),
        flow.ledger(),
        flow.end,
        flow.shift_reason,
        flow.is_answering,
        flow.next_step(),
    )


def begun(text: Sequence[int], hint: Sequence[int]) -> int:
    """How many of the hint's tokens are already at the end of the text."""
    return max(n for n in range(min(len(hint), len(text)) + 1) if list(text[len(text) - n :]) == list(hint[:n]))


class Thought(NamedTuple):
    """The first pass: its tokens, where the answer begins if the model began it, and what was written in between."""

    ids: list[int]
    border: int | None
    close: int
    ended: bool
    nudges: list[tuple[int, int, bool]]
    biased: set[int]


def first_pass(case: Case) -> Thought:
    """Sample the thought until it ends, is shifted, or is as long as it may be."""
    window, close, border = case.window, 0, None
    ids, nudges, biased = list[int](), list[tuple[int, int, bool]](), set[int]()
    while border is None and len(ids) < case.most_thought and len(ids) != case.shift_at:
        inside = forced_inside(case, ids, nudges)
        if inside is None:
            break
        text, is_loop = inside
        if text:
            nudges.append((len(ids), len(ids) + len(text), is_loop))
            ids += text
            border = answer_begins(case, ids)
            continue
        if bias_of(case, ids) is not None:
            biased.add(len(ids))
        ids.append(goes_on(case, ids))
        if ids[-1] in window.stop_token_ids:
            return Thought(ids, answer_begins(case, ids), 0, True, nudges, biased)
        if window.think_end and tuple(ids[-len(window.think_end) :]) == window.think_end:
            close, border = len(window.think_end), len(ids)
        elif not window.think_end:
            border = answer_begins(case, ids)
    return Thought(ids, border, close, False, nudges, biased)


def two_pass(case: Case) -> tuple[list[int], Ledger]:
    """The plain reference. It shares no code with the flow, and has the whole text and reply available."""
    window, forced = case.window, 0
    ids, border, close, ended, nudges, biased = first_pass(case)
    phase_one = None
    if not ended and border is None:
        phase_one = len(ids)
        written = begun(ids, window.hint)
        closed = window.closing.close(ids, written) if window.closing and ids else ()
        rest = (*closed, *window.hint) if closed else window.hint[written:]
        ids += rest
        forced, border = len(rest), len(ids)
    if not ended and border is not None:
        while len(ids) - border < window.max_answer_tokens and not ended and not loops(case, ids, border):
            ids.append(goes_on(case, ids) if window.thinking_budget == 0 else case.model(ids))
            ended = ids[-1] in window.stop_token_ids
    end = len(ids) - ended
    if border is not None and (cut := string_ends(case, ids[border:end])) is not None:
        ids, end, ended = ids[: border + cut], border + cut, False
    answer = None if border is None else end - border
    last = (end if border is None else border) - close - forced
    nudged = sum(min(stop, last) - min(start, last) for start, stop, _ in nudges)
    helped = sum(at < last for at in biased)
    phase = len(ids) if phase_one is None else phase_one
    return ids, Ledger(last - helped - nudged, close, forced, answer, int(ended), 0, phase, helped, nudged)


def forced_inside(
    case: Case, ids: Sequence[int], nudges: Sequence[tuple[int, int, bool]]
) -> tuple[tuple[int, ...], bool] | None:
    """What is forced after a thought of `ids` and whether a loop is the reason; None if the thought is shifted."""
    window, limit, size = case.window, case.most_thought, len(ids)
    again, landing = window.repetition, window.landing
    if size < max(1, window.min_thinking_tokens):
        return (), False
    if again is not None and loops(case, ids, nudges[-1][1] if nudges else 0):
        is_left = sum(is_loop for _, _, is_loop in nudges) < again.max_nudges
        return (again.nudge, True) if is_left and size + len(again.nudge) < limit else None
    if landing is None or not landing.is_border(ids):
        return (), False
    if size >= limit - landing.grace_tokens:
        return None
    is_due = size >= limit - landing.soft_tokens and not window.think_end and all(is_loop for _, _, is_loop in nudges)
    return landing.wrap_up if is_due and size + len(landing.wrap_up) < limit else (), False


def loops(case: Case, ids: Sequence[int], start: int) -> bool:
    again = case.window.repetition
    return again is not None and start < len(ids) and len(ids) % again.interval == 0 and again.is_loop(ids, start)


def bias_of(case: Case, ids: Sequence[int]) -> float | None:
    """The bias on the end of the thought after `ids`; None for none."""
    window, landing, size = case.window, case.window.landing, len(ids)
    if landing is None or not window.think_end or not landing.max_bias or not landing.soft_tokens:
        return None
    first, length = case.most_thought - landing.soft_tokens, len(window.think_end)
    if size < first or (window.min_thinking_tokens and size < window.min_thinking_tokens + length - 1):
        return None
    return landing.max_bias * (size - first + 1) / landing.soft_tokens


def goes_on(case: Case, ids: Sequence[int]) -> int:
    """The model's next token; the one after it, and so on, if that would end the thought before its minimum."""
    token, close = case.model(ids), case.window.think_end
    value = bias_of(case, ids) if case.window.thinking_budget != 0 else None
    if value is not None and takes_bias(ids, value):
        token = close[begun(ids, close[:-1])]
    bound = case.window.min_thinking_tokens > 0 and len(ids) < case.window.min_thinking_tokens + max(1, len(close)) - 1
    while bound and (token in case.window.stop_token_ids or (close and ends([*ids, token], close))):
        token = (token + 1) % case.letters
    return token


def answer_begins(case: Case, ids: Sequence[int]) -> int | None:
    """The token with the first byte of a marker; later if the answer, detected late, exceeds its budget."""
    least = case.window.min_thinking_tokens
    pieces = [PIECES[token] if at >= least else b"" for at, token in enumerate(ids)]
    text = b"".join(pieces)
    found = [text.index(marker) for marker in case.markers if marker in text]
    if not found or case.window.think_end or not case.window.max_answer_tokens:
        return None
    first = next(n for n in range(len(ids)) if len(b"".join(pieces[: n + 1])) > min(found))
    return max(first, len(ids) - case.window.max_answer_tokens)


def string_ends(case: Case, answer: Sequence[int]) -> int | None:
    """The number of answer tokens when its text first has a stop string."""
    texts = [b"".join(PIECES[token] for token in answer[:count]) for count in range(len(answer) + 1)]
    return next((n for n, text in enumerate(texts) if any(string in text for string in case.strings)), None)
