"""The `z1_` keys of `vllm_xargs` are parsed, or rejected with the reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from z1.engines.scripted import Characters
from z1.engines.vllm_params import DEFAULT_ANSWER_RESERVE, WindowParams, hint_texts, parse_xargs, validate
from z1.errors import UserError
from z1.families import MAX_CLOSING, PROFILES, AnswerKind, Profile
from z1.profiles import get_profile, make_closing
from z1.think import Closing

HINT = (1, 2, 3)


def params(**given: Any) -> SimpleNamespace:
    plain = {
        "extra_args": {"z1_thinking_budget": 9},
        "max_tokens": 500,
        "structured_outputs": None,
        "ignore_eos": False,
    }
    others: dict[str, Any] = {"stop_token_ids": [], "thinking_token_budget": None, "allowed_token_ids": None}
    return SimpleNamespace(**{**plain, **others, **given})


def test_our_keys_are_parsed_and_others_ignored() -> None:
    given = {
        "z1_thinking_budget": 0,
        "z1_max_answer_tokens": 9,
        "z1_hint": [4, 5],
        "z1_stop": ["\n"],
        "z1_markers": ["<call>"],
        "theirs": 1,
    }
    assert parse_xargs(given) == WindowParams(0, 9, None, (4, 5), ("\n",), ("<call>",))
    assert parse_xargs({"z1_hint": "So:"}) == WindowParams(hint="So:")
    assert parse_xargs({"theirs": 1}) is None
    assert parse_xargs(None) is None


@pytest.mark.parametrize(
    "asked",
    [
        WindowParams(),
        WindowParams(3, 4, 5, (6,), ("a",), ("b", "c"), AnswerKind.CODE),
        WindowParams(0, hint="So:"),
        WindowParams(9, optional=True, repetition=True, max_nudges=2, nudge="Hm.", soft_tokens=8, grace_tokens=4),
        WindowParams(repetition=True, near_repetition=True),
    ],
)
def test_to_xargs_and_parse_xargs_are_inverse(asked: WindowParams) -> None:
    assert parse_xargs(asked.to_xargs()) == asked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("z1_thinking_budget", -2),
        ("z1_thinking_budget", 1.5),
        ("z1_thinking_budget", True),
        ("z1_thinking_budget", "9"),
        ("z1_max_answer_tokens", 0),
        ("z1_answer_reserve", 0),
        ("z1_hint", ""),
        ("z1_hint", []),
        ("z1_hint", [1, -1]),
        ("z1_stop", "\n"),
        ("z1_stop", [""]),
        ("z1_markers", [3]),
        ("z1_windows", 9),
        ("z1_repetition", 2),
        ("z1_max_nudges", -1),
        ("z1_max_nudges", 1),  # without z1_repetition
        ("z1_nudge", ""),
        ("z1_soft_tokens", "8"),
        ("z1_grace_tokens", -1),
    ],
)
def test_invalid_values_are_rejected_by_name(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=name):
        parse_xargs({name: value})


@pytest.mark.parametrize(
    ("asked", "room", "thinking", "answer"),
    [
        (WindowParams(thinking_budget=10), 100, 10, 87),
        (WindowParams(thinking_budget=10, max_answer_tokens=20), 100, 10, 20),
        (WindowParams(thinking_budget=90, max_answer_tokens=20), 100, 77, 20),
        (WindowParams(thinking_budget=90, answer_reserve=40), 100, 57, 40),
        (WindowParams(thinking_budget=90, max_answer_tokens=20, answer_reserve=40), 100, 57, 20),
        (WindowParams(thinking_budget=90), 100, 72, 25),
        (WindowParams(), 100, 72, 25),
        (WindowParams(), 10_000, 10_000 - 3 - DEFAULT_ANSWER_RESERVE, DEFAULT_ANSWER_RESERVE),
        (WindowParams(thinking_budget=0), 4, 0, 1),
        (WindowParams(thinking_budget=5, max_answer_tokens=1), 4, 0, 1),
    ],
)
def test_the_answer_has_its_reserve_of_max_tokens(asked: WindowParams, room: int, thinking: int, answer: int) -> None:
    window = asked.to_window(HINT, (), room)
    assert (window.thinking_budget, window.max_answer_tokens, window.effective_budget(room)) == (
        thinking,
        answer,
        thinking,
    )


@pytest.mark.parametrize(
    "asked",
    [
        WindowParams(thinking_budget=0, max_answer_tokens=2),
        WindowParams(thinking_budget=0, answer_reserve=2),
        WindowParams(max_answer_tokens=98),
    ],
)
def test_a_hint_and_answer_that_do_not_fit_are_rejected(asked: WindowParams) -> None:
    with pytest.raises(UserError, match="max_tokens"):
        asked.to_window(HINT, (), 4)
    with pytest.raises(UserError, match="max_tokens"):
        WindowParams(thinking_budget=0).to_window(HINT, (), 3)


def test_requests_without_our_keys_are_not_validated() -> None:
    validate(params(extra_args={"theirs": 1}, structured_outputs="schema", thinking_token_budget=5), get_profile("z1"))
    validate(params(), get_profile("z1"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"structured_outputs": "schema"}, "structured outputs"),
        ({"thinking_token_budget": 9}, "thinking_token_budget"),
        ({"allowed_token_ids": [1]}, "allowed_token_ids"),
        ({"extra_args": {"z1_max_answer_tokens": 9}, "ignore_eos": True}, "stop_token_ids"),
        ({"extra_args": {"z1_stop": ["a"]}, "ignore_eos": True}, "stop_token_ids"),
        ({"max_tokens": 20}, "max_tokens"),
    ],
)
def test_conflicting_settings_are_rejected(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        validate(params(**given), get_profile("z1"))


def test_valid_settings_are_accepted() -> None:
    validate(params(structured_outputs="schema"), get_profile("qwen3"))
    validate(params(extra_args={"z1_max_answer_tokens": 9}, ignore_eos=True, stop_token_ids=[7]), get_profile("z1"))
    validate(params(extra_args={"z1_thinking_budget": 0, "z1_hint": [1, 2]}, max_tokens=3), get_profile("z1"))
    validate(params(max_tokens=None), get_profile("z1"))


def test_the_hint_is_that_of_the_request_or_the_profile() -> None:
    tiny = get_profile("z1-tiny")
    assert hint_texts(WindowParams(hint="So:"), tiny) == ("So:",)
    assert hint_texts(WindowParams(thinking_budget=0), tiny) == [tiny.answer_prefix]
    assert hint_texts(WindowParams(thinking_budget=3), tiny) == [tiny.hint, tiny.answer_prefix]
    plain = get_profile("plain")
    assert hint_texts(WindowParams(3, answer_kind=AnswerKind.CODE), plain) == ["\n\nThe final code is:\n\n", "```"]
    assert hint_texts(WindowParams(0, answer_kind=AnswerKind.NUMBER), plain) == ["The final answer is \\boxed{"]


def test_a_closing_is_reserved_but_for_the_hint_of_a_request_and_for_no_thinking() -> None:
    closing = Closing(3, lambda token_ids, begun: ())
    for asked, reserved in ((WindowParams(), 3), (WindowParams(hint=(1, 2)), 0), (WindowParams(0), 0)):
        window = asked.to_window((1, 2), (), 100, closing)
        assert window.max_hint_tokens == 2 + reserved
        assert window.effective_budget(100) + window.reserved_tokens <= 100


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_the_bound_on_a_request_holds_for_every_closing(profile: Profile) -> None:
    """With a tokenizer of one token a character, the worst one."""
    closing = make_closing(Characters(), profile)
    assert closing is None or closing.max_tokens <= MAX_CLOSING


@pytest.mark.parametrize("kind", ["number ", "", 3, ["code"]])
def test_an_unknown_answer_kind_is_rejected(kind: Any) -> None:
    with pytest.raises(UserError, match=r"z1_answer_kind.*choose one of text, number, letter, code"):
        parse_xargs({"z1_answer_kind": kind})
