"""Does a budget mean the same under every name, and does the answer keep its room?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serve.scripts import HINT, PREFIX
from z1 import profiles
from z1.engines.scripted import Characters
from z1.errors import UserError
from z1.serve.api.budget import EFFORT_TOKENS, EFFORTS, HINTS, TOKENS, Budget, asked_hint, asked_thinking, window

TOKENIZER = Characters()
TINY, QWEN = profiles.profile("z1-tiny"), profiles.profile("qwen3")


def nested(name: str, value: Any) -> dict[str, Any]:
    first, *rest = name.split(".")
    return {first: nested(".".join(rest), value) if rest else value}


def thinking(said: dict[str, Any]) -> int | None:
    return asked_thinking(said, EFFORT_TOKENS)


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("value", [-1, 0, 7])
def test_every_name_of_a_number_means_the_same(name: str, value: int) -> None:
    assert thinking(nested(name, value)) == value


@pytest.mark.parametrize("name", EFFORTS)
def test_every_name_of_an_effort_goes_through_the_table(name: str) -> None:
    assert [thinking(nested(name, level)) for level in ("none", "low", "max")] == [0, 1024, -1]
    with pytest.raises(UserError, match="choose one of none"):
        thinking(nested(name, "lots"))


def test_a_request_that_says_nothing_asks_for_nothing() -> None:
    assert thinking({"model": "x", "thinking": {}}) is None


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ({"thinking": {"type": "disabled"}}, 0),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, 9),
        ({"thinking": {"type": "adaptive"}}, -1),
        ({"chat_template_kwargs": {"enable_thinking": False}}, 0),
        ({"chat_template_kwargs": {"enable_thinking": True}, "thinking_budget": 5}, 5),
        ({"reasoning": {"enabled": True, "effort": "low"}}, 1024),
        ({"thinking_budget": 5, "max_thinking_tokens": 5}, 5),
        ({"thinking_budget": 5, "reasoning_effort": "high"}, 5),
        ({"thinking": {"type": "disabled"}, "thinking_budget": 0}, 0),
    ],
)
def test_what_goes_together(said: dict[str, Any], ids: int) -> None:
    assert thinking(said) == ids


@pytest.mark.parametrize(
    "said",
    [
        {"thinking_budget": 5, "max_thinking_tokens": 6},
        {"thinking": {"type": "disabled", "budget_tokens": 5}},
        {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
        {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"},
        {"chat_template_kwargs": {"enable_thinking": False}, "thinking": {"type": "enabled"}},
    ],
)
def test_what_contradicts_itself_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"leave one|give one"):
        thinking(said)


@pytest.mark.parametrize("name", HINTS)
def test_a_hint_under_each_of_its_names(name: str) -> None:
    assert asked_hint({name: "now."}) == "now."


def made(room: int, profile: profiles.Profile = TINY, **asked: Any) -> tuple[int, int, str]:
    """Allowance of the thought, of the answer, and the hint as text."""
    got, total = window(TOKENIZER, profile, Budget(**asked), room)
    return got.effective_budget(total), got.max_answer_tokens, TOKENIZER.decode(list(got.hint))


def test_a_free_thought_leaves_the_reserve_and_a_limited_one_leaves_the_rest() -> None:
    hint = len(HINT)
    assert made(1000) == (1000 - hint - 250, 250, HINT)
    assert made(9000) == (9000 - hint - 512, 512, HINT)
    assert made(1000, thinking=100) == (100, 1000 - hint - 100, HINT)
    assert made(1000, thinking=100, answer=30) == (100, 30, HINT)
    assert made(1000, thinking=0) == (0, 1000 - len(PREFIX), PREFIX)


def test_max_tokens_holds_thought_hint_and_answer() -> None:
    assert made(9000, total=200, thinking=500) == (200 - len(HINT) - 50, 50, HINT)
    assert made(9000, total=200, thinking=500, answer=20) == (200 - len(HINT) - 20, 20, HINT)
    assert made(100, total=200, answer=20) == (100 - len(HINT) - 20, 20, HINT)


def test_below_nothing_is_refused_with_what_would_do() -> None:
    with pytest.raises(UserError, match=f"give at least {len(HINT) + 20}"):
        made(9000, total=len(HINT) + 19, answer=20)
    assert made(9000, total=len(HINT) + 20, answer=20)[0] == 0


def test_an_answer_of_nothing_is_a_hard_cut() -> None:
    assert made(9000, total=50, answer=0, thinking=20) == (20, 0, "")


def test_where_nothing_is_a_thought_all_is_answer() -> None:
    got, total = window(TOKENIZER, TINY, Budget(thinks=False, max_tokens=40), 1000)
    assert (got.thinking_budget, got.max_answer_tokens, got.hint, total) == (0, 40, (), 40)


def test_a_hint_of_ones_own_is_exact_and_ends_with_the_fence_of_a_family_that_has_one() -> None:
    assert made(500, hint="Now.")[2] == "Now."
    assert made(500, QWEN, hint="Now.")[2] == "Now.</think>"
    assert made(500, QWEN, hint="</think>Now.")[2] == "</think>Now."


@given(
    st.integers(1, 3000),
    st.one_of(st.none(), st.integers(1, 3000)),
    st.one_of(st.none(), st.integers(0, 3000)),
    st.one_of(st.none(), st.integers(0, 600)),
)
def test_thought_hint_and_answer_fit_together_or_are_refused(
    room: int, total: int | None, thought: int | None, answer: int | None
) -> None:
    try:
        got, may = window(TOKENIZER, TINY, Budget(thought, answer, total), room)
    except UserError:
        return
    assert may == min(room, total or room)
    assert got.effective_budget(may) + len(got.hint) + got.max_answer_tokens <= may
    assert got.effective_budget(may) <= (thought if thought is not None else may)
    assert got.max_answer_tokens == answer or (answer is None and got.max_answer_tokens >= min(512, max(1, may // 4)))
