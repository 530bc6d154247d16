"""A program with lm-eval: a ladder and one run per budget, compared; prints JSON.

python tests/integrations/lm_eval_check.py PROBLEMS FOLDER BUDGET,BUDGET,... [GSM8K_FILE MODEL [ALONE,ALONE,...]]

With a file of GSM8K (gzipped JSONL, as the hub has it) the task is lm-eval's own gsm8k without examples. With a third
list only these budgets are evaluated alone, the largest first.
"""

from __future__ import annotations

import gzip
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import lm_eval.tasks

from z1.benchmarks import LoadOptions, get_benchmark
from z1.integrations.ladder import budget_name, parse_budgets
from z1.integrations.lm_eval_model import Z1LM, run

SETTINGS: dict[str, Any] = {"max_model_len": 512, "deterministic": True}
GSM8K_SETTINGS = {"max_model_len": 384, "deterministic": True, "answer_kind": "number", "max_num_seqs": 128}


def programs(count: int, folder: Path) -> tuple[Path, str, str]:
    """A task of programs, and the names of its metric, here and in the evaluation that z1 writes."""
    problems = get_benchmark("programs").load(count, 0, LoadOptions())
    lines = [json.dumps({"question": one.question, "answer": one.answer}) for one in problems]
    steps = [
        {"function": "regex", "regex_pattern": r"(?:boxed\{)?([^{}]*)\}\.", "group_select": -1},
        {"function": "take_first"},
    ]
    task = {
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\n\n\n"], "do_sample": False, "max_gen_toks": 64},
        "filter_list": [{"name": "boxed", "filter": steps}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    return write(folder, task, lines), "exact_match,boxed", "exact_match,boxed"


def gsm8k(count: int, folder: Path, file: str) -> tuple[Path, str, str]:
    """lm-eval's gsm8k on the first problems of `file`, and its metric's names; z1's is the first filter's."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        lines = [line.strip() for line in islice(opened, count)]
    own = Path(lm_eval.tasks.__file__).parent / "gsm8k" / "gsm8k.yaml"
    until = {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "max_gen_toks": 12}
    unused = dict.fromkeys(("dataset_name", "training_split", "fewshot_split"))
    return (
        write(folder, {"include": str(own), **unused, "num_fewshot": 0, "generation_kwargs": until}, lines),
        "exact_match,flexible-extract",
        "exact_match,strict-match",
    )


def write(folder: Path, task: dict[str, Any], lines: list[str]) -> Path:
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    local = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}}
    path = folder / "task.yaml"
    path.write_text(json.dumps({"task": "checked", "test_split": "test", **task, **local}), encoding="utf-8")
    return path


def main(count: int, folder: Path, given: str, file: str = "", name: str = "z1-tiny", alone: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    task, metric, written_metric = gsm8k(count, folder, file) if file else programs(count, folder)
    settings, budgets = GSM8K_SETTINGS if file else SETTINGS, parse_budgets(given)
    model = Z1LM(name, given, **settings)
    results, (written,) = run(model, [str(task)], folder / "ladder", bootstrap_iters=0)
    scores = {one: results["results"]["checked"][f"{metric}@{budget_name(one)}"] for one in budgets}
    own = {one: results["results"]["checked"][f"{written_metric}@{budget_name(one)}"] for one in budgets}
    points = json.loads((written / "curve.json").read_text("utf-8"))["points"]
    found: dict[str, Any] = {
        "sweep": model.paid.thinking,
        "scores": {budget_name(one): score for one, score in scores.items()},
        "equal_points": sum(bool(point["accuracy"][1] == own[point["thinking_budget"]]) for point in points),
        **dict.fromkeys(("rows", "equal_rows", "budgets", "equal_scores"), 0),
    }
    for budget in reversed(parse_budgets(alone or given)):
        one = Z1LM(name, budget_name(budget), ladder=model._ladder, **settings)
        other, _ = run(one, [str(task)], folder / budget_name(budget), bootstrap_iters=0)
        place = budgets.index(budget)
        found["rows"] += len(one.attempts)
        found["equal_rows"] += sum(
            attempts[0].token_ids == model.attempts[key][place].token_ids for key, attempts in one.attempts.items()
        )
        found["budgets"] += 1
        found["equal_scores"] += int(other["results"]["checked"][f"{metric}@{budget_name(budget)}"] == scores[budget])
        found.setdefault("free", one.paid.thinking)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    count, folder, *rest = sys.argv[1:]
    main(int(count), Path(folder), *rest)
