"""Is what a request asks of vLLM kept, or refused with the reason?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from z1.engines.vllm_params import ANSWER, WindowParams, check, hint_texts, read
from z1.errors import UserError
from z1.profiles import profile

HINT = (1, 2, 3)


def params(**given: Any) -> SimpleNamespace:
    plain = {"extra_args": {"z1_window": 9}, "max_tokens": 500, "structured_outputs": None, "ignore_eos": False}
    others: dict[str, Any] = {"stop_token_ids": [], "thinking_token_budget": None, "allowed_token_ids": None}
    return SimpleNamespace(**{**plain, **others, **given})


def test_keys_are_read_and_those_of_others_left_alone() -> None:
    given = {
        "z1_window": 0,
        "z1_answer": 9,
        "z1_hint": [4, 5],
        "z1_stop": ["\n"],
        "z1_markers": ["<call>"],
        "theirs": 1,
    }
    assert read(given) == WindowParams(0, 9, None, (4, 5), ("\n",), ("<call>",))
    assert read({"z1_hint": "So:"}) == WindowParams(hint="So:")
    assert read({"theirs": 1}) is None
    assert read(None) is None


@pytest.mark.parametrize(
    "asked", [WindowParams(), WindowParams(3, 4, 5, (6,), ("a",), ("b", "c")), WindowParams(0, hint="So:")]
)
def test_what_was_written_is_read_again(asked: WindowParams) -> None:
    assert read(asked.keys()) == asked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("z1_window", -2),
        ("z1_window", 1.5),
        ("z1_window", True),
        ("z1_window", "9"),
        ("z1_answer", 0),
        ("z1_reserve", 0),
        ("z1_hint", ""),
        ("z1_hint", []),
        ("z1_hint", [1, -1]),
        ("z1_stop", "\n"),
        ("z1_stop", [""]),
        ("z1_markers", [3]),
        ("z1_windows", 9),
    ],
)
def test_what_is_not_understood_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=name):
        read({name: value})


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
        (WindowParams(), 10_000, 10_000 - 3 - ANSWER, ANSWER),
        (WindowParams(thinking_budget=0), 4, 0, 1),
        (WindowParams(thinking_budget=5, max_answer_tokens=1), 4, 0, 1),
    ],
)
def test_the_answer_keeps_its_share_of_max_tokens(asked: WindowParams, room: int, thinking: int, answer: int) -> None:
    window = asked.window_of(HINT, (), room)
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
def test_what_does_not_fit_is_refused(asked: WindowParams) -> None:
    with pytest.raises(UserError, match="max_tokens"):
        asked.window_of(HINT, (), 4)
    with pytest.raises(UserError, match="max_tokens"):
        WindowParams(thinking_budget=0).window_of(HINT, (), 3)


def test_requests_without_our_keys_are_nobodys_business() -> None:
    check(params(extra_args={"theirs": 1}, structured_outputs="schema", thinking_token_budget=5), profile("z1"))
    check(params(), profile("z1"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"structured_outputs": "schema"}, "structured outputs"),
        ({"thinking_token_budget": 9}, "thinking_token_budget"),
        ({"allowed_token_ids": [1]}, "allowed_token_ids"),
        ({"extra_args": {"z1_answer": 9}, "ignore_eos": True}, "stop_token_ids"),
        ({"extra_args": {"z1_stop": ["a"]}, "ignore_eos": True}, "stop_token_ids"),
        ({"max_tokens": 20}, "max_tokens"),
    ],
)
def test_what_cannot_be_kept_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(params(**given), profile("z1"))


def test_what_can_be_kept_is_not_refused() -> None:
    check(params(structured_outputs="schema"), profile("qwen3"))
    check(params(extra_args={"z1_answer": 9}, ignore_eos=True, stop_token_ids=[7]), profile("z1"))
    check(params(extra_args={"z1_window": 0, "z1_hint": [1, 2]}, max_tokens=3), profile("z1"))
    check(params(max_tokens=None), profile("z1"))


def test_the_hint_is_the_requests_or_the_profiles() -> None:
    tiny = profile("z1-tiny")
    assert hint_texts(WindowParams(hint="So:"), tiny) == ("So:",)
    assert hint_texts(WindowParams(thinking_budget=0), tiny) == [tiny.answer_prefix]
    assert hint_texts(WindowParams(thinking_budget=3), tiny) == [tiny.hint, tiny.answer_prefix]
