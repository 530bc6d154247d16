"""The four benchmarks of the paper are evaluated from end to end.

Once with written answers of known score, once with a model of random weights and a long context.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from tests.benchmarks.sample_files import SAMPLE_FILES
from z1 import evaluate, profiles, report, runs
from z1.benchmarks import Benchmark, LoadOptions, get_benchmark
from z1.engines.local.engine import LocalSettings, load
from z1.engines.protocol import Engine
from z1.engines.scripted import Script, ScriptedEngine
from z1.profiles import Profile
from z1.records import Problem

FOUR = ("math500", "gpqa-diamond", "livecodebench", "bigcodebench-hard")

CODE = {
    "livecodebench": (
        "```python\nprint(sum(map(int, input().split())))\n```",
        "```python\nclass Solution:\n    def add(self, a, b): return 6\n```",
    ),
    "bigcodebench-hard": ("```python\ndef task_func(x):\n    return math.sqrt(x)\n```",) * 2,
}


def problems(name: str, folder: Path, count: int = 2) -> tuple[Benchmark, list[Problem]]:
    SAMPLE_FILES[name](folder)
    row = get_benchmark(name)
    options = LoadOptions(str(folder), release="release_v1" if name == "livecodebench" else "")
    return row, row.load(count, 1, options)


def answers(name: str, asked: list[Problem]) -> list[str]:
    """A right answer for the first problem, and one for the second that is wrong where there is a second."""
    if name in CODE:
        return [CODE[name][number] for number in range(len(asked))]
    other = {"A": "B"}
    return [
        f"\\boxed{{{problem.answer if number == 0 else other.get(problem.answer, 'A')}}}"
        for number, problem in enumerate(asked)
    ]


def run(engine: Engine, name: str, folder: Path, windows: tuple[int, ...], count: int = 2) -> dict[str, Any]:
    row, asked = problems(name, folder / "data", count)
    setting = evaluate.Sweep(engine, row, windows, 100)
    out = folder / "run"
    out.mkdir()
    asyncio.run(evaluate.evaluate(setting, asked, out, 2, lambda attempts: None))
    numbers = evaluate.curve(asked, evaluate.read_attempts(out).values(), {"run": "r", "model": "m", "benchmark": name})
    runs.write_json(out / "curve.json", numbers)
    page = report.write([out], folder / "report", title="four", transcripts=2)
    assert page.stat().st_size > 10_000
    return numbers


@pytest.mark.parametrize("name", FOUR)
def test_written_answers_of_known_score(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        profiles.PROFILES,
        "markers",
        Profile("markers", hint="\n\nso:\n", no_thinking_hint="so:\n", stop_tokens=("\x03",)),
    )
    row, asked = problems(name, tmp_path / "data")
    prompts = [row.messages(problem)[-1]["content"] for problem in asked]
    written = dict(zip(prompts, answers(name, asked), strict=True))
    thoughts = {prompt: f"{'hm ' * 30}\n{answer}" for prompt, answer in written.items()}
    script = Script(thoughts, written, "so:\n")
    numbers = run(ScriptedEngine(script, max_model_len=20_000, profile="markers"), name, tmp_path, (0, 40))
    share = 1 / len(asked)
    assert [point["thinking_budget"] for point in numbers["points"]] == [0, 40, None]
    for point in numbers["points"]:
        assert point["missing"] == 0
        assert point["n"] == len(asked)
        assert point["accuracy"][1] == share, numbers
    zero, forty, free = numbers["points"]
    assert (zero["thinking_tokens"][1], forty["thinking_tokens"][1]) == (0, 40)
    assert (zero["shifted"], forty["shifted"], free["shifted"]) == (1, 1, 0)
    mean = sum(len(text) for text in written.values()) / len(written)
    assert forty["paid_tokens"][1] == pytest.approx(40 + len("...\n\nso:\n") + mean + 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that no thought of theirs ends, and a context of 1,300 ids."""
    folder = tmp_path_factory.mktemp("random")
    torch.manual_seed(0)
    letters = {chr(n): n for n in range(32, 127)} | {"\n": 0, "[stop]": 1, "[unk]": 2}
    plain = Tokenizer(models.WordLevel(letters, unk_token="[unk]"))
    plain.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="[stop]", unk_token="[unk]")
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen2Config(vocab_size=128, intermediate_size=16, max_position_embeddings=1300, eos_token_id=1, **shape)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", FOUR)
def test_random_weights_with_a_long_context(name: str, tmp_path: Path, model: Path) -> None:
    numbers = run(load(str(model), LocalSettings(max_num_seqs=6)), name, tmp_path, (0, 8), 1)
    for point in numbers["points"]:
        assert point["missing"] == 0
        assert point["accuracy"][1] == 0
    assert numbers["points"][1]["thinking_tokens"][1] <= 8
