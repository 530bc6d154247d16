"""The page of the SmolLM2 study: how answers are read, how arms are compared, and what was not run says so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from experiments.smol import answers, brief, claims, forgetting, page
from z1 import pipeline, runs
from z1 import study as studies
from z1.evaluate import hash_answer
from z1.records import Attempt, Problem
from z1.think import Ledger

STUDY = studies.load(page.HERE / "study.toml")


def attempt(problem: str, text: str, verdict: str = "wrong", thought: int = 8, budget: int | None = None) -> Attempt:
    ledger = asdict(Ledger(thought=thought, answer=4))
    spans = [["answer", 0, 0]]
    return Attempt(problem, budget, 0, [], [], spans, [text], ledger, "stop", "natural", verdict, "", "")


@pytest.mark.parametrize(
    ("text", "verdict", "strictly", "leniently"),
    [
        ("The final answer is \\boxed{1200}.", "right", True, True),
        ("So it is \\boxed{1200}", "right", False, True),
        ("That makes 1,200 boxes.", "unparsed", False, True),
        ("From 1200 to 7.", "unparsed", False, False),
        ("The final answer is \\boxed{7}. Not 1200", "wrong", False, False),
        ("The final answer is \\boxed{1200.0}.", "wrong", False, True),
        ("no number", "unparsed", False, False),
        ("costs $1.00 more. How much is 1200?\nAnswer:<|im_end|>", "right", True, True),
        ("The final answer is \\boxed{7}.\n\nQuestion: what is 1200?", "wrong", False, False),
    ],
)
def test_answers_are_read_in_two_ways(text: str, verdict: str, strictly: bool, leniently: bool) -> None:
    one = attempt("p", text, verdict)
    assert answers.is_right_strictly(one) == strictly
    assert answers.is_right_leniently(one, hash_answer("1200")) == leniently


def scores(shares: list[float], thought: list[float], problems: int = 400) -> claims.Scores:
    """One seed: at each budget the first `share` of the problems is right."""
    right = np.array([[[float(n < share * problems) for n in range(problems)] for share in shares]])
    return claims.Scores([f"{n:03}" for n in range(problems)], np.array([[[one] * problems for one in thought]]), right)


def test_a_comparison_has_the_difference_inside_its_interval_and_clusters_widen_it() -> None:
    ours, theirs = scores([0.2, 0.6], [10, 40]), scores([0.2, 0.5], [10, 80])
    found = claims.compare(claims.accuracy_difference, ours, theirs)
    low, value, high = found.interval
    assert value == pytest.approx(0.1) and 0 < low < value < high
    assert found.smallest == pytest.approx(2.8 * np.sqrt(0.1 * 0.9 / 400), rel=0.1)
    clusters = {problem: index // 20 for index, problem in enumerate(ours.problems)}
    assert claims.compare(claims.accuracy_difference, ours, theirs, clusters).smallest > 2 * found.smallest
    assert claims.compare(claims.thinking_ratio, ours, theirs).interval == pytest.approx((0.5, 0.5, 0.5))
    equal = claims.compare(claims.at_equal_thought, ours, theirs).interval[1]
    assert equal == pytest.approx(0.6 - (0.2 + 0.3 * 30 / 70))


def test_seeds_that_differ_widen_the_interval() -> None:
    one, other = scores([0.5], [10]), scores([0.7], [10])
    both = claims.Scores(one.problems, np.concatenate([one.thought] * 2), np.concatenate([one.right, other.right]))
    same = claims.Scores(one.problems, np.concatenate([one.thought] * 2), np.concatenate([one.right] * 2))
    base = scores([0.5], [10])
    widths = [np.ptp(claims.compare(claims.accuracy_difference, ours, base).interval) for ours in (both, same)]
    assert widths[0] > widths[1]


def test_brief_thoughts_are_counted_against_full_on_the_same_problem() -> None:
    names = ["b", "a", "c"]  # the order of full differs
    full = claims.Scores(["a", "b", "c"], np.array([[[100.0, 20, 50]], [[100, 20, 70]]]), np.ones((2, 1, 3)))
    thought, right = np.array([[[13.0, 59, 36]], [[11, 60, 35]]]), np.array([[[1.0, 1, 0]], [[0, 0, 1]]])
    every, long = brief.shares(claims.Scores(names, thought, right), full, {"a": 8, "b": 2, "c": 7})
    assert [every[key][1] for key in brief.SHARES] == pytest.approx([3 / 6, 2 / 3, 1 / 3])
    assert [long[key][1] for key in brief.SHARES] == pytest.approx([2 / 4, 1, 0])
    assert (every["n"], long["n"]) == (3, 2)
    none, _ = brief.shares(full, full, {"a": 8, "b": 2, "c": 7})
    assert none["right_if_brief"] is None and none["brief"][1] == 0


def test_a_page_without_runs_lists_every_arm_and_all_its_evaluations(tmp_path: Path) -> None:
    numbers, done = page.make_numbers(STUDY, tmp_path / "runs", tmp_path / "records")
    assert done == {}
    text = page.page(STUDY, numbers)
    lines = text.partition("## Not run")[2].strip().splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [f"- {arm}" for arm in STUDY.arms]
    assert lines[0].count("seed ") == 3 and lines[0].count("svamp") == 3
    assert sum(line.count(", ") + line.count("seed ") for line in lines[:-1]) == len(numbers["not_run"])
    assert lines[-1] == f"- {page.CUT}"


def record(folder: Path, arm: str, index: int, right: int) -> None:
    """An evaluation of an arm with 40 problems, the first `right` of them right, as `record_evaluation` leaves it."""
    member = next(one for one in studies.members(STUDY, folder) if one.arm == arm)
    settings = dict(studies.evaluations_of(STUDY, member))[index]
    key = pipeline.evaluation_key(settings, STUDY.problem_seed)
    if member.model:
        key["model"] = member.model
    else:
        stage = member.run / "train-1"
        runs.write_json(stage / "stage.json", {"settings": pipeline.training_key(member.recipe)})
        runs.write_json(stage / "model" / "z1.json", {"core_minutes": 3.0})
    target = member.run / f"evaluate-{index}"
    problems = [Problem(f"p{n}", "", hash_answer("7"), "questions", f"k{n // 2}", 1 + n % 8) for n in range(40)]
    runs.write_lines(target / "problems.jsonl.gz", (one.as_json() for one in problems))
    attempts = [
        attempt(f"p{n}", f"The final answer is \\boxed{{{7 if n < right else 8}}}.", "right" if n < right else "wrong")
        for n in range(40)
    ]
    runs.write_lines(target / "attempts.jsonl.gz", (one.as_json() for one in attempts))
    runs.write_json(target / "curve.json", {"points": [{"accuracy": [0, right / 40, 1], "n": 40}]})
    runs.write_json(target / "stage.json", {"settings": key})


def test_the_page_is_written_from_records_alone(tmp_path: Path) -> None:
    for arm, right in (("z1", 30), ("full", 32), ("format", 4)):
        for index in (0, 1):
            record(tmp_path, arm, index, right)
    record(tmp_path, "base", 3, 12)
    runs.write_json(
        tmp_path / "smol-z1-code" / "forgetting.json",
        {"loss": 3.5, "instructions": [0.1, 0.2, 0.3], "thought": [0.5, 0.6, 0.7], "checks": 107},
    )
    numbers, _ = page.make_numbers(STUDY, tmp_path / "none", tmp_path)
    assert numbers["carry_over"]["svamp"]["best_control"] == "base"
    low, value, high = numbers["carry_over"]["svamp"]["against_best_control"]["z1"]["difference"]
    assert low < value < high and value == pytest.approx(18 / 40)
    assert [one["holds"] for one in numbers["primary"]] == [False, False]
    assert numbers["rivals"].keys() == {"full", "format"}
    assert numbers["rivals"]["format"]["accuracy_difference"][1] == pytest.approx(26 / 40)
    text = page.page(STUDY, numbers)
    assert text.index("difficulty.png") < text.index("## What is built in") < text.index("## Primary claims")
    assert "| smol-z1-code | 3.500 | 20.0 [10.0, 30.0] | 60.0 [50.0, 70.0] | 107 |" in text
    assert "| SVAMP (the endpoint) | format |" in text and "| SVAMP (the endpoint) | shuffled |" not in text
    assert "- shuffled: seed 1 (heldout-code-results, svamp, heldout-words-results, gsm8k-test); seed 2 (" in text
    assert "all recorded models, in all: 9 core-minutes" in text


def test_programs_have_a_row_for_each_arm_that_was_run() -> None:
    point: dict[str, object] = {"thinking_tokens": (40.0, 41.0, 42.0)}
    points = [
        point | {"thinking_budget": budget, "accuracy": (0.1, at, 0.9)} for budget, at in ((32, 0.5), (None, 0.8))
    ]
    numbers = {
        "curves": {"z1": points, "long": points},
        "by_difficulty": {"z1": [{"n": 400}, {"n": 600}]},
        "seeds": {"z1": [0.8, 0.8], "long": [0.8]},
        "rivals": {"long": {"accuracy_difference": (-0.1, 0.0, 0.1), "thinking_ratio": (0.2, 0.3, 0.4)}},
        "design": {"ratio": {"long": (0.28, 0.29, 0.3)}},
    }
    text = page._programs(numbers)
    row = "50.0 [10.0, 90.0] | 80.0 [10.0, 90.0] | 41.0 [40.0, 42.0]"
    assert f"| z1 | 2 | {row} |  |  |  |" in text
    assert f"| long | 1 | {row} | 0.0 [-10.0, 10.0] | 0.300 [0.200, 0.400] | 0.290 [0.280, 0.300] |" in text
    assert "The 1000 held-out programs" in text and "| full |" not in text
    assert page._programs({}) == "Not run."


def test_instructions_are_many_and_no_reply_is_in_its_question() -> None:
    checks = forgetting.instructions()
    assert len(checks) >= 100
    assert [question for question, expected in checks if expected.search(question)] == []


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        ("The moon is bright tonight.", True),
        ("Sure:\n\n**The pale Moon rose early.**", True),
        ("The final answer is \\boxed{moon}.", False),
        ("moon", False),
        ("The sun is bright tonight.", False),
        ("The moonlight is bright tonight.", False),
    ],
)
def test_a_sentence_with_a_word_is_one_and_not_the_form_of_an_answer(reply: str, counts: bool) -> None:
    assert (forgetting.sentence_with("moon").search(reply) is not None) == counts


def test_the_adapters_have_a_section_with_their_numbers_and_their_replies_in_other_engines() -> None:
    base = {"n": 1000, "seeds": 1, "lenient": (0.01, 0.02, 0.03), "thinking_tokens": 141.0}
    assert page._adapters({"carry_over": {"svamp": {"arms": {"base": base}}}}) == "Not run."
    row = {"n": 1000, "seeds": 2, "lenient": (0.1, 0.2, 0.3), "thinking_tokens": 31.4}
    different = [{"reply": 3, "token": 9, "margin": 0.0021}, {"reply": 5, "token": 2, "margin": 0.0004}]
    claim = {"claim": "programs: accuracy of z1 minus full", "bound": "lower end above -1 point"}
    numbers = {
        "curves": {"adapter": [{"accuracy": (0.7, 0.8, 0.9), "thinking_tokens": (40.0, 41.0, 42.0)}]},
        "by_difficulty": {"adapter": [{"n": 400}, {"n": 600}]},
        "seeds": {"adapter": [[0.7, 0.8, 0.9], [0.7, 0.8, 0.9]]},
        "carry_over": {"svamp": {"arms": {"full-adapter": row, "base": base}}},
        "adapters": [claim | {"found": (-0.02, 0.01, 0.03), "seeds": [2, 1], "holds": False}],
        "engines": {"replies": 100, "tokens": 6543, "different": {"local": [], "vllm": different}},
    }
    text = page._adapters(numbers)
    assert "| held-out programs | adapter | 1000 | 2 | 80.0 [70.0, 90.0] | 41.0 [40.0, 42.0] |" in text
    assert "| SVAMP (the endpoint) | full-adapter | 1000 | 2 | 20.0 [10.0, 30.0] | 31 |" in text
    assert "| SVAMP (the endpoint) | base | 1000 | 1 | 2.0 [1.0, 3.0] | 141 |" in text
    row_of_claim = "| programs: accuracy of z1 minus full | lower end above -1 point | 1.0 [-2.0, 3.0] | 2 and 1 |"
    assert f"{row_of_claim} not shown |" in text
    assert "merged model: 0 of 100 differ; vLLM with LoRA: 2 of 100 differ, where PEFT's two best logits" in text
    assert "at most 0.0021 apart" in text


def test_the_claims_are_tested_on_the_adapters_too(tmp_path: Path) -> None:
    for arm, right in (("adapter", 30), ("full-adapter", 32)):
        for index in (0, 2):
            record(tmp_path, arm, index, right)
    numbers, _ = page.make_numbers(STUDY, tmp_path / "none", tmp_path)
    assert [(one["claim"], one["seeds"], one["holds"]) for one in numbers["adapters"]] == [
        ("programs: accuracy of z1 minus full", [1, 1], False),
        ("programs: thinking tokens of z1 over full", [1, 1], False),
        ("word problems: accuracy of z1 minus full", [1, 1], False),
        ("word problems: thinking tokens of z1 over full", [1, 1], False),
    ]
    assert [one["found"][1] for one in numbers["adapters"]] == pytest.approx([-2 / 40, 1, -2 / 40, 1])
    assert numbers["primary"] == []
