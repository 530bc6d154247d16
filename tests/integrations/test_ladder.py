"""A ladder: conversations at several budgets from one thought, with the text that a scorer reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.integrations.ladder import Ladder, ModelOptions, ReplyOptions, options_of, paid_tokens, parse_budgets
from z1.llm import LLM
from z1.profiles import get_profile

HINT = get_profile("z1").hint
REPLY = "a is 1, so it is 1\n\nThe final answer is \\boxed{1}. Done."
ASKED = [{"role": "user", "content": "what?"}]


@pytest.fixture(scope="module")
def ladder() -> Iterator[Ladder]:
    engine = ScriptedEngine(Script({"what?": REPLY}, {"what?": "It is 7. Done."}, HINT), profile="z1")
    made = Ladder(LLM.of(engine), 4)
    yield made
    made.close()


def test_each_row_is_that_of_a_run_of_its_own(ladder: Ladder) -> None:
    budgets, options = (0, 4, 9, None), ReplyOptions(max_answer_tokens=30)
    rows = ladder.submit(ASKED, budgets, options).result()
    assert [row.thinking_budget for row in rows] == list(budgets)
    for budget, row in zip(budgets, rows, strict=True):
        (alone,) = ladder.submit(ASKED, (budget,), options).result()
        assert alone.token_ids == row.token_ids and alone.spans == row.spans


def test_without_unlimited_the_thought_ends_at_the_largest_budget(ladder: Ladder) -> None:
    rows = ladder.submit(ASKED, (2, 6), ReplyOptions(max_answer_tokens=5)).result()
    paid = paid_tokens(rows, can_fork=True)
    assert paid.thinking == 6 and paid.prompt == len("what?")
    assert paid.completion == 6 + sum(row.counts().paid_tokens - row.counts().thought for row in rows)
    apart = paid_tokens(rows, can_fork=False)
    assert (apart.thinking, apart.prompt) == (8, 10)


def test_a_reply_that_several_budgets_share_is_paid_once(ladder: Ladder) -> None:
    rows = ladder.submit(ASKED, (500, 600, None), ReplyOptions(max_answer_tokens=60)).result()
    assert len({tuple(row.token_ids) for row in rows}) == 1
    assert paid_tokens(rows, can_fork=True).completion == rows[0].counts().paid_tokens


def test_the_content_ends_at_a_stop_string(ladder: Ladder) -> None:
    options = ReplyOptions(max_answer_tokens=40, stop=(" Done",))
    (row,) = ladder.submit(ASKED, (4,), options).result()
    text = ladder.reply_text(row, options)
    assert text.content == "It is 7." and text.reasoning == "a is" + HINT and row.end == "string"


def test_a_prompt_that_does_not_fit_is_a_fault(ladder: Ladder) -> None:
    with pytest.raises(EngineFault, match="prompt"):
        ladder.submit([{"role": "user", "content": "x" * 5000}], (4,), ReplyOptions()).result()


@pytest.mark.parametrize(
    ("given", "budgets"),
    [
        ("0,256,unlimited", (0, 256, None)),
        ("256+0+-1", (0, 256, None)),
        ([16, "unlimited", 16], (16, None)),
        (64, (64,)),
        ("-1", (None,)),
    ],
)
def test_budgets(given: object, budgets: tuple[int | None, ...]) -> None:
    assert parse_budgets(given) == budgets


@pytest.mark.parametrize("given", ["", "a", "0,-2", [], [1.5, "x"]])
def test_budgets_that_are_none(given: object) -> None:
    with pytest.raises(UserError, match="thinking_budgets"):
        parse_budgets(given)


def test_model_arguments_are_checked() -> None:
    assert options_of(ModelOptions, {"thinking_budget": 4}, {"model": "m"}).thinking_budget == 4
    with pytest.raises(UserError, match="thinking_bugdet; give one of answer_kind"):
        options_of(ModelOptions, {"thinking_bugdet": 4}, {"model": "m"})
