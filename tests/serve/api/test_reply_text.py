"""Tests of z1.serve.api.reply_text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.serve.scripts import HINT, PREFIX
from z1 import profiles
from z1.engines.scripted import Characters
from z1.profiles import truncate_at_stop
from z1.serve.api.budget import Budget, make_window
from z1.serve.api.reply_text import Delta, Detokenizer, OutputOptions, ReplyText, ToolDelta, finish_reason
from z1.serve.runtime.reply_runner import NewTokens, ReplyFinished, Started
from z1.think import Bucket, End, Ledger, Shift

TOKEN_BYTES = profiles.token_bytes(Characters())
TINY, QWEN, R1 = (profiles.get_profile(name) for name in ("z1-tiny", "qwen3", "r1-distill"))
FINISHED = ReplyFinished(Ledger(thought=4, close=2, answer=3, stop=1), Shift.NATURAL, End.STOP, 0.5, 0.7)

Run = list[tuple[Bucket, str]]


def token_ids(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


UNLIMITED = Budget()


def read(
    options: OutputOptions, run: Run, budget: Budget = UNLIMITED, stop_strings: tuple[str, ...] = ()
) -> tuple[ReplyText, list[Delta]]:
    reply = ReplyText(options, budget, stop_strings)
    reply.on_started(Started(*make_window(Characters(), options.profile, budget, 1000)))
    deltas = [delta for bucket, text in run for delta in reply.on_tokens(NewTokens(bucket, token_ids(text)))]
    return reply, deltas + reply.on_finished()


def joined(deltas: list[Delta]) -> dict[str, str]:
    texts = [delta for delta in deltas if not isinstance(delta, ToolDelta)]
    return {name: "".join(text for one, text in texts if one == name) for name, _ in texts}


FORCED: Run = [(Bucket.THOUGHT, "hm "), (Bucket.HINT, HINT), (Bucket.ANSWER, "7}."), (Bucket.STOP, "\x03")]


def test_all_text_is_content_by_default_with_offsets_of_hint_and_answer() -> None:
    reply, deltas = read(OutputOptions(TINY, TOKEN_BYTES), FORCED)
    content = joined(deltas)["content"]
    at = reply.budget_object(FINISHED)["offsets"]
    assert content == "hm " + HINT + "7}."
    assert content[at["hint"] :].startswith(HINT)
    assert content[at["answer"] :] == PREFIX + "7}."


def test_separate_reasoning_has_the_hint_and_content_has_the_answer_prefix() -> None:
    reply, deltas = read(OutputOptions(TINY, TOKEN_BYTES, separate_reasoning=True), FORCED)
    assert joined(deltas) == {"reasoning": "hm " + profiles.HINT, "content": PREFIX + "7}."}
    assert reply.budget_object(FINISHED)["offsets"] is None


def test_a_think_tag_is_in_neither_field_and_the_hint_after_it_is_content() -> None:
    own: Run = [(Bucket.THOUGHT, "hm"), (Bucket.CLOSE, "</think>"), (Bucket.ANSWER, "\n7")]
    assert joined(read(OutputOptions(QWEN, TOKEN_BYTES, separate_reasoning=True), own)[1]) == {
        "reasoning": "hm",
        "content": "\n7",
    }
    cut: Run = [(Bucket.THOUGHT, "hm"), (Bucket.HINT, R1.hint), (Bucket.ANSWER, " 7")]
    fields = joined(read(OutputOptions(R1, TOKEN_BYTES, separate_reasoning=True), cut)[1])
    assert fields == {"reasoning": "hm\n", "content": "\n\nThe final answer is: 7"}
    assert joined(read(OutputOptions(QWEN, TOKEN_BYTES), own)[1]) == {"content": "hm</think>\n7"}


def test_an_answer_of_a_kind_begins_with_its_prefix_after_what_closes_the_thought() -> None:
    plain, code = profiles.get_profile("plain"), Budget(answer_kind=profiles.AnswerKind.CODE)
    hint = "\n```\n\nThe final code is:\n\n```"
    cut: Run = [(Bucket.THOUGHT, "```\nx ="), (Bucket.HINT, hint), (Bucket.ANSWER, "python\nx = 1\n```")]
    fields = joined(read(OutputOptions(plain, TOKEN_BYTES, separate_reasoning=True), cut, code)[1])
    assert fields == {
        "reasoning": "```\nx =\n```\n\nThe final code is:\n\n",
        "content": "```python\nx = 1\n```",
    }
    reply, deltas = read(OutputOptions(plain, TOKEN_BYTES), cut, code)
    content, at = joined(deltas)["content"], reply.budget_object(FINISHED)["offsets"]
    assert content[at["answer"] :] == "```python\nx = 1\n```"
    fields = joined(
        read(
            OutputOptions(R1, TOKEN_BYTES, separate_reasoning=True),
            [
                (Bucket.THOUGHT, "hm"),
                (Bucket.HINT, "...\n</think>\n\nThe final answer is \\boxed{"),
                (Bucket.ANSWER, "7}"),
            ],
            Budget(answer_kind=profiles.AnswerKind.NUMBER),
        )[1]
    )
    assert fields == {"reasoning": "hm...\n", "content": "\n\nThe final answer is \\boxed{7}"}


def test_offsets_of_a_natural_end_and_of_a_reply_without_an_answer() -> None:
    reply, _ = read(OutputOptions(TINY, TOKEN_BYTES), [(Bucket.THOUGHT, "hm "), (Bucket.ANSWER, "The final answer")])
    assert reply.budget_object(FINISHED)["offsets"] == {"hint": None, "answer": 3}
    reply, _ = read(OutputOptions(TINY, TOKEN_BYTES), [(Bucket.THOUGHT, "hm "), (Bucket.STOP, "\x03")])
    assert reply.budget_object(FINISHED)["offsets"] == {"hint": None, "answer": None}


def test_offsets_count_code_points_and_utf16_code_units() -> None:
    """sgasser/pasteguard 145, AsamK/signal-cli 1504: offsets without a unit are wrong in half of the languages."""
    run: Run = [(Bucket.THOUGHT, "🙂é🙃 "), (Bucket.HINT, HINT), (Bucket.ANSWER, "🙂7}.")]
    reply, deltas = read(OutputOptions(TINY, TOKEN_BYTES), run)
    content, budget_object = joined(deltas)["content"], reply.budget_object(FINISHED)
    assert budget_object["offsets_unit"] == "code points"
    units = content.encode("utf-16-le")
    for name, text in (("hint", HINT), ("answer", PREFIX + "🙂7}.")):
        assert content[budget_object["offsets"][name] :].startswith(text)
        assert units[2 * budget_object["offsets_utf16"][name] :].decode("utf-16-le").startswith(text)
    assert budget_object["offsets_utf16"]["answer"] == budget_object["offsets"]["answer"] + 2


def test_a_stop_string_inside_the_forced_prefix_or_across_its_border_is_removed() -> None:
    """huggingface/text-generation-inference 1039, 1724: stop text is left in the output."""
    for stop, answer in (
        ("boxed", "The final answer is \\"),
        ("{7", PREFIX[:-1]),
        ("7}", PREFIX),
        ("no", PREFIX + "7}."),
    ):
        for separate in (False, True):
            options = OutputOptions(TINY, TOKEN_BYTES, separate_reasoning=separate)
            fields = joined(read(options, FORCED, stop_strings=(stop,))[1])
            thought = "hm " + profiles.HINT
            assert fields == ({"reasoning": thought, "content": answer} if separate else {"content": thought + answer})


def test_an_excluded_thought_is_counted() -> None:
    reply, deltas = read(OutputOptions(TINY, TOKEN_BYTES, separate_reasoning=True, include_reasoning=False), FORCED)
    assert joined(deltas) == {"content": PREFIX + "7}."}
    assert reply.budget_object(FINISHED)["used"] == 6


def test_a_stop_string_is_removed_from_the_answer_and_ignored_in_the_thought() -> None:
    run: Run = [(Bucket.THOUGHT, "a STOP b "), (Bucket.HINT, HINT), (Bucket.ANSWER, "7} STOP more")]
    content = joined(read(OutputOptions(TINY, TOKEN_BYTES), run, stop_strings=("STOP",))[1])["content"]
    assert content == "a STOP b " + HINT + "7} "


def test_the_budget_object_has_limits_counts_and_reasons() -> None:
    reply, _ = read(OutputOptions(TINY, TOKEN_BYTES), FORCED, Budget(thinking_budget=3, max_tokens=200))
    ended = ReplyFinished(Ledger(thought=3, hint=9, answer=3, stop=1, probe=2), Shift.DEADLINE, End.CUT, 0.25, 1.0)
    budget_object = reply.budget_object(ended)
    offsets = {"hint": 3, "answer": 3 + len(profiles.HINT)}
    assert [budget_object.pop(name) for name in ("offsets", "offsets_utf16")] == [offsets, offsets]
    assert (budget_object.pop("offsets_unit"), budget_object.pop("precision")) == ("code points", "exact")
    assert budget_object == {
        "asked": 3, "limit": 3, "used": 3, "reason": "deadline", "end": "cut", "hint_tokens": 9, "probe_tokens": 2,
        "answer_tokens": 3, "answer_limit": 200 - 3 - len(HINT), "answer_ms": 250.0,
    }  # fmt: skip


def test_the_budget_object_without_thinking_has_no_reason() -> None:
    reply, _ = read(OutputOptions(TINY, TOKEN_BYTES), [(Bucket.ANSWER, "7")], Budget(has_thinking=False))
    budget_object = reply.budget_object(FINISHED)
    assert (budget_object["asked"], budget_object["limit"], budget_object["reason"]) == (None, None, None)


@given(st.lists(st.integers(1, 9), max_size=40), st.booleans(), st.sampled_from([(), ("7",), ("x y",)]))
def test_the_fields_do_not_depend_on_how_the_tokens_are_split(
    sizes: list[int], split: bool, stop_strings: tuple[str, ...]
) -> None:
    """The hint always arrives in one event."""
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
    options = OutputOptions(TINY, TOKEN_BYTES, separate_reasoning=split)
    (whole, first), (split_reply, second) = (
        read(options, run, stop_strings=stop_strings),
        read(options, cut, stop_strings=stop_strings),
    )
    assert joined(first) == joined(second)
    assert whole.budget_object(FINISHED) == split_reply.budget_object(FINISHED)


def test_finish_reasons() -> None:
    assert [finish_reason(ReplyFinished(Ledger(), None, end, None, 0)) for end in End] == [
        "stop",
        "stop",
        "length",
        "length",
        "stop",
    ]


def byte(token: int) -> bytes:
    return bytes([token])


@given(
    st.text(alphabet="ab–🙂STOP", max_size=30),
    st.lists(st.integers(1, 4), max_size=30),
    st.lists(st.sampled_from(["STOP", "b", "OP🙂", "aa"]), max_size=2),
)
def test_the_text_does_not_depend_on_how_the_tokens_are_split(text: str, sizes: list[int], strings: list[str]) -> None:
    token_ids = list(text.encode())
    detokenizer = Detokenizer(byte, strings)
    text_so_far = ""
    for size in sizes:
        text_so_far += detokenizer.feed(token_ids[:size])
        token_ids = token_ids[size:]
        assert truncate_at_stop(text, strings).startswith(text_so_far)
    assert text_so_far + detokenizer.feed(token_ids) + detokenizer.flush() == truncate_at_stop(text, strings)


def test_an_incomplete_character_is_held_back() -> None:
    detokenizer = Detokenizer(byte)
    first, *rest = "🙂".encode()
    assert detokenizer.feed([first]) == ""
    assert detokenizer.feed(rest) == "🙂"


def test_an_incomplete_character_at_the_end_is_replaced() -> None:
    detokenizer = Detokenizer(byte)
    assert detokenizer.feed("🙂".encode()[:2]) == ""
    assert detokenizer.flush() == "\ufffd"


def test_only_a_possible_stop_string_is_held_back() -> None:
    detokenizer = Detokenizer(byte, ["END"])
    assert detokenizer.feed(b"so EN") == "so "
    assert detokenizer.feed(b"T") == "ENT"
    assert detokenizer.feed(b" E") == " "
    assert detokenizer.flush() == "E"
