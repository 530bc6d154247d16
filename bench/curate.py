"""Throughput of `z1 curate`, and of token counting compared with the reference script.

Rows have the published lengths (mean about 1,159 tokens, 25 to 8,169) and consist of lines of Python's standard
library; the tokenizer is a byte-level BPE trained on it. The reference (efficientscaling/Z1, train/preprocess.py)
encodes the question, then question and response together, row by row; z1 encodes each text once, with a per-word cache.
Both encode the same rows with the same fast tokenizer, in alternation, and z1's tokens are compared with the
tokenizer's. `rows_per_s` is all of `z1 curate`: filters, counts, selection, statistics, Parquet; `cached_s` is the same
counts and filters from the cache. `..._cpu` are CPU seconds, for a machine that others use. The last line is JSON.

    bench/curate.py --quick          2,000 rows, under 50 s
    bench/curate.py --rows 107173    the published size
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from z1 import dataset_io
from z1.curate.builder import DatasetBuilder
from z1.curate.plan import CuratePlan
from z1.curate.token_counts import WordEncoder

COLUMNS = {"id": str, "question": str, "response": str}

SHORTEST, LONGEST, MEDIAN, SIGMA = 25, 8169, 800, 0.85

TURNS = 3


def library() -> list[str]:
    """Lines of Python's standard library."""
    folder = Path(statistics.__file__).parent
    files = sorted(folder.glob("*.py"))[:120]
    return [line for path in files for line in path.read_text(encoding="utf-8", errors="replace").splitlines(True)]


def train(lines: list[str], path: Path) -> None:
    """Train a tokenizer of 8,000 tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(lines[:20_000], trainers.BpeTrainer(vocab_size=8000, show_progress=False))
    made.save(str(path))


def rows(count: int, lines: list[str]) -> Iterator[dict[str, str]]:
    """Questions of about 120 tokens, and responses of log-normal lengths."""
    rng = random.Random(0)
    for number in range(count):
        size = min(LONGEST, max(SHORTEST, round(MEDIAN * 2.718281828 ** rng.gauss(0, SIGMA))))
        yield {"id": str(number), "question": text(rng, lines, 120), "response": text(rng, lines, size)}


def text(rng: random.Random, lines: list[str], tokens: int) -> str:
    """Lines of about `tokens` tokens, at three and a half characters each."""
    found, left = [], tokens * 3.5
    while left > 0:
        found.append(rng.choice(lines)[: int(left) + 1])
        left -= len(found[-1])
    return "".join(found)


def ours(sample: list[dict[str, str]], tokenizer: Path) -> Spent:
    """Time of encoding question and response of each row once, in batches, from an empty cache."""
    texts = [row[name] for row in sample for name in ("question", "response")]
    plain = Tokenizer.from_file(str(tokenizer))
    encode = WordEncoder(plain).encode
    token_ids: list[list[int]] = []
    with spent() as took:
        for begin in range(0, len(texts), 512):
            token_ids += encode(texts[begin : begin + 512])
    if token_ids != [one.ids for one in plain.encode_batch_fast(texts, add_special_tokens=False)]:
        raise AssertionError("tokens differ from the tokenizer's")
    return took


def reference(sample: list[dict[str, str]], tokenizer: Path) -> Spent:
    """Time of encoding them as the reference does."""
    encode = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer))
    with spent() as took:
        for row in sample:
            encode(row["question"])
            encode(row["question"] + row["response"])
    return took


@dataclass
class Spent:
    """Wall seconds, and CPU seconds of this process."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure the time of the block."""
    took, wall, cpu = Spent(), time.perf_counter(), time.process_time()
    yield took
    took.wall, took.cpu = time.perf_counter() - wall, time.process_time() - cpu


def bench(count: int, folder: Path) -> dict[str, Any]:
    lines, tokenizer, table = library(), folder / "tokenizer.json", folder / "t.parquet"
    train(lines, tokenizer)
    dataset_io.write(table, rows(count, lines), COLUMNS)
    sample = list(rows(min(count, 2000), lines))
    turns = [(reference(sample, tokenizer), ours(sample, tokenizer)) for _ in range(TURNS)]
    ratios = [slow.wall / quick.wall for slow, quick in turns]
    columns = {"id": "id", "question": "question", "response": "response"}
    facts = {"name": "bench", "source": ({"path": str(table), "columns": columns},)}
    settings = {"tokens": {"tokenizer": str(tokenizer)}, "select": {"budget": count * 690}}
    plan = CuratePlan.model_validate({**facts, **settings})
    with spent() as first:
        made = DatasetBuilder(plan, folder).build()
    with spent() as again:
        cached = sum(one.tokens or 0 for one in DatasetBuilder(plan, folder).candidates())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "encode_over_reference": round(statistics.median(ratios), 2),
        "encode_over_reference_all": [round(ratio, 2) for ratio in ratios],
        "encode_over_reference_cpu": round(statistics.median(slow.cpu / quick.cpu for slow, quick in turns), 2),
        "rows_per_s": round(count / first.wall, 1),
        "cached_s": round(again.wall, 2),
        "cached_cpu": round(again.cpu, 2),
        "peak_mb": round(peak),
        "rows": count,
        "tokens": cached,
        "selected_tokens": made["tokens"],
        "curate_s": round(first.wall, 1),
        "curate_cpu": round(first.cpu, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput of z1 curate.")
    parser.add_argument("--quick", action="store_true", help="2,000 rows")
    parser.add_argument("--rows", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(bench(2_000 if arguments.quick else arguments.rows, Path(name))))


if __name__ == "__main__":
    main()
