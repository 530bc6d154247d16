"""Tests of one reply: its parts, its budget, its text as it is generated."""

from __future__ import annotations

import asyncio

import pytest

from z1 import profiles
from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import UserError
from z1.generation import GenerationOptions, Reply, generate_reply
from z1.think import Bucket

HINT = "\n\nThe final answer is:\n\n"
SCRIPT = Script({"why?": "because of é and 語."}, {"why?": "so."}, HINT)


def engine() -> ScriptedEngine:
    return ScriptedEngine(SCRIPT, profile="plain")


def reply(options: GenerationOptions, streamed: list[tuple[Bucket, str]] | None = None) -> Reply:
    on_text = None if streamed is None else lambda bucket, text: streamed.append((bucket, text))
    return asyncio.run(generate_reply(engine(), "why?", options, on_text))


@pytest.mark.parametrize("budget", [None, -1, 0, 1, 7, 60])
def test_streamed_text_is_the_reply(budget: int | None) -> None:
    pieces: list[tuple[Bucket, str]] = []
    streamed = reply(GenerationOptions(thinking_budget=budget), pieces)
    assert "".join(text for _, text in pieces) == streamed.text
    for bucket, whole in (
        (Bucket.THOUGHT, streamed.thinking),
        (Bucket.HINT, streamed.hint),
        (Bucket.ANSWER, streamed.answer),
    ):
        assert "".join(text for b, text in pieces if b is bucket) == whole
    assert reply(GenerationOptions(thinking_budget=budget)).text == streamed.text


def test_a_window_shifts_and_the_ledger_says_so() -> None:
    found = reply(GenerationOptions(thinking_budget=7))
    assert (found.thinking, found.hint, found.answer) == ("because", "..." + HINT, "so.")
    assert (found.ledger.thought, found.ledger.hint, found.ledger.answer) == (7, 3 + len(HINT), 3)
    assert (found.shift, found.end) == ("budget", "stop")
    assert found.as_json()["ledger"]["thought"] == 7


def test_a_reply_without_a_border_has_no_answer_of_its_own() -> None:
    found = reply(GenerationOptions())
    assert (found.answer, found.ledger.answer, found.shift) == ("", None, "natural")


def test_an_answer_allowance_cuts() -> None:
    found = reply(GenerationOptions(thinking_budget=3, max_answer_tokens=2))
    assert (found.answer, found.end) == ("so", "cut")


LONG = Script({"why?": "stop: because."}, {"why?": "so, stop: and more, sto"}, HINT)


@pytest.mark.parametrize(
    ("stop", "answer", "end"),
    [
        (("stop:",), "so, ", "string"),
        (("and", " m"), "so, stop: ", "string"),
        (("never",), "so, stop: and more, sto", "stop"),
        (("sto!",), "so, stop: and more, sto", "stop"),
        (("so",), "", "string"),
    ],
)
def test_a_stop_string_ends_the_answer_and_no_thought(stop: tuple[str, ...], answer: str, end: str) -> None:
    """It is not part of the text, streamed or not, and text that only looked like one is kept."""
    pieces: list[tuple[Bucket, str]] = []
    script = ScriptedEngine(LONG, profile="plain")
    on_text = lambda bucket, text: pieces.append((bucket, text))  # noqa: E731
    found = asyncio.run(generate_reply(script, "why?", GenerationOptions(thinking_budget=9, stop=stop), on_text))
    assert (found.thinking, found.answer, found.end) == ("stop: bec", answer, end)
    assert "".join(text for bucket, text in pieces if bucket is Bucket.ANSWER) == answer


@pytest.mark.parametrize(
    ("stop", "hint", "answer"),
    [
        (("boxed",), "The final answer is \\", ""),
        (("{8",), "The final answer is \\boxed", ""),
        (("8}",), "The final answer is \\boxed{", ""),
        (("}",), "The final answer is \\boxed{", "8"),
        (("{9",), "The final answer is \\boxed{", "8}."),
    ],
)
def test_a_stop_string_in_the_forced_prefix_or_across_its_border(stop: tuple[str, ...], hint: str, answer: str) -> None:
    """huggingface/text-generation-inference 1039, 1724: stop text is left in the output. Streamed or not."""
    prefix = "The final answer is \\boxed{"
    asked = "What does this program print?\n1| print(8)"
    script = ScriptedEngine(Script({asked: "hm " * 9}, {asked: "8}."}, prefix), profile="z1-tiny")
    pieces: list[tuple[Bucket, str]] = []
    options = GenerationOptions(thinking_budget=6, max_answer_tokens=20, stop=stop)
    for listener in (None, lambda bucket, text: pieces.append((bucket, text))):
        found = asyncio.run(generate_reply(script, "print(8)", options, listener))
        assert (found.hint, found.answer) == (profiles.HINT + hint, answer)
        assert found.end == ("stop" if stop == ("{9",) else "string")
    for bucket, text in ((Bucket.HINT, profiles.HINT + hint), (Bucket.ANSWER, answer)):
        assert "".join(piece for one, piece in pieces if one is bucket) == text


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(UserError, match="stop string"):
        reply(GenerationOptions(stop=("",)))


WRONG = [
    {"thinking_budget": -2},
    {"max_answer_tokens": 0},
    {"deadline": -1.0},
    {"temperature": -0.1},
    {"top_p": 0.0},
    {"top_k": -1},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_options_that_make_no_sense_are_refused_before_anything_is_loaded(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        GenerationOptions(**wrong)  # type: ignore[arg-type]


def test_the_shipped_model_refuses_what_it_cannot_know() -> None:
    tiny = ScriptedEngine(SCRIPT, profile="z1-tiny")
    with pytest.raises(UserError, match=r"such as print\(3 \+ 4\), or use another model"):
        asyncio.run(generate_reply(tiny, "why?", GenerationOptions()))
