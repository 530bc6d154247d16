"""Length follows difficulty, with one row per problem; a selection is written atomically."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.curate import LOG, ROWS, select
from z1.curate.training_rows import LEVEL_PROMPTS, level
from z1.errors import UserError
from z1.recipe import CurateSettings
from z1.records import Problem, TrainingRow, TrajectorySet
from z1.runs import Log, read_lines
from z1.synthetic.trajectories import LEVELS

PROPERTY = settings(max_examples=100, deadline=None, derandomize=True)


def thresholds(direct: int, compact: int) -> CurateSettings:
    return CurateSettings(problems=1, direct_up_to=direct, compact_up_to=compact)


def trajectories(name: str, steps: int | None) -> TrajectorySet:
    problem = Problem(name, f"What is {name}?", "7", "programs", "count", steps)
    return TrajectorySet(problem, {level: f"{level} {name}\n\n" for level in LEVELS}, "The answer is 7.", 1, 0)


def log(folder: Path, steps: list[int | None]) -> None:
    with Log(folder / LOG) as file:
        file.add(trajectories(f"p{number}", count).as_json() for number, count in enumerate(steps))


@pytest.mark.parametrize(
    ("steps", "chosen"),
    [(0, "direct"), (1, "direct"), (2, "direct"), (3, "compact"), (4, "compact"), (5, "full"), (12, "full")],
)
def test_a_threshold_belongs_to_the_shorter_level(steps: int, chosen: str) -> None:
    assert level(thresholds(2, 4), steps, 1) == chosen


def test_programs_with_many_operations_are_not_answered_directly() -> None:
    assert [level(thresholds(2, 4), 1, operations) for operations in (0, 1, 2)] == ["direct", "direct", "compact"]


def test_only_the_direct_kinds_are_answered_directly() -> None:
    chosen = CurateSettings(problems=1, direct_up_to=1, direct_kinds=("words",), compact_up_to=12, brief="terse")
    assert [level(chosen, 1, 1, kind) for kind in ("words", "expression")] == ["direct", "terse"]


@pytest.mark.parametrize("name", LEVELS)
def test_a_named_level_is_that_of_all_problems(name: str) -> None:
    chosen = CurateSettings.model_validate({"problems": 1, "level": name, "direct_up_to": 2, "compact_up_to": 4})
    assert {level(chosen, steps, 1) for steps in range(1, 13)} == {name}


@given(direct=st.integers(0, 12), compact=st.integers(0, 12), steps=st.integers(0, 12))
@PROPERTY
def test_a_longer_program_never_gets_a_shorter_level(direct: int, compact: int, steps: int) -> None:
    chosen = thresholds(direct, compact)
    assert LEVELS.index(level(chosen, steps, 1)) <= LEVELS.index(level(chosen, steps + 1, 1))


def test_each_problem_gives_one_row_with_the_thought_of_its_level(tmp_path: Path) -> None:
    log(tmp_path, [1, 5, 3, 2, None])
    counts = select(thresholds(2, 4), tmp_path)
    rows = read_lines(tmp_path / ROWS, TrainingRow.from_json)
    assert counts == {"compact": 1, "direct": 3, "full": 1}
    assert rows == [
        TrainingRow("p0", "What is p0?", "direct p0\n\n", "The answer is 7.", "direct", 1),
        TrainingRow("p1", "What is p1?", "full p1\n\n", "The answer is 7.", "full", 5),
        TrainingRow("p2", "What is p2?", "compact p2\n\n", "The answer is 7.", "compact", 3),
        TrainingRow("p3", "What is p3?", "direct p3\n\n", "The answer is 7.", "direct", 2),
        TrainingRow("p4", "What is p4?", "direct p4\n\n", "The answer is 7.", "direct", None),
    ]


def test_columns_are_those_in_the_documentation(tmp_path: Path) -> None:
    log(tmp_path, [1])
    select(thresholds(2, 4), tmp_path)
    line = json.loads((tmp_path / ROWS).read_text(encoding="utf-8"))
    assert list(line) == ["id", "question", "thought", "answer", "level", "steps"]


def test_selecting_again_gives_the_same_bytes_and_other_thresholds_replace_them(tmp_path: Path) -> None:
    log(tmp_path, [1, 5])
    select(thresholds(2, 4), tmp_path)
    first = (tmp_path / ROWS).read_bytes()
    select(thresholds(2, 4), tmp_path)
    assert (tmp_path / ROWS).read_bytes() == first
    assert select(thresholds(0, 0), tmp_path) == {"full": 2}
    assert (tmp_path / ROWS).read_bytes() != first


def test_a_failed_selection_keeps_the_older_one(tmp_path: Path) -> None:
    log(tmp_path, [1, 5])
    select(thresholds(2, 4), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != LOG}
    with Log(tmp_path / LOG) as file:
        file.add([{"no": "problem"}, trajectories("p9", 1).as_json()])
    with pytest.raises(UserError, match=r"trajectories\.jsonl, line 3"):
        select(thresholds(2, 4), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != LOG} == before


SHARES = {"direct": 1.0, "compact": 1.0, "full": 1.0, "long": 1.0}


def base(**changes: object) -> CurateSettings:
    settings = {"problems": 1, "level": "mixed", "direct_up_to": 4, "shares": SHARES, "each": 2}
    return CurateSettings.model_validate({**settings, **changes})


def test_a_base_model_learns_several_levels_with_their_labels(tmp_path: Path) -> None:
    log(tmp_path, [3] * 200)
    assert set(select(base(), tmp_path)) == set(SHARES)
    rows = read_lines(tmp_path / ROWS, TrainingRow.from_json)
    assert len(rows) == len({(row.id, row.level) for row in rows}) == 400
    assert all(row.question.endswith("\n" + LEVEL_PROMPTS[row.level]) for row in rows)


def test_a_base_model_never_answers_a_long_program_directly_and_some_rows_are_unlabelled(tmp_path: Path) -> None:
    log(tmp_path, [5] * 400)
    assert set(select(base(unlabelled_share=0.5), tmp_path)) == {"compact", "full", "long"}
    rows = read_lines(tmp_path / ROWS, TrainingRow.from_json)
    told = sum("\n" in row.question for row in rows)
    assert 0.4 * len(rows) < told < 0.6 * len(rows)


@pytest.mark.parametrize("order", ["all", "random", "longest", "shortest"])
def test_selected_rows_have_at_most_so_many_characters_in_the_configured_order(tmp_path: Path, order: str) -> None:
    log(tmp_path, [1, 5, 3, 2, 12, 4])
    settings = thresholds(2, 4).model_copy(update={"order": order, "characters": 120})
    select(settings, tmp_path)
    rows = read_lines(tmp_path / ROWS, TrainingRow.from_json)
    sizes = [len(row.thought) for row in rows]
    assert 0 < sum(size + len("The answer is 7.") for size in sizes) <= 120
    assert len(rows) < 6
    if order in ("longest", "shortest"):
        assert sizes == sorted(sizes, reverse=order == "longest")
