"""The data of the SmolLM2 study: thoughts end in the right answer, splits are disjoint, arms differ in levels only."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from experiments.smol import data, word_problems
from experiments.smol.data import ARMS, LEVELS, Exercise

SHARED = Path(__file__).parents[3] / "shared" / "data"


def exercises(task: str, split: str = "train", count: int = 80) -> list[Exercise]:
    return list(data.collect(data.TASKS[task], split, count, 3))


def test_the_answer_is_what_python_prints() -> None:
    for exercise in exercises("code"):
        source = exercise.question.partition("```python\n")[2].removesuffix("```")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(source, {})
        assert out.getvalue() == exercise.answer + "\n"


SUM = r"\d+(?: (?:[-+*/%]|//) \d+)*"
CHAIN = re.compile(rf"(?<![\w\"'.\])])(?<![-+*/%] ){SUM}(?: = {SUM})+")


@pytest.mark.parametrize("task", data.TASKS)
def test_every_calculation_of_a_thought_is_right(task: str) -> None:
    """Chains such as `12 + 7 = 19`, and comparisons with their truth."""
    count = 0
    for exercise in exercises(task):
        for level in LEVELS:
            thought = exercise.thoughts[level]
            for chain in CHAIN.findall(thought):
                assert len({eval(part) for part in chain.split(" = ")}) == 1, chain
                count += 1
            for left, truth in re.findall(
                r"(?<![-+*/%] )(\b\d+ (?:==|!=|<=|>=|<|>) \d+)(?:, which)? is (true|false)", thought
            ):
                assert str(eval(left)).lower() == truth, thought
    assert count > 150


@pytest.mark.parametrize("task", data.TASKS)
def test_full_thoughts_end_with_the_answer_and_levels_have_the_same_answer(task: str) -> None:
    for exercise in exercises(task):
        assert exercise.answer in exercise.thoughts["full"].splitlines()[-1]
        assert exercise.thoughts["long"].endswith(
            exercise.thoughts["full"].removeprefix("Let me run the program line by line.\n")
        )
        assert exercise.thoughts["direct"] == ""
        assert len(exercise.thoughts["brief"]) < len(exercise.thoughts["full"]) < len(exercise.thoughts["long"])


@pytest.mark.parametrize("task", data.TASKS)
def test_no_problem_is_in_both_splits_and_none_twice(task: str) -> None:
    train, test = ([exercise.id for exercise in exercises(task, split)] for split in ("train", "test"))
    assert not set(train) & set(test)
    assert len(set(train)) == len(train) == 80
    assert [exercise.id for exercise in exercises(task)] == train


def test_a_problem_with_other_names_has_the_same_hash() -> None:
    text = "Ana has 3 plums. Boris has 4 plums."
    renamed = text.replace("Ana", "Leo").replace("Boris", "Ines").replace("plums", "beads")
    assert word_problems.hash_problem(text) == word_problems.hash_problem(renamed)
    assert word_problems.hash_problem(text) != word_problems.hash_problem(text.replace("4", "5"))


def test_shuffled_has_the_levels_of_z1_and_no_arm_has_other_problems() -> None:
    made = {"code": exercises("code"), "words": exercises("words")}
    rows = {name: list(data.rows(arm, made)) for name, arm in ARMS.items() if "gsm8k" not in arm.tasks}
    levels = {name: Counter(row["level"] for row in arm) for name, arm in rows.items()}
    assert levels["z1-code"] == levels["shuffled-code"]
    code = [row["question"] for row in rows["z1-code"]]
    for name in ("full-code", "shuffled-code", "long-code", "short-code", "direct-code", "format-code"):
        assert [row["question"] for row in rows[name]] == code
    steps = {name: [row["steps"] for row in arm if row["level"] == "full"] for name, arm in rows.items()}
    assert min(map(str, steps["z1-code"])) > min(map(str, steps["shuffled-code"]))


def test_an_answer_that_was_exchanged_has_no_thought() -> None:
    made = {"code": exercises("code")}
    plain, exchanged = (list(data.rows(ARMS[name], made)) for name in ("direct-code", "format-code"))
    assert Counter(row["response"] for row in plain) == Counter(row["response"] for row in exchanged)
    assert sum(a["response"] == b["response"] for a, b in zip(plain[:80], exchanged[:80], strict=True)) < 20
    assert not any(row["thought"] for row in exchanged)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")
def test_a_rationale_of_gsm8k_has_its_calculations_as_brief_thought() -> None:
    first = next(data.gsm8k_exercises(SHARED / "gsm8k_train.jsonl.gz"))
    assert first.thoughts["brief"] == "48/2 = 24. 48+24 = 72."
    assert "<<" not in first.thoughts["full"] and first.answer == "72"


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")
def test_no_generated_word_problem_is_in_svamp_or_the_test_of_gsm8k() -> None:
    """No run of eight words occurs in both, numbers apart; shorter runs are phrases of the language."""
    theirs: set[str] = set()
    for name in ("svamp.jsonl.gz", "gsm8k_test.jsonl.gz"):
        theirs |= _runs(SHARED / name)
    for exercise in exercises("words", count=400):
        assert not _text_runs(exercise.question) & theirs


def _runs(path: Path) -> set[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {
        run
        for row in rows
        for run in _text_runs(" ".join(str(row.get(k, "")) for k in ("Body", "Question", "question")))
    }


def _text_runs(text: str, length: int = 8) -> set[str]:
    words = ["0" if word.isdigit() else word for word in re.findall(r"\w+", text.lower())]
    return {" ".join(words[at : at + length]) for at in range(len(words) - length + 1)}


def test_generators_are_functions_of_seed_and_index() -> None:
    for make in data.TASKS.values():
        index = Random(1).randrange(1000)
        assert make(7, index) == make(7, index)
