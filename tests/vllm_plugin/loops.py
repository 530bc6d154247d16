"""Planted loops in vLLM: how many the plug-in ends, and after how many tokens.

    PYTHON -m tests.vllm_plugin.loops [COUNT]

PYTHON is an interpreter with vLLM. A second logits processor makes the model write what is planted: random text, then a
block of 1 to 512 tokens again and again, in the thought of every other request and in the answer of the rest. Prints a
line of JSON: how many loops, how many were ended within three periods and 64 tokens, and the rest's periods.
"""

from __future__ import annotations

import json
import sys
from random import Random
from typing import Any

from vllm import LLM, SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor

from z1.model_files import load_tokenizer
from z1.models import shipped
from z1.profiles import HINT

PROMPT, BEFORE, WORDS = [5, 6, 7], 60, range(20, 380)
MODULE = "tests.vllm_plugin.loops"
CERTAIN = 1e4
"""A logit far above the model's own."""


class Planted(LogitsProcessor):  # type: ignore[misc]  # vLLM is not installed for type checks
    """Makes the planted text certain; it never ends by itself."""

    def __init__(self, config: Any, device: Any, is_pin_memory: bool) -> None:
        self._rows: dict[int, tuple[Any, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """False."""
        return False

    def update_state(self, update: Any) -> None:
        """Take the rows of this step."""
        if update is None:
            return
        for row in update.removed:
            self._rows.pop(row, None)
        for row, params, _, token_ids in update.added:
            self._rows[row] = (params.extra_args, token_ids)
        for source, target, direction in update.moved:
            moved, replaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction.name == "SWAP":
                self._rows[source] = replaced

    def apply(self, logits: Any) -> Any:
        """Favour the next planted token."""
        for row, (planted, token_ids) in self._rows.items():
            at, before, block = len(token_ids), planted["before"], planted["block"]
            token = before[at] if at < len(before) else block[(at - len(before)) % len(block)]
            logits[row, token] += CERTAIN
        return logits


def main() -> None:
    """Plant the loops and print what became of them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    rng, folder = Random(1), str(shipped())
    hint = load_tokenizer(folder).encode(HINT, add_special_tokens=False)
    periods = [1 + (number * 512) // count for number in range(count)]
    asked = []
    for number, period in enumerate(periods):
        in_answer = number % 2
        before = [*(hint if in_answer else ()), *rng.choices(WORDS, k=rng.randrange(BEFORE))]
        keys = {"z1_repetition": 1, "z1_thinking_budget": 0 if in_answer else 1900}
        keys["z1_max_answer_tokens"] = 1900 if in_answer else 8
        planted = {"before": before, "block": rng.choices(WORDS, k=period)}
        asked.append(SamplingParams(temperature=0, max_tokens=1990, extra_args={**keys, **planted}))
    path = [f"{MODULE}:Planted", "z1.vllm_plugin:z1-tiny"]
    settings: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 64, "max_model_len": 2000}
    llm = LLM(folder, hf_overrides={"max_position_embeddings": 2000}, logits_processors=path, **settings)
    replies = llm.generate([{"prompt_token_ids": PROMPT}] * count, asked)
    late: list[int] = []
    for number, (reply, params, period) in enumerate(zip(replies, asked, periods, strict=True)):
        token_ids, before = list(reply.outputs[0].token_ids), params.extra_args["before"]
        ends = (at for at in range(len(token_ids)) if token_ids[at : at + len(hint)] == hint)
        end = len(token_ids) if number % 2 else next(ends, len(token_ids))
        if end - len(before) > 3 * period + 64 or len(token_ids) == params.max_tokens:
            late.append(period)
    print(json.dumps({"loops": count, "ended": count - len(late), "late": late}))


if __name__ == "__main__":
    main()
