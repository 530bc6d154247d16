"""Small logs in the exact shape of other tools' files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


def write_lines(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def lm_eval_rows() -> Rows:
    """`lm_eval --log_samples` 0.4.13: one row per filter and document."""
    return [
        {
            "doc_id": number,
            "doc": {"question": f"q{number}"},
            "target": str(number),
            "arguments": {"gen_args_0": {"arg_0": f"Question: q{number}", "arg_1": {"until": ["</s>"]}}},
            "resps": [[f"<think>work {number}</think>It is {number}."]],
            "filtered_resps": [str(number)],
            "filter": name,
            "metrics": ["exact_match"],
            "doc_hash": "a",
            "exact_match": float(name == "flexible-extract" or number % 2 == 0),
        }
        for name in ("strict-match", "flexible-extract")
        for number in range(4)
    ]


def batch_rows() -> Rows:
    """An output file of OpenAI's batch API: four chat completions, a response, and an expired request."""

    def body(number: int) -> dict[str, Any]:
        message = {"role": "assistant", "content": f"\\boxed{{{number}}}", "reasoning_content": f"think {number}"}
        usage = {"completion_tokens": 40 + number, "completion_tokens_details": {"reasoning_tokens": 30 + number}}
        choice = {"index": 0, "message": message, "finish_reason": "length" if number == 3 else "stop"}
        return {"object": "chat.completion", "model": "r1", "choices": [choice], "usage": usage}

    response = {
        "object": "response",
        "model": "r1",
        "status": "completed",
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "in short"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "\\boxed{4}"}]},
        ],
        "usage": {"output_tokens": 44, "output_tokens_details": {"reasoning_tokens": 34}},
    }
    bodies = [*map(body, range(4)), response]
    rows: Rows = [
        {"id": f"b{n}", "custom_id": str(n), "response": {"status_code": 200, "body": one}, "error": None}
        for n, one in enumerate(bodies)
    ]
    return [*rows, {"id": "b9", "custom_id": "9", "response": None, "error": {"code": "batch_expired"}}]


def livecodebench_rows() -> Rows:
    """Outputs of LiveCodeBench's runner with two samples a problem."""
    return [
        {
            "question_id": f"p{number}",
            "question_content": "sum",
            "output_list": ["```python\nprint(1)\n```"] * 2,
            "code_list": ["print(1)"] * 2,
            "graded_list": [True, number == 0],
            "pass@1": 0.5,
        }
        for number in range(3)
    ]


def inspect_log(path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """An `.eval` file of inspect_ai: a reply with reasoning, one with a text, and a sample that failed."""
    spec = {
        "task": "gsm8k",
        "model": "vllm/r1",
        "model_args": {},
        "model_generate_config": {"reasoning_tokens": 512},
    }
    contents: list[Any] = [
        [{"type": "reasoning", "reasoning": "so 3"}, {"type": "text", "text": "ANSWER: 3"}],
        "<think>hm</think>ANSWER: 4",
    ]
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "status": "success", "eval": spec}))
        for number, content in enumerate(contents):
            choice = {"message": {"role": "assistant", "content": content}, "stop_reason": "stop"}
            sample = {
                "id": number,
                "epoch": 1,
                "input": [{"role": "user", "content": "three?"}],
                "target": "3",
                "output": {"choices": [choice], "usage": {"output_tokens": 9, "reasoning_tokens": 6 + number}},
                "scores": {"match": {"value": "C" if number == 0 else "I"}},
            }
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(sample))
        failed = {"id": 7, "epoch": 1, "input": "x", "target": "1", "error": {"message": "no sandbox"}}
        archive.writestr("samples/7_epoch_1.json", json.dumps(failed))
    return path
