"""The datasets of the study: training rows of every arm, and held-out problems.

    python -m experiments.smol.data --gsm8k gsm8k_train.jsonl.gz --svamp svamp.jsonl.gz --gsm8k-test gsm8k_test.jsonl.gz

writes `experiments/smol/data/ARM.jsonl` and `heldout-*.jsonl`, which are not committed and have the same bytes on every
machine (`unrelated.jsonl` on every machine with the same Python). A row has the columns question, thought, response,
level and steps. Without `--gsm8k` the arms that use it are left out; without the others, the problems of SVAMP and of
GSM8K's test set.

Every arm has the same problems; arms differ in the level of each problem's thought. `LEVELS` chooses it.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from random import Random
from typing import Any

from experiments.smol import code_thoughts, programs, tracing, word_problems
from z1.runs import atomic_file
from z1.synthetic.program_hash import hash_program, split_of

FOLDER = Path(__file__).parent / "data"

LEVELS = ("direct", "brief", "full", "long")
MIN_STEPS, MAX_STEPS = 1, 8
TEST_SHARE = 0.1
SEED = 5

TRAIN_PROBLEMS = 6_000
"""Problems of each task to train on; a run sees a part, chosen by its seed."""

CHOICE_PROBLEMS, RESULT_PROBLEMS = 500, 1_500
"""Held-out problems of each task: on which settings were chosen, and on which the results are measured."""

FORM_ROWS = 300
"""Rows that teach the form of the answer without a calculation; every arm has them."""

TITLE_WORDS, MOST_WORDS = 8, 90
"""Words of a paragraph of unrelated text that are in the question, and with those of the reply."""

NO_THOUGHT = {"thought": "", "level": "direct", "steps": 0}

BRIEF_UP_TO = 4
"""z1: calculations up to which a thought is brief; beyond, it is full. Without a calculation there is none."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """A problem with its thought at every level."""

    id: str
    kind: str
    steps: int
    operations: int
    question: str
    answer: str
    thoughts: dict[str, str]

    def row(self, level: str) -> dict[str, object]:
        """A training row."""
        return {
            "id": self.id,
            "question": self.question,
            "thought": self.thoughts[level],
            "response": format_answer(self.answer),
            "level": level,
            "steps": self.steps,
        }


def format_answer(answer: str) -> str:
    """The text after every thought."""
    return f"The final answer is \\boxed{{{answer}}}."


def program_exercise(seed: int, index: int, max_steps: int = MAX_STEPS) -> Exercise | None:
    """The program at `index` of `seed`; None if it is rejected."""
    kind, source = programs.generate(seed, index)
    run = tracing.trace(source, max_steps)
    if run is None:
        return None
    try:
        thoughts = {level: code_thoughts.write_thought(run, level) for level in LEVELS}
    except code_thoughts.OutOfRange:
        return None
    question = f"What does this Python program print?\n\n```python\n{source}```"
    operations = code_thoughts.count_operations(run)
    return Exercise(hash_program(source), kind, len(run.steps), operations, question, run.printed, thoughts)


def word_exercise(seed: int, index: int, max_steps: int = MAX_STEPS) -> Exercise | None:
    """The word problem at `index` of `seed`; None if it is rejected."""
    made = word_problems.generate(seed, index)
    if made is None or not 1 <= made[1].steps <= max_steps:
        return None
    kind, problem = made
    thoughts = {level: problem.write_thought(level) for level in LEVELS}
    name = word_problems.hash_problem(problem.question)
    return Exercise(name, kind, problem.steps, problem.steps, problem.question, str(problem.answer), thoughts)


Make = Callable[[int, int], Exercise | None]

TASKS: dict[str, Make] = {"code": program_exercise, "words": word_exercise}


def collect(make: Make, split: str, count: int, seed: int) -> Iterator[Exercise]:
    """`count` distinct exercises of a split; no number of steps has more than twice its even share."""
    seen: set[str] = set()
    counts: Counter[int] = Counter()
    most = 2 * count // (MAX_STEPS - MIN_STEPS + 1)
    for index in itertools.count():
        if len(seen) >= count:
            return
        made = make(seed, index)
        if made and made.id not in seen and split_of(made.id, TEST_SHARE) == split and counts[made.steps] < most:
            seen.add(made.id)
            counts[made.steps] += 1
            yield made


def gsm8k_exercises(path: Path) -> Iterator[Exercise]:
    """The problems of GSM8K's train file, with the human rationale as the full thought, and its calculations as the
    brief one. Rationales without a calculation are left out.
    """
    for number, row in enumerate(_read(path)):
        rationale, _, answer = row["answer"].partition("####")
        calculations = re.findall(r"<<([^<>=]+)=([^<>=]+)>>", rationale)
        if calculations:
            full = re.sub(r"<<[^<>]*>>", "", rationale).strip()
            brief = " ".join(f"{left} = {right}." for left, right in calculations)
            long = f"{full}\n{word_problems.CHECK}\n{full}"
            thoughts = {"direct": "", "brief": brief, "full": full, "long": long}
            name, text, count = f"gsm8k-train/{number}", answer.strip().replace(",", ""), len(calculations)
            yield Exercise(name, "gsm8k", count, count, row["question"], text, thoughts)


def form_exercises() -> Iterator[Exercise]:
    """Questions whose answer is in the question."""
    rng = Random("smol form")
    ways = (
        "The answer is {}. What is the answer?",
        "Repeat this as your final answer: {}",
        "Someone says: {}. What does she say?",
        "Copy the following: {}",
    )
    for number in range(FORM_ROWS):
        is_word = rng.random() < 0.3
        answer = rng.choice(programs.WORDS) if is_word else str(rng.randint(0, 200))
        question = rng.choice(ways).format(answer)
        yield Exercise(f"form/{number}", "form", 0, 0, question, answer, dict.fromkeys(LEVELS, ""))


Leveler = Callable[[Sequence[Exercise]], list[str]]
"""Chooses the level of each exercise."""


def by_difficulty(exercises: Sequence[Exercise]) -> list[str]:
    """z1: no thought without a calculation, a brief one for few, and a full one for many."""
    return ["direct" if not e.operations else "brief" if e.operations <= BRIEF_UP_TO else "full" for e in exercises]


def shuffled(exercises: Sequence[Exercise]) -> list[str]:
    """The levels of z1 in a random order: as many of each, without regard to difficulty."""
    levels = by_difficulty(exercises)
    Random("smol shuffled").shuffle(levels)
    return levels


def always(level: str) -> Leveler:
    """The same level for every exercise."""
    return lambda exercises: [level] * len(exercises)


@dataclass(frozen=True, slots=True)
class Arm:
    """The tasks of an arm, the choice of levels, and whether answers are exchanged between questions."""

    tasks: tuple[str, ...]
    level: Leveler
    exchanged: bool = False


CODE, WORDS, BOTH, ALL = ("code",), ("words",), ("code", "words"), ("code", "words", "gsm8k")

ARMS: dict[str, Arm] = {
    "z1-code": Arm(CODE, by_difficulty),
    "full-code": Arm(CODE, always("full")),
    "shuffled-code": Arm(CODE, shuffled),
    "long-code": Arm(CODE, always("long")),
    "short-code": Arm(CODE, always("brief")),
    "direct-code": Arm(CODE, always("direct")),
    "format-code": Arm(CODE, always("direct"), exchanged=True),
    "z1-both": Arm(BOTH, by_difficulty),
    "full-both": Arm(BOTH, always("full")),
    "shuffled-both": Arm(BOTH, shuffled),
    "z1-words": Arm(WORDS, by_difficulty),
    "full-words": Arm(WORDS, always("full")),
    "z1-all": Arm(ALL, by_difficulty),
    "full-all": Arm(ALL, always("full")),
}
"""The arms of the study; plan.md says what each is for."""


def rows(arm: Arm, exercises: dict[str, list[Exercise]]) -> Iterator[dict[str, object]]:
    """The training rows of an arm; those of its tasks alternate."""
    chosen = [exercise for task in arm.tasks for exercise in exercises[task]]
    if arm.exchanged:
        answers = [exercise.answer for exercise in chosen]
        Random("smol exchanged").shuffle(answers)
        chosen = [replace(exercise, answer=answer) for exercise, answer in zip(chosen, answers, strict=True)]
    for exercise, level in zip(chosen, arm.level(chosen), strict=True):
        yield exercise.row(level)
    for exercise in form_exercises():
        yield exercise.row("direct")


def unrelated_rows() -> Iterator[dict[str, object]]:
    """Training rows of another kind, paragraphs of Python's documentation, and as large a share of those that teach the
    form as in the arms.
    """
    number = 0
    for topic, text in sorted(topics.items()):
        for paragraph in text.split("\n\n"):
            words = paragraph.split()
            if len(words) > 2 * TITLE_WORDS and words[0].isalpha():
                title, rest = " ".join(words[:TITLE_WORDS]), " ".join(words[TITLE_WORDS:MOST_WORDS])
                question = f"Continue this text about {topic}: {title}"
                yield {"id": f"text/{number}", "question": question, "response": rest, **NO_THOUGHT}
                number += 1
    for exercise in islice(form_exercises(), number * FORM_ROWS // TRAIN_PROBLEMS):
        yield exercise.row("direct")


def svamp_problems(path: Path) -> Iterator[dict[str, object]]:
    """The problems of SVAMP; `kind` is the same for those whose bodies differ in numbers only."""
    for row in _read(path):
        body, answer = row["Body"].strip(), row["Answer"]
        text = body if body[-1] in ".!?" else f"{body}."
        name = sha256(re.sub(r"\d+(\.\d+)?", "0", body.lower()).encode()).hexdigest()[:8]
        question = f"{text} {row['Question'].strip()}"
        yield {"id": f"svamp/{row['ID']}", "kind": name, "question": question, "answer": f"{answer:g}"}


def gsm8k_problems(path: Path) -> Iterator[dict[str, object]]:
    """The problems of GSM8K's test set."""
    for number, row in enumerate(_read(path)):
        answer = row["answer"].partition("####")[2].strip().replace(",", "")
        yield {"id": f"gsm8k-test/{number}", "kind": "", "question": row["question"], "answer": answer}


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def write_jsonl(path: Path, lines: Iterator[dict[str, object]]) -> int:
    """Write rows; returns how many."""
    count = 0
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count


def write_all(folder: Path, gsm8k: Path | None, svamp: Path | None, gsm8k_test: Path | None) -> Iterator[str]:
    """Write every dataset; yields a line of what was written."""
    for name, path, read in (("svamp", svamp, svamp_problems), ("gsm8k-test", gsm8k_test, gsm8k_problems)):
        if path:
            yield f"{name}: {write_jsonl(folder / f'{name}.jsonl', read(path)):,} problems"
    yield f"unrelated: {write_jsonl(folder / 'unrelated.jsonl', unrelated_rows()):,} rows"
    exercises = {task: list(collect(make, "train", TRAIN_PROBLEMS, SEED)) for task, make in TASKS.items()}
    if gsm8k:
        exercises["gsm8k"] = list(gsm8k_exercises(gsm8k))
    for task, make in TASKS.items():
        held_out = list(collect(make, "test", CHOICE_PROBLEMS + RESULT_PROBLEMS, SEED + 1))
        Random(f"smol {task}").shuffle(held_out)
        for name, part in (("choices", held_out[:CHOICE_PROBLEMS]), ("results", held_out[CHOICE_PROBLEMS:])):
            columns = ("id", "kind", "steps", "question", "answer")
            lines = ({column: getattr(exercise, column) for column in columns} for exercise in part)
            yield f"heldout-{task}-{name}: {write_jsonl(folder / f'heldout-{task}-{name}.jsonl', lines):,} problems"
    for name, arm in ARMS.items():
        if all(task in exercises for task in arm.tasks):
            yield f"{name}: {write_jsonl(folder / f'{name}.jsonl', rows(arm, exercises)):,} rows"


def main() -> None:
    """Write the datasets."""
    parser = argparse.ArgumentParser(description="Write the datasets of the study.")
    parser.add_argument("--gsm8k", type=Path, help="GSM8K's train.jsonl.gz")
    parser.add_argument("--svamp", type=Path, help="SVAMP.jsonl.gz")
    parser.add_argument("--gsm8k-test", type=Path, help="GSM8K's test.jsonl.gz")
    given = parser.parse_args()
    for line in write_all(FOLDER, given.gsm8k, given.svamp, given.gsm8k_test):
        print(line)


if __name__ == "__main__":
    main()
