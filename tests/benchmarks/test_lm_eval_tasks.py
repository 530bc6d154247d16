"""Tasks of lm-evaluation-harness as benchmarks: its prompt, its filter, its metric."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from z1.benchmarks import LoadOptions, get_benchmark

PROGRAM = """
import json, sys
from pathlib import Path
from z1.benchmarks import LoadOptions, get_benchmark
from z1.errors import UserError
folder = Path(sys.argv[1])

def write(name, rows, **changes):
    (folder / f"{name}.jsonl").write_text("\\n".join(map(json.dumps, rows)))
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({
        "task": name, "dataset_path": "json", "test_split": "test", "output_type": "generate_until",
        "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
        "doc_to_text": "Q: {{q}}\\nA:", "doc_to_target": "{{a}}",
        "filter_list": [{"name": "last", "filter": [
            {"function": "regex", "regex_pattern": "is (\\\\w+)", "group_select": -1},
            {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}], **changes,
    }))
    return f"lm-eval:{path}"

bench = get_benchmark(write("sums", [{"q": f"{n} + 1?", "a": str(n + 1)} for n in range(3)]))
problems = bench.load(2, 0, LoadOptions())
texts = ("so it is 2", "so it is 9", "hm")
out = {"messages": bench.messages(problems[1]), "count": len(problems),
       "verdicts": [bench.grade(text, problems[1], False).verdict for text in texts]}
for name, rows, changes in (
    ("letters", [{"q": "which?", "a": "C"} for _ in range(12)], {}),
    ("likely", [{"q": "x", "a": "y"}], {"output_type": "loglikelihood"}),
):
    try:
        get_benchmark(write(name, rows, **changes)).load(9, 0, LoadOptions())
    except UserError as error:
        out[name] = str(error)
print(json.dumps(out))
"""


@pytest.mark.slow
def test_a_task_is_asked_and_graded_as_the_harness_does(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["messages"] == [{"role": "user", "content": "Q: 1 + 1?\nA:"}] and found["count"] == 2
    assert found["verdicts"] == ["right", "wrong", "unparsed"]
    assert "the right option at C in all 12 rows" in found["letters"]
    assert "choose a generative task" in found["likely"]


@pytest.mark.parametrize("name", ["lm-eval:gsm8k", "inspect:inspect_evals/gsm8k"])
def test_a_name_with_a_harness_is_a_benchmark_before_anything_is_imported(name: str) -> None:
    row = get_benchmark(name)
    assert (
        row.name == name
        and row.is_conversation
        and row.source == f"task {name.split(':')[1]} of {name.split(':', maxsplit=1)[0]}"
    )
    assert callable(row.load) and LoadOptions() == LoadOptions("")
