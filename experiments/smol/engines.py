"""Greedy replies of an adapter in z1's local engine, in transformers with PEFT, and in vLLM with LoRA, token by token.

    python -m experiments.smol.engines ADAPTER --vllm-python PYTHON

z1 merges the additions into the base once; PEFT and vLLM compute them beside it. All in float32 on held-out programs
and word problems. Printed as JSON: which replies differ from PEFT's, at which token first, and how far apart PEFT's
two best logits are there. `--write` writes it to engines.json, for the page. PYTHON is an interpreter of an environment
with vLLM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
ENGINES = "engines.json"
"""What `--write` writes, beside the page."""

DATA = ("heldout-code-results", "heldout-words-results")
NEW = 160
"""Maximum tokens of a reply."""

Tokens = list[list[int]]


def local(adapter: Path, prompts: Tokens) -> Tokens:
    """z1's local engine on the merged model."""
    from z1.engines import Engine, Sampling
    from z1.engines.local.engine import LocalSettings, load

    async def reply(engine: Engine, prompt: Sequence[int]) -> list[int]:
        session = await engine.open(prompt, Sampling())
        return list((await session.sample(NEW)).token_ids)

    async def replies() -> Tokens:
        settings = LocalSettings(16, max(map(len, prompts)) + NEW, dtype="float32")
        async with load(str(adapter), settings) as engine:
            return await asyncio.gather(*(reply(engine, prompt) for prompt in prompts))

    return asyncio.run(replies())


def with_peft(model: Any, prompts: Tokens, end: int) -> Tokens:
    """transformers' `generate`, one prompt at a time."""
    import torch

    found = []
    for prompt in prompts:
        row = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, eos_token_id=end)
        found.append(row[0, len(prompt) :].tolist())
    return found


def with_vllm(python: str, adapter: Path, base: Path, prompts: Tokens, end: int) -> Tokens:
    """vLLM with a LoRA request, in an environment of its own."""
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    settings |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"}
    request = {"adapter": str(adapter), "base": str(base), "prompts": prompts, "end": end}
    with TemporaryDirectory() as folder:
        question, answer = Path(folder, "question.json"), Path(folder, "answer.json")
        question.write_text(json.dumps(request), encoding="utf-8")
        command = [python, __file__, "--vllm-arm", str(question), str(answer)]
        subprocess.run(command, check=True, env={**os.environ, **settings}, stdout=sys.stderr)
        found: Tokens = json.loads(answer.read_text(encoding="utf-8"))
        return found


def vllm_arm(question: Path, answer: Path) -> None:
    """What runs in vLLM's environment."""
    from vllm import LLM, SamplingParams, TokensPrompt  # type: ignore[attr-defined, import-not-found, unused-ignore]
    from vllm.lora.request import LoRARequest  # type: ignore[import-not-found, unused-ignore]

    request = json.loads(question.read_text(encoding="utf-8"))
    rank = json.loads(Path(request["adapter"], "adapter_config.json").read_text(encoding="utf-8"))["r"]
    llm = LLM(
        request["base"],
        dtype="float32",
        enforce_eager=True,
        skip_tokenizer_init=True,
        max_model_len=max(map(len, request["prompts"])) + NEW,
        enable_lora=True,
        max_lora_rank=rank,
    )
    params = SamplingParams(temperature=0, max_tokens=NEW, stop_token_ids=[request["end"]], detokenize=False)
    replies = llm.generate(
        [TokensPrompt(prompt_token_ids=prompt) for prompt in request["prompts"]],
        params,
        lora_request=LoRARequest("adapter", 1, request["adapter"]),
        use_tqdm=False,
    )
    answer.write_text(json.dumps([list(one.outputs[0].token_ids) for one in replies]), encoding="utf-8")


def differences(model: Any, prompts: Tokens, wanted: Tokens, found: Tokens, end: int) -> list[dict[str, Any]]:
    """Of each reply that differs: its number, its first different token, and PEFT's margin between the best two."""
    import torch

    different = []
    for at, (prompt, *pair) in enumerate(zip(prompts, wanted, found, strict=True)):
        one, other = ([*reply, end] for reply in pair)
        if _until(one, end) == _until(other, end):
            continue
        first = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt, *one[:first]]])).logits[0, -1]
        best = logits.topk(2).values
        different.append({"reply": at, "token": first, "margin": round(float(best[0] - best[1]), 5)})
    return different


def _until(token_ids: list[int], end: int) -> list[int]:
    return token_ids[: token_ids.index(end)]


def compare(adapter: Path, questions: Sequence[str], vllm_python: str) -> dict[str, Any]:
    """What differs between the engines in their replies to `questions`. One thread each."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from z1 import profiles
    from z1.model_files import find_model, load_tokenizer
    from z1.model_files.adapter import base_folder
    from z1.prompts import prompt_token_ids

    torch.set_num_threads(1)
    base = base_folder(adapter, find_model)
    tokenizer = load_tokenizer(str(adapter))
    end = tokenizer.eos_token_id
    profile = profiles.get_profile("z1-smol")
    prompts = [prompt_token_ids(tokenizer, profile, question) for question in questions]
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter))
    model.eval()
    wanted = with_peft(model, prompts, end)
    found = {"local": local(adapter, prompts)}
    if vllm_python:
        found["vllm"] = with_vllm(vllm_python, adapter, base, prompts, end)
    report = {name: differences(model, prompts, wanted, one, end) for name, one in found.items()}
    return {"replies": len(prompts), "tokens": sum(map(len, wanted)), "different": report}


def held_out(problems: int) -> list[str]:
    """The first `problems` held-out questions of each kind."""
    from z1 import runs

    files = [HERE / "data" / f"{name}.jsonl" for name in DATA]
    return [row["question"] for file in files for row in runs.read_lines(file, dict)[:problems]]


def main() -> None:
    """Compare the engines, or run vLLM's part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path, nargs="?")
    parser.add_argument("--problems", type=int, default=50, help="Problems of each kind.")
    parser.add_argument("--vllm-python", default="")
    parser.add_argument("--write", action="store_true", help="Write engines.json beside the page.")
    parser.add_argument("--vllm-arm", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.vllm_arm:
        vllm_arm(*options.vllm_arm)
    elif options.adapter is None or not (options.adapter / "adapter_config.json").is_file():
        parser.error(f"no adapter {options.adapter}; give a folder with adapter_config.json")
    else:
        found = compare(options.adapter, held_out(options.problems), options.vllm_python)
        print(json.dumps(found))
        if options.write:
            from z1 import runs

            runs.write_json(HERE / ENGINES, found)


if __name__ == "__main__":
    main()
