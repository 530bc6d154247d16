"""Small evaluation folders, made up, whose numbers are easy to find again."""

import json
from pathlib import Path
from typing import Any

import pytest

from z1.records import Attempt, Problem
from z1.report.load import Evaluation, read

WINDOWS = (0, 32, None)


def problem(number: int, steps: int | None) -> Problem:
    question = f"What does this program print?\n<script>alert({number})</script>\n  print({number})"
    return Problem(f"p{number}", question, str(number), "made up", "straight", steps)


def attempt(number: int, window: int | None, verdict: str = "right", shift: str = "natural") -> Attempt:
    texts = [f"  {number} & <b>\n", "\n\nThe final answer is \\boxed{", f"{number}}}.", "<|im_end|>"]
    buckets = ["thought", "hint", "answer", "stop"]
    if shift == "natural":
        del texts[1], buckets[1]
    spans: list[list[Any]] = [[bucket, at, at + 1] for at, bucket in enumerate(buckets)]
    hint = int(shift != "natural")
    ledger = {"thought": 1, "close": 0, "hint": hint, "answer": 1, "stop": 1, "probe": 0, "phase_one": 1}
    if verdict == "missing":
        spans, texts, ledger = [], [], dict.fromkeys(ledger, 0)
    ids = list(range(len(texts)))
    return Attempt(f"p{number}", window, 0, [1], ids, spans, texts, dict(ledger), "stop", shift, verdict, "", "hash")


def curve(model: str, steps: tuple[int, ...]) -> dict[str, Any]:
    points = [
        {
            "thinking_budget": window,
            "n": 1187 + at,
            "missing": 13 - at,
            "accuracy": [0.2011 + at / 5, 0.3012 + at / 5, 0.4013 + at / 5],
            "thinking_tokens": [10.14 + 20 * at, 11.15 + 20 * at, 12.16 + 20 * at],
            "paid_tokens": [1234.4 + 20 * at, 2345.4 + 20 * at, 3456.4 + 20 * at],
            "phase_one": 17.17 + at,
            "shifted": 0.631 - at / 10,
            "cut": 0.012 + at / 100,
            "unparsed": 0.023 + at / 100,
            **({"truncated_accuracy": [0.011, 0.022 + at / 10, 0.333]} if window else {}),
        }
        for at, window in enumerate(WINDOWS)
    ]
    cells = [
        {
            "thinking_budget": window,
            "steps": step,
            "n": 9,
            "accuracy": [0.1, 0.5, 0.9],
            "thinking_tokens": [step, 2 * step, 3 * step],
        }
        for window in WINDOWS
        for step in steps
    ]
    s1 = {"control": 0.987, "scaling": -12.34, "performance": 0.654}
    names = {"run": f"run-of-{model} evaluate-1a2b", "model": model, "benchmark": "programs", "problems": 1200}
    return {**names, "points": points, "by_steps": cells, "s1": s1}


def make(folder: Path, model: str = "tiny", steps: tuple[int, ...] = (1, 2, 5, 8)) -> Path:
    """A folder with a reply of every kind; without `steps` no problem has a difficulty."""
    folder.mkdir(parents=True, exist_ok=True)
    problems = [problem(number, steps[number % len(steps)] if steps else None) for number in range(8)]
    kinds = (
        ("right", "natural"),
        ("wrong", "budget"),
        ("right", "budget"),
        ("unparsed", "natural"),
        ("missing", "natural"),
    )
    attempts = [
        attempt(number, window, *kinds[(number + at) % 5]) for number in range(8) for at, window in enumerate(WINDOWS)
    ]
    for name, records in (("problems", problems), ("attempts", attempts)):
        text = "".join(json.dumps(one.as_json()) + "\n" for one in records)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "curve.json").write_text(json.dumps(curve(model, steps)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "evaluate-1a2b")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another model, its problems without a difficulty."""
    return make(tmp_path / "evaluate-3c4d", "other <model>", steps=())


@pytest.fixture
def evaluations(folder: Path) -> tuple[Evaluation, ...]:
    return read([folder])
