"""From a file in a public format to learned text: curate, pre-flight, three steps, and the text that was learned.

Each file also has a row that cannot be used; it is in `dropped.jsonl`, and nothing of it is learned.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import z1
from tests.train import small, small_sft
from z1.train.token_cache import EncodedDataset

COUNT = 9


def turns(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"ask {number}"}, {"role": "assistant", "content": f"say {number}"}]


FORMATS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "messages": (
        lambda n: {"messages": [{"role": "system", "content": "Be brief."}, *turns(n)]},
        {"messages": None},
        "",
    ),
    "sharegpt": (
        lambda n: {"conversations": [{"from": "human", "value": f"ask {n}"}, {"from": "gpt", "value": f"say {n}"}]},
        {"conversations": [{"from": "gpt", "value": "hidden"}, {"from": "human", "value": "hidden"}]},
        "",
    ),
    "alpaca": (
        lambda n: {"instruction": "ask", "input": str(n), "output": f"say {n}"},
        {"instruction": None, "input": "hidden", "output": "hidden"},
        "",
    ),
    "r1": (
        lambda n: {"question": f"ask {n}", "response": f"<think>\nplan {n}\n</think>\n\nsay {n}"},
        {"question": "hidden", "response": "<think>\nhidden"},
        "plan {n}\n\n",
    ),
    "openr1": (
        lambda n: {"problem": f"ask {n}", "generations": [f"<think>plan {n}</think>say {n}"], "answer": n},
        {"problem": "hidden", "generations": "hidden?", "answer": ["hidden"]},
        "plan {n}\n\n",
    ),
}
"""Name -> a row by number, a row that cannot be used, and the thought that is learned before the answer."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_public_format_is_curated_checked_and_learned(name: str, tmp_path: Path) -> None:
    make, defect, thought = FORMATS[name]
    data = "".join(json.dumps(row) + "\n" for row in [*map(make, range(COUNT)), defect])
    (tmp_path / "data.jsonl").write_text(data)
    base = small_sft.save_base(tmp_path / "base")
    plan = '[[source]]\npath = "data.jsonl"\non_error = "drop"\n[check]\nrepetition = 1\n'
    (tmp_path / "plan.toml").write_text(f'name = "made"\n{plan}[tokens]\ntokenizer = "base"\n')
    assert z1("curate", "plan.toml", cwd=tmp_path).returncode == 0
    dropped = (tmp_path / "runs" / "made" / "dataset" / "dropped.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"].rpartition(":")[2] for line in dropped] == [str(COUNT + 1)]

    sizes = "max_length = 256\nmicro_tokens = 256\nbatch_samples = 3\nepochs = 1.0\nlearning_rate = 1e-3\nsteps = 3\n"
    finetune = f'[finetune]\nprofile = "z1"\ndata = "runs/made/dataset"\nprecision = "float32"\n{sizes}'
    evaluate = "[evaluate]\nproblems = 1\nthinking_budgets = [0]\nmax_answer_tokens = 4\n"
    recipe = f'name = "learned"\nbase = "{base}"\n{finetune}{evaluate}[report]\ntitle = "learned"\n'
    (tmp_path / "recipe.toml").write_text(recipe)
    preflight = z1("train", "recipe.toml", "--preflight", cwd=tmp_path)
    assert preflight.returncode == 0, preflight.stderr
    assert f"{COUNT} to train on" in preflight.stdout
    assert z1("train", "recipe.toml", cwd=tmp_path).returncode == 0
    assert learned(tmp_path / "runs" / "learned") == {
        f"{thought.format(n=number)}say {number}" for number in range(COUNT)
    }


def learned(run: Path) -> set[str]:
    """The texts with loss in the encoded rows of a run, without the end token."""
    (folder,) = run.glob("encode-*/rows")
    rows = EncodedDataset.read(folder).rows
    texts = set()
    for first, last in zip(rows.starts[:-1], rows.starts[1:], strict=True):
        token_ids = rows.token_ids[first:last][rows.loss_mask[first:last]].tolist()
        assert token_ids[-1] == small.tokenizer().eos_token_id
        texts.add(str(small.tokenizer().decode(token_ids[:-1])))
    return texts
