"""Logs of other tools become evaluations; what a log does not say is not guessed."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from tests.results.foreign_logs import batch_rows, inspect_log, livecodebench_rows, lm_eval_rows, write_lines
from z1 import results
from z1.errors import UserError
from z1.evaluate import read_attempts
from z1.records import Problem
from z1.results import ImportSettings, import_log
from z1.results.log_reply import verdict_of

WORDS = ImportSettings(count_tokens=lambda text: len(text.split()), tokenizer="words")
GRADED = ImportSettings(grade=lambda name, text, cut: ("right" if f"{{{name}}}" in text else "wrong", ""))


def verdicts(folder: Path) -> dict[tuple[str, int], str]:
    return {(one.problem, one.sample): one.verdict for one in read_attempts(folder).values()}


def test_lm_eval_samples(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "samples.jsonl", lm_eval_rows())
    folder, notes = import_log([path], tmp_path / "a", WORDS)
    assert "metric: exact_match; filter: strict-match of strict-match, flexible-extract" in notes
    assert list(verdicts(folder).values()) == ["right", "wrong", "right", "wrong"]
    (first, *_) = read_attempts(folder).values()
    assert first.texts == ["<think>work 0</think>", "It is 0."] and first.ledger["thought"] == 2
    other, _ = import_log([path], tmp_path / "b", ImportSettings(filter="flexible-extract", count_tokens=len))
    assert set(verdicts(other).values()) == {"right"}
    with pytest.raises(UserError, match="choose one of strict-match, flexible-extract"):
        import_log([path], tmp_path / "c", ImportSettings(filter="none"))


def test_the_names_of_lm_evals_files_say_task_and_model(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "samples_gsm8k_cot_2026-11-30T08-00-00.123456.jsonl", lm_eval_rows())
    for model in ("", "Qwen/Qwen3-8B"):
        if model:
            (tmp_path / "results_2026-11-30T08-00-00.123456.json").write_text(json.dumps({"model_name": model}))
        folder, _ = import_log([path], tmp_path / "runs", WORDS)
        found = json.loads((folder / "curve.json").read_text())
        assert (found["benchmark"], found["model"]) == ("gsm8k_cot", model or path.stem.partition(".")[0])


def test_a_log_without_questions_has_those_of_its_benchmark(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "out.jsonl", batch_rows())
    problems = [Problem(str(number), f"q{number}", str(number), "sums") for number in range(10)]
    folder, _ = import_log([path], tmp_path, replace(GRADED, problems=problems))
    assert [json.loads(line)["question"] for line in (folder / "problems.jsonl").read_text().splitlines()][:2] == [
        "q0",
        "q1",
    ]


def test_a_ladder_of_lm_eval_takes_each_budget_from_its_filter(tmp_path: Path) -> None:
    rows = [
        {**row, "filter": f"none@{budget}", "resps": [["zero", "one", "two"]], "exact_match": float(budget != "0")}
        for budget in ("0", "8", "unlimited")
        for row in lm_eval_rows()[:2]
    ]
    folder, _ = import_log([write_lines(tmp_path / "samples.jsonl", rows)], tmp_path, WORDS)
    found = {(one.problem, one.thinking_budget): (one.texts, one.verdict) for one in read_attempts(folder).values()}
    assert found["1", 0] == (["zero"], "wrong") and found["1", 8] == (["one"], "right")
    assert found["0", None] == (["two"], "right")


def test_openai_batch_needs_a_grader_and_keeps_its_counts(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "out.jsonl", batch_rows())
    with pytest.raises(UserError, match="none in the log; name the benchmark that grades it with --grade-with"):
        import_log([path], tmp_path)
    folder, notes = import_log([path], tmp_path, GRADED)
    assert "requests without a reply: 1, which are missing and not wrong" in notes
    assert [note for note in notes if note.startswith(("replies", "thinking tokens"))] == [
        "replies: 5, 5 with a thought",
        "thinking tokens: of 5 replies from the log",
    ]
    found = {one.problem: one for one in read_attempts(folder).values()}
    assert {name: one.verdict for name, one in found.items()} == {**dict.fromkeys("01234", "right"), "9": "missing"}
    assert (found["2"].ledger["thought"], found["2"].ledger["answer"]) == (32, 10)
    assert (found["3"].end, found["2"].end, found["9"].end) == ("cut", "stop", "aborted")
    assert found["4"].text("thought") == "in short" and found["4"].ledger["thought"] == 34
    assert found["9"].fault == "{'code': 'batch_expired'}"


def test_livecodebench_outputs_have_samples(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "outputs.jsonl", livecodebench_rows())
    folder, notes = import_log([path], tmp_path, WORDS)
    assert verdicts(folder)["p1", 0] == "right" and verdicts(folder)["p1", 1] == "wrong"
    assert "thinking tokens: 0, since the log has neither thoughts nor their counts" in notes
    with pytest.raises(UserError, match="name the tokenizer of the model"):
        import_log([path], tmp_path)


def test_inspect_logs(tmp_path: Path) -> None:
    folder, notes = import_log([inspect_log(tmp_path / "a.eval")], tmp_path)
    assert verdicts(folder) == {("0", 0): "right", ("1", 0): "wrong", ("7", 0): "missing"}
    found = {one.problem: one for one in read_attempts(folder).values()}
    assert found["0"].texts == ["so 3", "ANSWER: 3"] and found["1"].texts == ["<think>hm</think>", "ANSWER: 4"]
    assert {one.thinking_budget for one in found.values()} == {512}
    assert found["1"].ledger["thought"] == 7 and found["1"].ledger["answer"] == 2
    assert "task: gsm8k, status success" in notes
    (tmp_path / "torn.eval").write_bytes((tmp_path / "a.eval").read_bytes()[:200])
    with pytest.raises(UserError, match="give a complete log"):
        import_log([tmp_path / "torn.eval"], tmp_path)


def test_rows_with_columns_of_any_name(tmp_path: Path) -> None:
    rows = [{"qid": n, "cot": "a b", "out": "c", "ok": n > 0, "rt": 5, "ct": 7, "w": -1} for n in range(3)]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError, match="name it with --map problem=COLUMN; the columns are cot, ct, ok"):
        import_log([path], tmp_path)
    columns = {"problem": "qid", "thought": "cot", "answer": "out", "verdict": "ok"}
    columns |= {"thinking_tokens": "rt", "completion_tokens": "ct", "thinking_budget": "w"}
    folder, _ = import_log([path], tmp_path, ImportSettings(columns))
    (first, *_) = read_attempts(folder).values()
    assert (first.thinking_budget, first.ledger["thought"], first.ledger["answer"], first.verdict) == (
        None,
        5,
        2,
        "wrong",
    )
    with pytest.raises(UserError, match="no column nope"):
        import_log([path], tmp_path, ImportSettings({**columns, "verdict": "nope"}))
    with pytest.raises(UserError, match="--map: got gold"):
        import_log([path], tmp_path, ImportSettings({**columns, "gold": "ok"}))


def test_budgets_in_files_of_their_own_become_one_curve(tmp_path: Path) -> None:
    paths = []
    for budget in (16, 64):
        rows = [{"id": n, "thinking": "a", "response": "b", "correct": budget > 16} for n in range(3)]
        paths.append(write_lines(tmp_path / f"{budget}.jsonl", [{**row, "budget": budget} for row in rows]))
    folder, notes = import_log(paths, tmp_path, WORDS)
    curve = json.loads((folder / "curve.json").read_text())
    assert [(point["thinking_budget"], point["accuracy"][1]) for point in curve["points"]] == [(16, 0), (64, 1)]
    assert "thinking budgets: 16, 64" in notes and "replies: 6, 6 with a thought" in notes
    assert len(notes) == len(set(notes))
    with pytest.raises(UserError, match="2 replies to problem 0 at budget 16"):
        import_log([paths[0], paths[0]], tmp_path, WORDS)


def test_an_import_is_in_the_open_format(tmp_path: Path) -> None:
    folder, _ = import_log([write_lines(tmp_path / "b.jsonl", batch_rows())], tmp_path, GRADED)
    check_format(folder)


def check_format(folder: Path) -> None:
    """Every line and file of an evaluation folder fits its schema."""
    for name, file in (("attempt", "attempts.jsonl"), ("problem", "problems.jsonl")):
        for line in (folder / file).read_text("utf-8").splitlines():
            jsonschema.validate(json.loads(line), results.schema(name))
    jsonschema.validate(json.loads((folder / "curve.json").read_text()), results.schema("curve"))
    manifest = json.loads((folder / "stage.json").read_text())
    jsonschema.validate(manifest, results.schema("manifest"))
    assert manifest["results"]["outputs"].keys() == {"attempts.jsonl", "problems.jsonl", "curve.json"}


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        *((value, "right") for value in (True, 1.0, "C", "right")),
        *((value, "wrong") for value in (0.5, "P", "false")),
        *(("N", "unparsed"), ("cut", "cut"), ("maybe", None), ("", None)),
    ],
)
def test_values_of_verdicts(value: object, verdict: str | None) -> None:
    assert verdict_of(value) == verdict


def test_a_log_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        import_log([tmp_path / "none.eval"], tmp_path)
    with zipfile.ZipFile(tmp_path / "empty.eval", "w") as archive:
        archive.writestr("header.json", json.dumps({"eval": {"task": "t", "model": "m"}}))
    with pytest.raises(UserError, match="without a reply"):
        import_log([tmp_path / "empty.eval"], tmp_path)
