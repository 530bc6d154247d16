"""Tests a model on programs of at most two operations: every program of each form, and the share that is right.

    python -m experiments.tiny.small                          # the model in the package; writes small.md
    python -m experiments.tiny.small --model FOLDER --most 200 --output /tmp/small.md

A form with more than `--most` programs is sampled. A program counts as right if the reply of unlimited thinking, at
temperature 0, ends with what the program prints. One forward pass shows whether the model would write the teacher's
reply to the last token; where it would not, the reply is generated and graded.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM

from z1 import LLM, profiles, runs
from z1 import recipe as recipes
from z1.curate.training_rows import level
from z1.evaluate.intervals import share
from z1.grading import extract_boxed
from z1.model_files import load_tokenizer
from z1.models import SHIPPED, shipped
from z1.records import TrainingRow
from z1.synthetic import TEST_SHARE, grammar, program_hash, programs, small_programs
from z1.synthetic.tracer import Trace
from z1.synthetic.trajectories import count_operations, format_answer, format_question, write_thought
from z1.train.encode import Encoder

HERE = Path(__file__).parent
MOST = 1_500
"""Programs of a form that are tested by default; of a form with more, a sample."""
KINDS = ("straight", "branch", "until")
"""The kinds of which some programs of at most two operations are longer than a form; a sample is tested."""
BATCH_TOKENS = 16_000


@dataclass(frozen=True, slots=True)
class Program:
    """A program, what it prints, and the reply of the teacher."""

    source: str
    printed: str
    row: TrainingRow

    @classmethod
    def of(cls, source: str, run: Trace, kind: str) -> Program:
        """The program of a run, with the reply at the level that the recipe of the shipped model chooses."""
        settings = recipes.required_table(recipes.load("tiny").curate, "curate")
        chosen = level(settings, len(run.steps), count_operations(run), kind)
        name = program_hash.hash_program(source)
        thought, answer, steps = write_thought(run, chosen), format_answer(run.printed), len(run.steps)
        row = TrainingRow(name, format_question(source), thought, answer, chosen, steps)
        return cls(source, run.printed, row)


def of_form(form: str, most: int) -> list[Program]:
    """All programs of a form that the shipped model answers, or a sample of `most` of them."""
    rng = Random(form)
    if small_programs.size(form) > 20 * most:
        sources: Iterable[str] = (small_programs.draw(rng, form) for _ in range(8 * most))
    else:
        sources = rng.sample(every := list(small_programs.all_of(form)), len(every))
    return list(islice(_programs(sources, small_programs.FORMS[form]), most))


def of_kind(kind: str, most: int) -> list[Program]:
    """A sample of the programs of a kind that have at most two operations."""
    rng = Random(kind)
    sources = ("\n".join(programs.KINDS[kind](rng)) + "\n" for _ in range(40 * most))
    return list(islice(_programs(sources, kind), most))


def _programs(sources: Iterable[str], kind: str) -> Iterator[Program]:
    for source in dict.fromkeys(sources):
        run = small_programs.run(source, max_steps=12) if grammar.is_answered(source.rstrip("\n")) else None
        if run is not None and count_operations(run) <= 2:
            yield Program.of(source, run, kind)


class Tester:
    """Finds the programs that a model gets wrong."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.encoder = Encoder(load_tokenizer(str(folder)), profiles.get_profile(SHIPPED), 0.0, 0)
        self.llm = LLM(folder, profile=SHIPPED, max_model_len=512)

    def wrong(self, tested: Sequence[Program]) -> list[Program]:
        """The programs that the model gets wrong."""
        unsure = list(self._unlike_the_teacher(tested))
        replies = self.llm.generate([one.source for one in unsure], max_answer_tokens=24) if unsure else []
        return [one for one, reply in zip(unsure, replies, strict=True) if extract_boxed(reply.answer) != one.printed]

    @torch.inference_mode()
    def _unlike_the_teacher(self, tested: Sequence[Program]) -> Iterator[Program]:
        """The programs for which greedy decoding would not write the teacher's reply."""
        by_length = defaultdict(list)
        for one, encoded in zip(tested, self.encoder.encode_rows([one.row for one in tested]), strict=True):
            by_length[len(encoded.token_ids)].append((one, encoded))
        for length, group in by_length.items():
            size = max(1, BATCH_TOKENS // length)
            for batch in (group[start : start + size] for start in range(0, len(group), size)):
                ids = torch.tensor([encoded.token_ids.tolist() for _, encoded in batch])
                learned = torch.tensor([encoded.loss_mask.tolist() for _, encoded in batch])
                predicted = self.model(ids[:, :-1]).logits.argmax(-1)
                same = ((predicted == ids[:, 1:]) | ~learned[:, 1:]).all(1)
                yield from (one for (one, _), is_same in zip(batch, same.tolist(), strict=True) if not is_same)


def rows(tester: Tester, most: int) -> Iterator[tuple[str, str, list[Program], list[Program]]]:
    """For each form and kind: its name, how many programs it has in words, those tested, and those that are wrong."""
    for form in small_programs.FORMS:
        tested = of_form(form, most)
        yield form, "sample" if len(tested) == most else "all", tested, tester.wrong(tested)
    for kind in KINDS:
        tested = of_kind(kind, most // 5)
        yield f"other programs of the kind `{kind}`", "sample", tested, tester.wrong(tested)


def table(tester: Tester, most: int) -> Iterator[str]:
    """The lines of the table."""
    yield "| form | example | tested | right | % | of held-out ones % | wrong, for example |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, which, tested, wrong in rows(tester, most):
        if not tested:
            yield f"| `{_line(name)}` | | refused | | | | |"
            continue
        held_out = [one for one in tested if program_hash.split_of(one.row.id, TEST_SHARE) == "test"]
        right, seen = len(tested) - len(wrong), len(held_out) - len([one for one in held_out if one in wrong])
        low, high = (f"{100 * end:.1f}" for end in share(right, len(tested))[::2])
        cells = (
            _line(name) if name.startswith("other") else f"`{_line(name)}`",
            f"`{_line(tested[0].source)}`",
            f"{which}: {len(tested):,}",
            f"{right:,}",
            f"{100 * right / len(tested):.1f} [{low}, {high}]",
            f"{100 * seen / len(held_out):.1f}" if held_out else "",
            "; ".join(f"`{_line(one.source)}`" for one in wrong[:2]),
        )
        yield f"| {' | '.join(cells)} |"


def _line(source: str) -> str:
    return source.rstrip("\n").replace("\n    ", " ").replace("\n", "; ")


PAGE = """# Programs of at most two operations

Written by `python -m experiments.tiny.small`. A form has slots in braces: digits, names, operations and texts (see
`src/z1/synthetic/small_programs.py`). *all*: every program of the form that is answered, with all values and all names.
*sample*: so many of them, drawn at random. *refused*: the model answers none of them. Right: the reply of unlimited
thinking ends with what the program prints. Intervals are Wilson's, 95 %; for a complete form they say how sure a draw
from it is. Held-out programs are those of the test split: no training has seen them, under any names.

"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Test a model on programs of at most two operations.")
    parser.add_argument("--model", type=Path, default=shipped())
    parser.add_argument("--most", type=int, default=MOST, help="programs of a form; of a form with more, a sample")
    parser.add_argument("--output", type=Path, default=HERE / "small.md")
    given = parser.parse_args()
    lines = []
    for line in table(Tester(given.model), given.most):
        print(line, flush=True)
        lines.append(line)
    runs.write_text(given.output, PAGE + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
