"""Small benchmark files in exactly the hub's formats, for tests."""

from __future__ import annotations

import base64
import csv
import json
import pickle
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

Row = dict[str, Any]


def jsonl(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def pack_hidden_tests(cases: Sequence[Row]) -> str:
    """Hidden tests as LiveCodeBench packs them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(list(cases))))).decode()


MATH500: list[Row] = [
    {
        "problem": "What is $1 + 1$?",
        "solution": "It is $\\boxed{2}$.",
        "answer": "2",
        "subject": "Algebra",
        "level": 1,
        "unique_id": "test/algebra/1.json",
    },
    {
        "problem": "Halve one.",
        "solution": "It is $\\boxed{\\frac{1}{2}}$.",
        "answer": "\\frac{1}{2}",
        "subject": "Algebra",
        "level": 5,
        "unique_id": "test/algebra/2.json",
    },
]
GSM8K: list[Row] = [{"question": "A thousand and one?", "answer": "1000 + 1 = <<1000+1=1001>>1001\n#### 1,001"}]
HUMANEVAL: list[Row] = [
    {
        "task_id": "HumanEval/0",
        "prompt": "from typing import List\n\n\ndef total(numbers: List[int]) -> int:\n    '''Their sum.'''\n",
        "canonical_solution": "    return sum(numbers)\n",
        "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n",
        "entry_point": "total",
    }
]
QUESTIONS: list[Row] = [
    {"id": "a", "question": "[2] + [4]?", "answer": "2, 4", "steps": 1, "kind": "lists"},
    {"question": "How much is 1 / 2?", "answer": 0.5},
]
MBPP: list[Row] = [
    {
        "task_id": 11,
        "text": "Write a function to double.",
        "code": "def double(x):\n  return 2 * x",
        "test_list": ["assert double(2) == 4", "assert double(0) == 0", "assert str(double('a')) == 'aa'"],
        "test_setup_code": "",
        "challenge_test_list": [],
    }
]
BCB: list[Row] = [
    {
        "task_id": "BigCodeBench/0",
        "complete_prompt": 'import math\n\ndef task_func(x):\n    """The root of x."""\n',
        "instruct_prompt": "The root of x. Start with:\n```\nimport math\ndef task_func(x):\n```",
        "canonical_solution": "    return math.sqrt(x)",
        "code_prompt": "import math\ndef task_func(x):\n",
        "test": "import unittest\nclass TestCases(unittest.TestCase):\n"
        "    def test_case_1(self):\n        self.assertEqual(task_func(4), 2)\n",
        "entry_point": "task_func",
        "doc_struct": json.dumps({"description": ["The root of x."], "notes": [], "params": ["x (float): what"]}),
        "libs": "['math']",
    }
]
STDIN: Row = {
    "question_title": "Add",
    "question_content": "Add two numbers.",
    "platform": "atcoder",
    "question_id": "abc300_a",
    "contest_id": "abc300",
    "contest_date": "2023-05-06T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": pack_hidden_tests([{"input": "5 6\n", "output": "11\n", "testtype": "stdin"}]),
    "metadata": "{}",
}
FUNCTION: Row = {
    **STDIN,
    "platform": "leetcode",
    "question_id": "3000",
    "contest_date": "2024-09-01T00:00:00",
    "starter_code": "class Solution:\n    def add(self, a: List[int], b: int) -> int:\n        ",
    "public_test_cases": json.dumps([{"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}]),
    "private_test_cases": pack_hidden_tests([{"input": "[]\n1", "output": "1", "testtype": "functional"}]),
    "metadata": json.dumps({"func_name": "add"}),
}


def gpqa(path: Path, count: int = 14) -> Path:
    names = ["Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*names, "Record ID", "High-level domain", "Canary String"])
        writer.writeheader()
        for n in range(count):
            texts = [f'What, "{n}",\nis it?', f" right {n}\n", *(f"wrong {n}.{k}" for k in range(3))]
            writer.writerow(
                {**dict(zip(names, texts, strict=True)), "Record ID": f"rec{n}", "High-level domain": "Physics"}
            )
    return path


def mmlu_pro_rows(count: int = 14) -> list[Row]:
    """Rows of MMLU-Pro with three and ten options in turn."""
    sizes = [10 if n % 2 else 3 for n in range(count)]
    return [
        {
            "question_id": 70 + n,
            "question": f"Which is {n}?",
            "options": [f"option {k}" for k in range(size)],
            "answer": "ABCDEFGHIJ"[n % size],
            "answer_index": n % size,
            "cot_content": "",
            "category": "law" if n < count // 2 else "physics",
            "src": "ori_mmlu",
        }
        for n, size in enumerate(sizes)
    ]


AIME_2024: list[Row] = [{"ID": "2024-I-1", "Problem": "p", "Solution": "s", "Answer": 33}]
AIME: list[Row] = [{"id": "0", "problem": "p", "answer": "033"}]

SAMPLE_FILES: dict[str, Callable[[Path], Path]] = {
    "math500": lambda folder: jsonl(folder / "test.jsonl", MATH500),
    "gsm8k": lambda folder: parquet(folder / "main" / "test-00000-of-00001.parquet", GSM8K),
    "gpqa-diamond": lambda folder: gpqa(folder / "gpqa_diamond.csv"),
    "aime2024": lambda folder: parquet(folder / "aime_2024_problems.parquet", AIME_2024),
    "aime2025": lambda folder: jsonl(folder / "test.jsonl", AIME),
    "aime2026": lambda folder: jsonl(folder / "aime2026.jsonl", AIME),
    "mmlu-pro": lambda folder: parquet(folder / "data" / "test-00000-of-00001.parquet", mmlu_pro_rows()),
    "livecodebench-v6": lambda folder: jsonl(folder / "test.jsonl", [STDIN, FUNCTION]),
    "livecodebench": lambda folder: jsonl(folder / "test.jsonl", [STDIN, FUNCTION]),
    "bigcodebench-hard": lambda folder: parquet(folder / "data" / "v0.1.4-00000-of-00001.parquet", BCB),
    "bigcodebench-hard-complete": lambda folder: parquet(folder / "data" / "v0.1.4-00000-of-00001.parquet", BCB),
    "humaneval": lambda folder: parquet(folder / "openai_humaneval" / "test-00000-of-00001.parquet", HUMANEVAL),
    "questions": lambda folder: jsonl(folder / "questions.jsonl", QUESTIONS),
    "mbpp": lambda folder: parquet(folder / "full" / "test-00000-of-00001.parquet", MBPP),
}
"""By benchmark: a function that writes its file into a folder with the hub's layout and returns the path."""
