"""Tests of z1.serve.api.budget."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serve.conftest import Served, chunks, serving
from tests.serve.scripts import ASK, HINT, PREFIX, THOUGHT, scripted
from z1 import profiles
from z1.engines import AnswerExit, Sampling
from z1.engines.scripted import Characters
from z1.errors import UserError
from z1.exit_policy import ExitMinimums
from z1.serve.api.budget import (
    BUDGET_FIELDS,
    DEFAULT_EFFORT_MAP,
    EFFORT_FIELDS,
    HINT_FIELDS,
    SWITCH_FIELDS,
    Budget,
    Policy,
    exit_rules,
    has_thinking_on,
    make_window,
    parse_hint,
    parse_thinking_budget,
)
from z1.serve.api.request_parser import RequestDefaults

TOKENIZER = Characters()
TINY, QWEN = profiles.get_profile("z1-tiny"), profiles.get_profile("qwen3")


def nested(name: str, value: Any) -> dict[str, Any]:
    first, *rest = name.split(".")
    return {first: nested(".".join(rest), value) if rest else value}


def parsed(body: dict[str, Any]) -> int | None:
    return parse_thinking_budget(body, DEFAULT_EFFORT_MAP)


@pytest.mark.parametrize("name", BUDGET_FIELDS)
@pytest.mark.parametrize("value", [-1, 0, 7])
def test_every_budget_field_has_the_same_meaning(name: str, value: int) -> None:
    assert parsed(nested(name, value)) == value


@pytest.mark.parametrize("name", EFFORT_FIELDS)
def test_every_effort_field_is_mapped_to_tokens(name: str) -> None:
    assert [parsed(nested(name, level)) for level in ("none", "low", "max")] == [0, 1024, -1]
    with pytest.raises(UserError, match="choose one of none"):
        parsed(nested(name, "lots"))


def test_a_request_without_settings_has_no_budget() -> None:
    assert parsed({"model": "x", "thinking": {}}) is None


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"thinking": {"type": "disabled"}}, 0),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, 9),
        ({"chat_template_kwargs": {"enable_thinking": False}}, 0),
        ({"chat_template_kwargs": {"enable_thinking": True}, "thinking_budget": 5}, 5),
        ({"reasoning": {"enabled": True, "effort": "low"}}, 1024),
        ({"thinking_budget": 5, "max_thinking_tokens": 5}, 5),
        ({"thinking_budget": 5, "reasoning_effort": "high"}, 5),
        ({"thinking": {"type": "disabled"}, "thinking_budget": 0}, 0),
        ({"enable_thinking": False}, 0),
        ({"think": False}, 0),
        ({"think": True, "thinking_budget": 3}, 3),
        ({"enable_thinking": True, "think": "low"}, 1024),
        ({"reasoning_effort": "default", "thinking_budget": 3}, 3),
    ],
)
def test_consistent_settings_are_combined(body: dict[str, Any], tokens: int) -> None:
    assert parsed(body) == tokens


ON: list[dict[str, Any]] = [
    *(nested(name, value) for name, values in SWITCH_FIELDS.items() for value, is_on in values.items() if is_on),
    *(nested(name, effort) for name in EFFORT_FIELDS for effort in ("auto", "default")),
]
"""Every way to turn thinking on without saying how much."""


@pytest.mark.parametrize("body", ON)
def test_thinking_that_is_merely_on_has_the_servers_budget(body: dict[str, Any]) -> None:
    """sglang 19200: clients that always send "on" lifted the operator's budget."""
    assert parsed(body) is None and has_thinking_on(body)
    with serving(scripted(), RequestDefaults(thinking_budget=10, temperature=0.0)) as server:
        (choice,) = server.post(**ASK, **body).json()["choices"]
    assert (choice["budget"]["asked"], choice["budget"]["used"]) == (10, 10)


@pytest.mark.parametrize("field", ["enable_thinking", "think"])
def test_top_level_switches_turn_thinking_off(served: Served, field: str) -> None:
    """experientiallabs/experiential 895, yigit353/langchain-qwq 47; Ollama's think."""
    assert served.post(**{**ASK, field: False}).json()["choices"][0]["budget"]["used"] == 0
    budget = served.post(**{**ASK, field: True}, thinking_budget=5).json()["choices"][0]["budget"]
    assert (budget["asked"], budget["used"]) == (5, 5)


@pytest.mark.parametrize(
    "body",
    [
        {"reasoning": {"effort": "low", "summary": "auto", "generate_summary": "detailed"}},
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        {"think": "low"},
    ],
)
def test_efforts_of_other_apis(served: Served, body: dict[str, Any]) -> None:
    assert served.post(**ASK, **body).json()["choices"][0]["budget"]["asked"] == 1024


def test_anthropics_omitted_thought_is_left_out() -> None:
    with serving(scripted(profile="qwen3")) as server:
        (choice,) = server.post(**ASK, thinking={"display": "omitted"}, thinking_budget=9).json()["choices"]
    assert "reasoning" not in choice["message"] and choice["budget"]["used"] == 9


@pytest.mark.parametrize("name", EFFORT_FIELDS)
def test_an_empty_effort_is_none(name: str) -> None:
    assert parsed(nested(name, "")) is None and not has_thinking_on(nested(name, ""))


def test_on_turns_thinking_on_for_a_model_that_does_not_think_by_default() -> None:
    with serving(scripted(profile="plain")) as server:
        assert server.post(**ASK, think=True).json()["choices"][0]["budget"]["used"] > 0


ASKS: list[dict[str, Any]] = [{}, *ON, *(nested(name, value) for name in BUDGET_FIELDS for value in (-1, 9, 500))]
ASKS += [nested(name, effort) for name in EFFORT_FIELDS for effort in DEFAULT_EFFORT_MAP]


def test_no_request_passes_the_ceiling() -> None:
    """sglang 19200: a server-wide maximum, whatever a request asks for."""
    defaults = RequestDefaults(max_thinking_budget=12, thinking_budget=100, temperature=0.0)
    with serving(scripted(), defaults) as server:
        for body in ASKS:
            budget = server.post(**ASK, **body).json()["choices"][0]["budget"]
            asked = 100 if parsed(body) is None else parsed(body)
            assert budget["asked"] == (None if asked == -1 else asked), body
            assert budget["used"] == budget["limit"] == (12 if asked == -1 else min(12, asked or 0)), body
        text = server.post("/v1/completions", model="scripted", prompt="why?", thinking_budget=-1, max_tokens=300)
        assert text.json()["choices"][0]["budget"]["used"] == 12


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("profile", ["z1-tiny", "qwen3"])
def test_a_short_max_tokens_without_a_budget_is_a_plain_cut(profile: str, field: str) -> None:
    """litellm 26987, tashfeenahmed/freellmapi 903: health probes send max_tokens 1 to 24."""
    for default in (None, 100):
        with serving(scripted(profile=profile), RequestDefaults(thinking_budget=default, temperature=0.0)) as server:
            for count in (1, 5, 16, 24):
                reply = server.post(**{**ASK, field: count}, enable_thinking=True)
                assert reply.status_code == 200, reply.text
                (choice,) = reply.json()["choices"]
                text = choice["message"].get("reasoning", "") + choice["message"]["content"]
                assert (text, choice["finish_reason"]) == (THOUGHT[:count], "length")
                assert reply.json()["usage"]["completion_tokens"] == count
            for asks in ({"thinking_budget": 90}, {"answer_tokens": 20}, {"hint": "so so"}, {"policy": {"stable": 2}}):
                assert server.post(**{**ASK, field: 5}, **asks).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"thinking_budget": 5, "max_thinking_tokens": 6},
        {"enable_thinking": False, "think": True},
        {"think": False, "reasoning_effort": "low"},
        {"thinking": {"type": "disabled", "budget_tokens": 5}},
        {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
        {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"},
        {"chat_template_kwargs": {"enable_thinking": False}, "thinking": {"type": "enabled"}},
    ],
)
def test_contradicting_settings_are_rejected(body: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"leave one|give one"):
        parsed(body)


@pytest.mark.parametrize("name", HINT_FIELDS)
def test_every_hint_field_sets_the_hint(name: str) -> None:
    assert parse_hint({name: "now."}) == "now."


def window(free_tokens: int, profile: profiles.Profile = TINY, **budget: Any) -> tuple[int, int, str]:
    """Effective thinking budget, maximum answer tokens, and the hint as text."""
    got, max_tokens = make_window(TOKENIZER, profile, Budget(**budget), free_tokens)
    return got.effective_budget(max_tokens), got.max_answer_tokens, TOKENIZER.decode(list(got.hint))


def test_an_unlimited_thought_leaves_the_reserve_and_a_limited_one_the_rest() -> None:
    hint = len(HINT)
    assert window(1000) == (1000 - hint - 250, 250, HINT)
    assert window(9000) == (9000 - hint - 512, 512, HINT)
    assert window(1000, thinking_budget=100) == (100, 1000 - hint - 100, HINT)
    assert window(1000, thinking_budget=100, max_answer_tokens=30) == (100, 30, HINT)
    assert window(1000, thinking_budget=0) == (0, 1000 - len(PREFIX), PREFIX)


def test_max_tokens_includes_thought_hint_and_answer() -> None:
    assert window(9000, max_tokens=200, thinking_budget=500) == (200 - len(HINT) - 50, 50, HINT)
    assert window(9000, max_tokens=200, thinking_budget=500, max_answer_tokens=20) == (200 - len(HINT) - 20, 20, HINT)
    assert window(100, max_tokens=200, max_answer_tokens=20) == (100 - len(HINT) - 20, 20, HINT)


def test_too_few_max_tokens_are_rejected_with_the_minimum() -> None:
    with pytest.raises(UserError, match=f"give at least {len(HINT) + 20}"):
        window(9000, max_tokens=len(HINT) + 19, max_answer_tokens=20)
    assert window(9000, max_tokens=len(HINT) + 20, max_answer_tokens=20)[0] == 0


def test_the_kind_of_answer_chooses_the_hint_and_a_closing_is_reserved() -> None:
    plain, code = profiles.get_profile("plain"), profiles.AnswerKind.CODE
    hint = "\n\nThe final code is:\n\n```"
    closing = profiles.make_closing(TOKENIZER, plain)
    assert closing is not None
    assert window(1000, plain, thinking_budget=100, answer_kind=code) == (
        100,
        1000 - len(hint) - closing.max_tokens - 100,
        hint,
    )
    assert window(1000, plain, thinking_budget=0, answer_kind=code) == (0, 1000 - len(hint) + 2, hint.lstrip())
    got, _ = make_window(TOKENIZER, plain, Budget(5, hint="so:"), 1000)
    assert (TOKENIZER.decode(list(got.hint)), got.closing) == ("so:", None)  # the client's own hint is forced as it is
    assert make_window(TOKENIZER, plain, Budget(5, 0), 1000)[0].closing is None


def test_zero_answer_tokens_are_a_hard_cut() -> None:
    assert window(9000, max_tokens=50, max_answer_tokens=0, thinking_budget=20) == (20, 0, "")


def test_without_thinking_the_whole_reply_is_answer() -> None:
    got, max_tokens = make_window(TOKENIZER, TINY, Budget(has_thinking=False, max_tokens=40), 1000)
    assert (got.thinking_budget, got.max_answer_tokens, got.hint, max_tokens) == (0, 40, (), 40)


def test_a_requested_hint_is_exact_and_ends_with_the_closing_think_tag() -> None:
    assert window(500, hint="Now.")[2] == "Now."
    assert window(500, QWEN, hint="Now.")[2] == "Now.</think>"
    assert window(500, QWEN, hint="</think>Now.")[2] == "</think>Now."


@pytest.mark.parametrize("name", HINT_FIELDS)
def test_a_hint_that_the_tokenizer_refuses_is_a_bad_request(name: str) -> None:
    class Refusing(Characters):
        def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
            if "ö" in text:
                raise ValueError("no token for ö")
            return super().encode(text, add_special_tokens=add_special_tokens)

    engine = scripted()
    engine.tokenizer = Refusing()
    with serving(engine) as server:
        reply = server.post(**ASK, thinking_budget=5, **{name: "Schön."})
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (400, "hint")
    assert error["message"] == (
        "hint: got what the model's tokenizer refuses: no token for ö; change it, or use a model that accepts it"
    )


@given(
    st.integers(1, 3000),
    st.one_of(st.none(), st.integers(1, 3000)),
    st.one_of(st.none(), st.integers(0, 3000)),
    st.one_of(st.none(), st.integers(0, 600)),
)
def test_thought_hint_and_answer_fit_or_the_request_is_rejected(
    free_tokens: int, limit: int | None, thought: int | None, answer: int | None
) -> None:
    try:
        got, max_tokens = make_window(TOKENIZER, TINY, Budget(thought, answer, limit), free_tokens)
    except UserError:
        return
    assert max_tokens == min(free_tokens, limit or free_tokens)
    assert got.effective_budget(max_tokens) + len(got.hint) + got.max_answer_tokens <= max_tokens
    assert got.effective_budget(max_tokens) <= (thought if thought is not None else max_tokens)
    assert got.max_answer_tokens == answer or (
        answer is None and got.max_answer_tokens >= min(512, max(1, max_tokens // 4))
    )


def budget_of(served: Served, **policy: Any) -> dict[str, Any]:
    response = served.post(**ASK, policy=policy)
    assert response.status_code == 200, response.text
    return dict(response.json()["choices"][0]["budget"])


def test_a_converged_thought_ends_early_and_its_probes_are_counted(served: Served) -> None:
    budget = budget_of(served, every=8, stable=3)
    assert (budget["reason"], budget["used"]) == ("converged", 24)
    assert budget["probe_tokens"] == 3 * (len(HINT) + len("8}"))  # to the end of the box
    assert "probes" not in budget


def test_anytime_answers_are_streamed_and_in_the_whole_response(served: Served) -> None:
    answer = PREFIX + "8}"
    sure = {"answer": answer, "probability": 1.0, "margin": 1.0, "entropy": 0.0}  # a script is certain
    expected = [{"at": at, "agreement": at // 16, **sure} for at in (16, 32, 48, 64)]  # 64: in the marker
    whole = budget_of(served, every=16, anytime=True)
    assert whole["probes"] == expected and whole["reason"] == "natural"
    stream = served.post(**ASK, policy={"every": 16, "anytime": True}, stream=True)
    choices = [event["choices"][0] for event in chunks(stream.text.splitlines())]
    assert [choice["probe"] for choice in choices if "probe" in choice] == expected
    text = served.post("/v1/completions", model="scripted", prompt="why?", max_tokens=400, thinking_budget=-1,
                       policy={"every": 16, "anytime": True}, stream=True)  # fmt: skip
    choices = [event["choices"][0] for event in chunks(text.text.splitlines())]
    assert [choice["probe"] for choice in choices if "probe" in choice] == expected
    assert all(choice["text"] == "" for choice in choices if "probe" in choice)


def test_a_policy_does_not_change_the_tokens_of_a_thought(served: Served) -> None:
    plain, watched = served.post(**ASK).json(), served.post(**ASK, policy={"every": 8, "stable": 100}).json()
    assert plain["choices"][0]["message"] == watched["choices"][0]["message"]
    assert plain["usage"] == watched["usage"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"policy": {}}, "set at least one of stable, min_answer_probability"),
        ({"policy": {"stable": 2}, "thinking_token_budget": 0}, "without thinking"),
        ({"policy": {"stable": 2}, "answer_tokens": 0}, "with answer_tokens 0"),
        ({"policy": {"stable": 0}}, "stable"),
        ({"policy": {"stable": 2, "max_nudges": 1}}, "set repetition to true"),
        ({"policy": {"repetition": True, "nudge": ""}}, "nudge"),
        ({"soft_tokens": -1}, "soft_tokens"),
        ({"policy": {"stable": 2, "code": "x"}}, "unknown field"),
        ({"policy": {"stable": 2, "every": 1}}, "every"),
        ({"policy": {"min_answer_probability": 1.5}}, "min_answer_probability"),
        ({"policy": {"stable": 2, "normalizer": "lower"}}, "normalizer"),
    ],
)
def test_an_invalid_policy_is_rejected(served: Served, body: dict[str, Any], complaint: str) -> None:
    response = served.post(**ASK, **body)
    assert response.status_code == 400 and complaint in response.json()["error"]["message"]


def test_exit_rules_of_a_policy() -> None:
    def rules(policy: Policy) -> tuple[Any, ...]:
        return exit_rules(policy, scripted(), Sampling(), lambda _: None)

    assert rules(Policy()) == ()
    (convergence,) = rules(Policy(minimums=ExitMinimums(2), repetition=True, normalizer="exact"))
    assert isinstance(convergence, AnswerExit)
    assert convergence.read_answer(" a, B ") == "a, B"
    (tolerant,) = rules(Policy(anytime=True))
    assert isinstance(tolerant, AnswerExit) and tolerant.read_answer("\\boxed{0.50}") == "box 1/2"
