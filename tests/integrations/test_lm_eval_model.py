"""The ladder in lm-evaluation-harness: each budget equals a run of its own, and its samples come back as attempts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
from pathlib import Path
from z1.benchmarks import LoadOptions, get_benchmark
from z1.integrations.lm_eval_model import Z1LM, budget_name, parse_budgets, run

folder, count, budgets = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
problems = get_benchmark("programs").load(count, 0, LoadOptions())
lines = [json.dumps({"question": one.question, "answer": one.answer}) for one in problems]
(folder / "programs.jsonl").write_text("\\n".join(lines))
task = folder / "programs.yaml"
task.write_text(json.dumps({
    "task": "small_programs", "dataset_path": "json", "test_split": "test", "output_type": "generate_until",
    "dataset_kwargs": {"data_files": {"test": str(folder / "programs.jsonl")}},
    "doc_to_text": "{{question}}", "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\\n\\n\\n"], "do_sample": False, "max_gen_toks": 64},
    "filter_list": [{"name": "boxed", "filter": [
        {"function": "regex", "regex_pattern": "(?:boxed\\\\{)?([^{}]*)\\\\}\\\\.", "group_select": -1},
        {"function": "take_first"}]}],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}))
settings = {"max_model_len": 512, "deterministic": True}
model = Z1LM("z1-tiny", budgets, **settings)
results, (written,) = run(model, [str(task)], folder / "ladder", bootstrap_iters=0)
found = results["results"]["small_programs"]
rows = equal = scores = 0
for place, budget in enumerate(parse_budgets(budgets)):
    alone = Z1LM("z1-tiny", budget_name(budget), ladder=model._ladder, **settings)
    other, _ = run(alone, [str(task)], folder / budget_name(budget), bootstrap_iters=0)
    key = "exact_match,boxed@" + budget_name(budget)
    scores += other["results"]["small_programs"][key] == found[key]
    rows += len(alone.attempts)
    equal += sum(one[0].token_ids == model.attempts[name][place].token_ids for name, one in alone.attempts.items())
curve = json.loads((written / "curve.json").read_text())
same = sum(point["accuracy"][1] == found["exact_match,boxed@" + budget_name(point["thinking_budget"])]
    for point in curve["points"])
print(json.dumps({"rows": rows, "equal_rows": equal, "equal_scores": int(scores), "equal_points": int(same),
    "sweep": model.paid.thinking, "free": alone.paid.thinking}))
"""


@pytest.mark.slow
def test_a_ladder_equals_one_run_per_budget(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path), "6", "0,8,24,unlimited"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == found["equal_rows"] == 24
    assert found["equal_scores"] == found["equal_points"] == 4
    assert 0 < found["sweep"] <= 1.02 * found["free"]
