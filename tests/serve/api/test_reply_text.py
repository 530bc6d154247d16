"""Does a client read thought and answer where they belong?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.serve.scripts import HINT, PREFIX
from z1 import profiles
from z1.engines.scripted import Characters
from z1.serve.api.budget import Budget, window
from z1.serve.api.reply_text import OutputOptions, ReplyText, TextDelta, finish
from z1.serve.runtime.reply_runner import NewTokens, ReplyFinished, Started
from z1.think import Bucket, End, Ledger, Shift

PIECE = profiles.pieces(Characters())
TINY, QWEN, R1 = (profiles.profile(name) for name in ("z1-tiny", "qwen3", "r1-distill"))
CLOSED = ReplyFinished(Ledger(thought=4, close=2, answer=3, stop=1), Shift.NATURAL, End.STOP, 0.5, 0.7)

Run = list[tuple[Bucket, str]]


def ids(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


FREE = Budget()


def read(
    style: OutputOptions, run: Run, budget: Budget = FREE, stop: tuple[str, ...] = ()
) -> tuple[ReplyText, list[TextDelta]]:
    parts = ReplyText(style, budget, stop)
    parts.begun(Started(*window(Characters(), style.profile, budget, 1000)))
    pieces = [piece for bucket, text in run for piece in parts.came(NewTokens(bucket, ids(text)))]
    return parts, pieces + parts.ended()


def joined(pieces: list[TextDelta]) -> dict[str, str]:
    return {name: "".join(text for one, text in pieces if one == name) for name, _ in pieces}


FORCED: Run = [(Bucket.THOUGHT, "hm "), (Bucket.HINT, HINT), (Bucket.ANSWER, "7}."), (Bucket.STOP, "\x03")]


def test_all_is_content_by_default_and_offsets_say_where_hint_and_answer_begin() -> None:
    parts, pieces = read(OutputOptions(TINY, PIECE), FORCED)
    said = joined(pieces)["content"]
    at = parts.account(CLOSED)["offsets"]
    assert said == "hm " + HINT + "7}."
    assert said[at["hint"] :].startswith(HINT)
    assert said[at["answer"] :] == PREFIX + "7}."


def test_apart_the_hint_is_reasoning_and_the_answers_prefix_is_the_answers() -> None:
    parts, pieces = read(OutputOptions(TINY, PIECE, split=True), FORCED)
    assert joined(pieces) == {"reasoning": "hm " + profiles.HINT, "content": PREFIX + "7}."}
    assert parts.account(CLOSED)["offsets"] is None


def test_a_fence_stands_in_neither_field_and_what_a_hint_says_behind_it_is_content() -> None:
    own: Run = [(Bucket.THOUGHT, "hm"), (Bucket.CLOSE, "</think>"), (Bucket.ANSWER, "\n7")]
    assert joined(read(OutputOptions(QWEN, PIECE, split=True), own)[1]) == {"reasoning": "hm", "content": "\n7"}
    cut: Run = [(Bucket.THOUGHT, "hm"), (Bucket.HINT, R1.hint), (Bucket.ANSWER, " 7")]
    found = joined(read(OutputOptions(R1, PIECE, split=True), cut)[1])
    assert found == {"reasoning": "hm\n", "content": "\n\nThe final answer is: 7"}
    assert joined(read(OutputOptions(QWEN, PIECE), own)[1]) == {"content": "hm</think>\n7"}


def test_a_natural_border_is_an_offset_too_and_no_border_is_none() -> None:
    parts, _ = read(OutputOptions(TINY, PIECE), [(Bucket.THOUGHT, "hm "), (Bucket.ANSWER, "The final answer")])
    assert parts.account(CLOSED)["offsets"] == {"hint": None, "answer": 3}
    parts, _ = read(OutputOptions(TINY, PIECE), [(Bucket.THOUGHT, "hm "), (Bucket.STOP, "\x03")])
    assert parts.account(CLOSED)["offsets"] == {"hint": None, "answer": None}


def test_a_thought_that_is_not_shown_is_counted_all_the_same() -> None:
    parts, pieces = read(OutputOptions(TINY, PIECE, split=True, thoughts=False), FORCED)
    assert joined(pieces) == {"content": PREFIX + "7}."}
    assert parts.account(CLOSED)["used"] == 6


def test_a_stop_string_is_not_shown_and_ends_nothing_in_a_thought() -> None:
    run: Run = [(Bucket.THOUGHT, "a STOP b "), (Bucket.HINT, HINT), (Bucket.ANSWER, "7} STOP more")]
    said = joined(read(OutputOptions(TINY, PIECE), run, stop=("STOP",))[1])["content"]
    assert said == "a STOP b " + HINT + "7} "


def test_the_account_says_what_was_allowed_and_used_and_why_it_ended() -> None:
    parts, _ = read(OutputOptions(TINY, PIECE), FORCED, Budget(thinking_budget=3, max_tokens=200))
    ended = ReplyFinished(Ledger(thought=3, hint=9, answer=3, stop=1, probe=2), Shift.DEADLINE, End.CUT, 0.25, 1.0)
    account = parts.account(ended)
    assert account.pop("offsets") == {"hint": 3, "answer": 3 + len(profiles.HINT)}
    assert account == {
        "asked": 3, "limit": 3, "used": 3, "reason": "deadline", "end": "cut", "hint_tokens": 9, "probe_tokens": 2,
        "answer_tokens": 3, "answer_limit": 200 - 3 - len(HINT), "answer_ms": 250.0,
    }  # fmt: skip


def test_where_nothing_is_a_thought_there_is_no_reason() -> None:
    parts, _ = read(OutputOptions(TINY, PIECE), [(Bucket.ANSWER, "7")], Budget(thinks=False))
    account = parts.account(CLOSED)
    assert (account["asked"], account["limit"], account["reason"]) == (None, None, None)


@given(st.lists(st.integers(1, 9), max_size=40), st.booleans(), st.sampled_from([(), ("7",), ("x y",)]))
def test_however_the_ids_are_split_the_fields_are_the_same(
    sizes: list[int], split: bool, stop: tuple[str, ...]
) -> None:
    """The hint alone always comes in one piece."""
    run: Run = [(Bucket.THOUGHT, "so 🙂 x y"), (Bucket.HINT, HINT), (Bucket.ANSWER, "a x 7 x y b")]
    cut: Run = []
    for bucket, text in run:
        at = 0
        while bucket is not Bucket.HINT and at < len(text) and sizes:
            size = sizes.pop()
            cut.append((bucket, text[at : at + size]))
            at += size
        if at < len(text):
            cut.append((bucket, text[at:]))
    style = OutputOptions(TINY, PIECE, split=split)
    (whole, first), (pieces, second) = read(style, run, stop=stop), read(style, cut, stop=stop)
    assert joined(first) == joined(second)
    assert whole.account(CLOSED) == pieces.account(CLOSED)


def test_ends_in_openais_words() -> None:
    assert [finish(ReplyFinished(Ledger(), None, end, None, 0)) for end in End] == ["stop", "stop", "length", "stop"]
