"""Recorded requests are replayed at thinking budgets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import Fault, UserError
from z1.evaluate import Sweep, evaluate, read_attempts
from z1.evaluate.conversations import conversation_benchmark
from z1.evaluate.replay import ReplaySavings, load_requests, savings
from z1.profiles import HINT, get_profile
from z1.records import Attempt

ANSWERS = {"one": ("1", "1"), "two": ("2", "9"), "three": ("3", "3"), "four": ("4", "4")}
"""What each says after full thinking, and when it is shifted."""

REPLIES = {q: f"it is {full}, I think\n\nThe final answer is \\boxed{{{full}}}." for q, (full, _) in ANSWERS.items()}
SCRIPT = Script(
    REPLIES, {q: f"{short}}}." for q, (_, short) in ANSWERS.items()}, HINT + get_profile("z1-tiny").answer_prefix
)


def written(folder: Path, lines: list[object]) -> Path:
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def asked(question: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": question}]}


def replayed(folder: Path) -> list[Attempt]:
    path = written(folder, [asked(question) for question in ANSWERS])
    bench = conversation_benchmark("traffic")
    setting = Sweep(ScriptedEngine(SCRIPT, profile="z1-tiny"), bench, (6, 500), 40)
    asyncio.run(evaluate(setting, load_requests(path), folder, 2, lambda _: None))
    return list(read_attempts(folder).values())


def test_what_windows_save_and_change(tmp_path: Path) -> None:
    short, long = savings(replayed(tmp_path), price_per_mtok=10.0)
    assert (short.thinking_budget, short.requests, short.missing, short.shifted) == (6, 4, 0, 1.0)
    assert short.changed[1] == 0.25 and short.changed[0] > 0  # the second one's answer
    assert short.thinking_tokens[1] == 6 and 0.6 < short.thinking_saved[1] < 0.8
    assert short.cost_saved is not None and short.cost_saved[1] == pytest.approx(short.paid_tokens_saved[1] / 100)
    assert (long.changed[1], long.thinking_saved[1], long.paid_tokens_saved[1], long.shifted) == (0, 0, 0, 0)


def test_missing_requests_are_counted_and_left_out(tmp_path: Path) -> None:
    attempts = replayed(tmp_path)
    attempts[0] = replace(attempts[0], verdict="missing", token_ids=[], spans=[], texts=[])
    rows = {row.thinking_budget: row for row in savings(attempts)}
    lost: ReplaySavings = rows[6] if attempts[0].thinking_budget == 6 else rows[500]
    assert (lost.requests, lost.missing, lost.cost_saved) == (3, 1, None)
    with pytest.raises(Fault, match="every request is missing"):
        savings([replace(attempt, verdict="missing") for attempt in attempts])
    with pytest.raises(Fault, match="both at a budget and without one"):
        savings([])


def test_one_request_that_is_too_long_is_one_missing_request(tmp_path: Path) -> None:
    problems = load_requests(written(tmp_path, [*map(asked, ANSWERS), asked("x" * 9000)]))
    engine = ScriptedEngine(SCRIPT, profile="z1-tiny", max_model_len=4096)
    sweep = Sweep(engine, conversation_benchmark("traffic"), (6, 500), 40)
    asyncio.run(evaluate(sweep, problems, tmp_path, 2, lambda _: None))
    assert [(row.requests, row.missing) for row in savings(read_attempts(tmp_path).values())] == [(4, 1), (4, 1)]


def test_a_file_without_a_final_line_end_is_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path, [asked("q"), asked("r")])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(load_requests(path)) == 2
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="line 2"):
        load_requests(path)


def test_both_kinds_of_files(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    batch = {"custom_id": "7", "body": {"messages": [{"role": "user", "content": parts}]}}
    one, other = load_requests(written(tmp_path, [asked("q"), batch]))
    assert json.loads(one.question)[-1] == {"role": "user", "content": "q"}
    assert json.loads(other.question) == [{"role": "user", "content": "ab"}]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"prompt": "q"}, "line 2, messages"),
        ({"messages": []}, "line 2, messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "line 2, content"),
        ({"messages": [{"content": "q"}]}, "line 2"),
        ([1], "line 2"),
    ],
)
def test_a_line_that_cannot_be_replayed_is_named(tmp_path: Path, line: object, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load_requests(written(tmp_path, [asked("q"), line]))


def test_no_requests(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_requests(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="none"):
        load_requests(written(tmp_path, []))
