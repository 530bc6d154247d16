"""Rows become candidates, lists several; problems are identified by id or by text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from z1.curate import filters, sources, verification
from z1.curate.plan import CheckSettings, SourceSettings
from z1.errors import UserError
from z1.grading import Verdict


def read(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> list[sources.Candidate]:
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(sources.read(SourceSettings(path=str(path), **settings)))


def test_a_row_of_the_published_format_is_read_completely(tmp_path: Path) -> None:
    row = {"id": "7", "question": "Q?", "response": "R.", "token_num_qwen": 25}
    columns = {"id": "id", "question": "question", "response": "response", "tokens": "token_num_qwen"}
    (found,) = read(tmp_path, [row], columns=columns, licence="MIT", revision="b1094ba6", origin="107K")
    assert (found.id, found.problem, found.question, found.response, found.tokens) == ("7", "7", "Q?", "R.", 25)
    assert (found.origin, found.licence, found.revision) == ("107K", "MIT", "b1094ba6")


def test_a_list_gives_several_trajectories_of_one_problem(tmp_path: Path) -> None:
    row = {"task": "t", "q": "Q", "traces": ["a", "b", "c"], "ok": [1, 0], "meta": {"hard": 3}}
    columns = {"id": "task", "question": "q", "response": "traces", "passed": "ok", "difficulty": "meta.hard"}
    found = read(tmp_path, [row], name="long", columns=columns)
    assert [(one.id, one.response, one.passed) for one in found] == [
        ("long:t:0", "a", True),
        ("long:t:1", "b", False),
        ("long:t:2", "c", None),
    ]
    assert {(one.problem, one.difficulty) for one in found} == {("t", "3")}


def test_without_ids_the_same_text_is_the_same_problem(tmp_path: Path) -> None:
    rows = [{"question": "What  is X?", "response": "1"}, {"question": "what is\nx?", "response": "2"}]
    found = read(tmp_path, rows, columns={"question": "question", "response": "response"})
    assert len({one.problem for one in found}) == 1
    assert len({one.id for one in found}) == 2


def test_a_join_by_text_brings_two_sources_together(tmp_path: Path) -> None:
    columns = {"id": "id", "question": "question"}
    (one,) = read(tmp_path, [{"id": "a", "question": "Q one"}], columns=columns, join="text")
    (two,) = read(tmp_path, [{"id": "b", "question": "q  ONE"}], columns=columns, join="text")
    assert one.problem == two.problem and one.id != two.id


def test_a_missing_column_is_an_error_that_lists_the_columns(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="columns id, prompt"):
        read(tmp_path, [{"id": "a", "prompt": "Q"}])


def test_a_column_may_be_a_path_into_a_list(tmp_path: Path) -> None:
    row = {"q": "Q", "talk": [{"value": "Q"}, {"value": "R"}]}
    (one,) = read(tmp_path, [row], columns={"question": "q", "response": "talk.1.value"})
    assert one.response == "R"
    with pytest.raises(UserError, match=r"column talk\.2\.value"):
        read(tmp_path, [row], columns={"question": "q", "response": "talk.2.value"})


def test_a_later_exchange_of_a_conversation_is_dropped_with_the_reason(tmp_path: Path) -> None:
    turns = [{"role": role, "content": role} for role in ("user", "assistant") * 2]
    (tmp_path / "t.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    found = list(sources.read(SourceSettings(path=str(tmp_path / "t.jsonl"))))
    assert [one.left_out for one in found] == ["", sources.LATER_TURN] and found[0].question == "user"


def test_files_of_a_folder_are_selected_by_pattern(tmp_path: Path) -> None:
    for name in ("train-1.jsonl", "train-0.jsonl", "test.jsonl"):
        (tmp_path / name).write_text(json.dumps({"id": name, "question": "Q"}) + "\n")
    found = sources.read(SourceSettings(path=str(tmp_path), files="train-*.jsonl"))
    assert [one.id for one in found] == ["train-0.jsonl", "train-1.jsonl"]
    with pytest.raises(UserError, match="no dev"):
        list(sources.read(SourceSettings(path=str(tmp_path), files="dev-*.jsonl")))


@pytest.mark.parametrize("kind", ["programs", "word-problems"])
def test_a_synthetic_task_is_a_source_with_trajectories(kind: Any) -> None:
    source = SourceSettings(synthetic=kind, problems=20, steps=(2, 6), levels=("direct", "full"), seed=4)
    found = list(sources.read(source))
    assert len(found) == 40 and found == list(sources.read(source))
    short, long = found[:2]
    assert (short.problem, short.question, short.difficulty) == (long.problem, long.question, long.difficulty)
    assert (short.id, long.level, long.end) == (f"{short.problem}:direct", "full", "stop")
    assert len(short.response) < len(long.response) and long.response.endswith(short.response)
    assert {filters.drop_reason(one, CheckSettings(passed=True)) for one in found} == {""}
    assert {verification.grade_answer(one).verdict for one in found} == {Verdict.RIGHT}
    assert {int(one.difficulty) for one in found} == {2, 3, 4, 5, 6}
    bare = list(sources.read(source.model_copy(update={"levels": ()})))
    assert [one.id for one in bare] == [one.problem for one in found[::2]]
    assert {one.response for one in bare} == {""}


def test_a_source_is_either_a_table_or_synthetic() -> None:
    for settings in (
        {},
        {"path": "t.jsonl", "synthetic": "word-problems"},
        {"hub": "leetcode", "synthetic": "programs"},
    ):
        with pytest.raises(ValueError, match="give a source either a table"):
            SourceSettings.model_validate(settings)
