"""Soft landing against a hard hint: where thoughts are cut, and what that does to accuracy.

    python bench/landing.py cuts THOUGHTS.jsonl.gz --model MODEL       no model is run: published thoughts are cut
    python bench/landing.py pairs MODEL BENCHMARK --problems 200 --budgets 64 128 256 --data FILE

`cuts` reads rows with `traces`, lists of replies with `</think>`, and cuts each thought at three budgets, at once and
within the grace tokens. `pairs` generates greedily: each arm (the grace tokens alone, or soft tokens as well), and a
hard hint at the budget with the same mean thinking tokens, on the same problems. A cut is inside a sentence or a block
of code by the text that follows it, which the border of a soft landing does not know.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from z1 import LLM, profiles
from z1.benchmarks import get_benchmark
from z1.benchmarks.hub import LoadOptions
from z1.errors import UserError
from z1.evaluate.intervals import share
from z1.evaluate.paired import difference
from z1.families.hints import open_fence
from z1.generation import Reply, builtin_question
from z1.grading import Verdict
from z1.model_files import load_tokenizer
from z1.records import Problem

BUDGETS = (512, 1024, 2048)
SENTENCE_END = re.compile(r"[.!?。！？:;][)\]}>\"'”’*_`$]*$")


def is_inside(thought: str, rest: str) -> bool:
    """Whether a cut between these texts is inside a sentence or a block of code."""
    if open_fence(thought) is not None:
        return True
    line = thought.rpartition("\n")[2].rstrip()
    at_line_end = not line or rest.lstrip(" ").startswith("\n") or not rest
    at_sentence_end = SENTENCE_END.search(line) is not None and (rest[:1].isspace() or thought[-1:].isspace())
    return not (at_line_end or at_sentence_end)


def cuts(path: Path, model: str, graces: Sequence[int]) -> Iterable[dict[str, Any]]:
    """The share of cuts inside a sentence or a block, by budget and grace tokens."""
    tokenizer, profile = load_tokenizer(model), profiles.get_profile("plain")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        traces = [trace.partition("</think>")[0] for line in file for trace in json.loads(line)["traces"]]
    encoded = [tokenizer.encode(trace, add_special_tokens=False) for trace in traces]
    for budget in BUDGETS:
        for grace in (0, *graces):
            landing = profiles.make_landing(tokenizer, profile, 0, grace)
            inside, used = [], []
            for token_ids in (one for one in encoded if len(one) > budget):
                borders = range(budget - grace, budget)
                at = next((n for n in borders if landing is not None and landing.is_border(token_ids[:n])), budget)
                texts = (profiles.decode(tokenizer, part) for part in (token_ids[:at], token_ids[at:]))
                inside.append(is_inside(*texts))
                used.append(at)
            found = share(sum(inside), len(inside))
            mean = sum(used) / len(used)
            yield {"budget": budget, "grace": grace, "cuts": len(inside), "inside": found, "thinking_tokens": mean}


def pairs(options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Each soft arm against a hard hint at the same mean thinking tokens."""
    benchmark = get_benchmark(options.benchmark)
    problems = benchmark.load(options.problems, 1, LoadOptions(data=options.data))
    arms: dict[str, dict[str, int]] = {"grace": {"grace_tokens": options.grace}}
    arms["soft"] = {"grace_tokens": options.grace, "soft_tokens": options.soft}
    with LLM(options.model, max_num_seqs=32, max_model_len=options.context, deterministic=options.deterministic) as llm:
        kind = str(benchmark.answer_kind)
        if benchmark.name == "programs":  # z1-tiny refuses programs that it was not trained on
            problems = [one for one in problems if _is_accepted(one.question)]
        asked = [benchmark.messages(one) for one in problems]

        def run(budget: int | None, **settings: int) -> list[Reply]:
            given: dict[str, Any] = {"thinking_budget": budget, "max_answer_tokens": options.answer, **settings}
            return llm.chat(asked, answer_kind=kind, **given)

        whole = run(max(options.budgets) + options.grace)
        lengths = [one.ledger.thinking_tokens for one in whole]
        for budget in options.budgets:
            for name in options.arms:
                soft = run(budget, **arms[name])
                mean = _mean(one.ledger.thinking_tokens for one in soft)
                equal = min(range(1, budget + 1), key=lambda b: abs(_mean(min(n, b) for n in lengths) - mean))
                hard = run(equal)
                scores = [_scores(benchmark, problems, replies) for replies in (soft, hard)]
                found = difference(scores[0], scores[1])
                yield {
                    "budget": budget,
                    "arm": name,
                    "hard_budget": equal,
                    "thinking_tokens": [mean, _mean(one.ledger.thinking_tokens for one in hard)],
                    "accuracy": [_mean(one.values()) for one in scores],
                    "difference": found.interval,
                    "only": [found.only_ours, found.only_theirs],
                    "inside": [_inside(replies, whole) for replies in (soft, hard)],
                }


def _is_accepted(question: str) -> bool:
    try:
        return bool(builtin_question(question))
    except UserError:
        return False


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _scores(benchmark: Any, problems: Sequence[Problem], replies: Sequence[Reply]) -> dict[str, float]:
    def is_right(problem: Problem, reply: Reply) -> bool:
        text = reply.hint + reply.answer if reply.ledger.hint else reply.text
        return bool(benchmark.grade(text, problem, reply.end == "cut").verdict == Verdict.RIGHT)

    return {one.id: float(is_right(one, reply)) for one, reply in zip(problems, replies, strict=True)}


def _inside(replies: Sequence[Reply], whole: Sequence[Reply]) -> Any:
    """The share of forced answers whose thought was cut inside; one that was nudged has no known continuation."""
    forced = [(one, full) for one, full in zip(replies, whole, strict=True) if one.shift == "budget"]
    found = [
        is_inside(one.thinking, full.thinking[len(one.thinking) :] if full.thinking.startswith(one.thinking) else " ")
        for one, full in forced
    ]
    return share(sum(found), len(found)) if found else None


def main() -> None:
    """Print a line of JSON for each cell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("cuts")
    one.add_argument("path", type=Path)
    one.add_argument("--model", required=True)
    one.add_argument("--grace", type=int, nargs="+", default=[32, 64, 128, 256])
    two = parts.add_parser("pairs")
    two.add_argument("model")
    two.add_argument("benchmark")
    two.add_argument("--data", default="")
    two.add_argument("--budgets", type=int, nargs="+", required=True)
    two.add_argument("--arms", nargs="+", choices=["grace", "soft"], default=["grace", "soft"])
    for name, default in (("problems", 200), ("grace", 64), ("soft", 128), ("answer", 48), ("context", 1024)):
        two.add_argument(f"--{name}", type=int, default=default)
    two.add_argument("--deterministic", action="store_true")
    options = parser.parse_args()
    rows = cuts(options.path, options.model, options.grace) if options.part == "cuts" else pairs(options)
    for row in rows:
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
