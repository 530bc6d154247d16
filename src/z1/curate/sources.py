"""Sources: reads tables into candidates.

Each row gives a problem, or a problem with one or more trajectories (`z1.dataset_rows`). A row that cannot be used ends
the run, or, with `on_error = "drop"`, becomes a candidate that is dropped with the reason, as does every row that has
nothing to learn from. Origin, licence and revision stay with every row.
A row without a problem id gets one from the text of its question, which also joins a dataset without labels (the
published Z1-Code-Reasoning-107K: https://huggingface.co/datasets/efficientscaling/Z1-Code-Reasoning-107K) to its
source. A synthetic task is a source whose teacher is the Python interpreter. Downloads are in `known_datasets.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from operator import attrgetter
from os.path import basename
from typing import Any

from z1 import synthetic
from z1.curate.finish_reasons import finish_reason
from z1.curate.plan import SourceSettings
from z1.curate.reasoning_level import derive_level
from z1.dataset_rows import DatasetSample, read_samples, thoughts
from z1.records import Record
from z1.surrogates import encode_for_hash

LATER_TURN = "a later exchange of a conversation"
"""Why a well-formed sample is dropped: a curated row is a single question."""


@dataclass(frozen=True, slots=True)
class Candidate(Record):
    """A trajectory that may become a row; without a `response` it is a problem for the teacher.

    `problem` is the problem's id, `reference` its known answer, `end` the finish reason, `passed` whether the source
    reports that the tests passed. `tests` is the code of the problem's tests, `entry` the name they call, and `setup`
    code to run before a program. `left_out` is the reason why a row of a source gives no example. The six fields
    before it are measures (`measure.py`). "" and None mean unknown.
    """

    id: str
    problem: str
    question: str
    response: str = ""
    reference: str = ""
    difficulty: str = ""
    level: str = ""
    sample: int = 0
    end: str = ""
    passed: bool | None = None
    origin: str = ""
    licence: str = ""
    revision: str = ""
    tests: str = ""
    entry: str = ""
    setup: str = ""
    tokens: int | None = None
    repetition: float | None = None
    verdict: str = ""
    fault: str = ""
    minhash: str = ""
    answer: str = ""
    left_out: str = ""

    def with_values(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate with some fields replaced: `dataclasses.replace` in a third of the time."""
        changed = list(_values(self))
        for name, value in values.items():
            changed[_POSITIONS[name]] = value
        return Candidate(*changed)


_POSITIONS = {field.name: position for position, field in enumerate(fields(Candidate))}
_values = attrgetter(*_POSITIONS)


def normalise(text: str) -> str:
    """Text in lower case with white space as single spaces."""
    return " ".join(text.lower().split())


def fingerprint(text: str) -> str:
    """16 hexadecimal digits of the hash of the normalised text."""
    return sha256(encode_for_hash(normalise(text))).hexdigest()[:16]


def read(source: SourceSettings) -> Iterator[Candidate]:
    """The candidates of a source, in order, at least one for each row. Raises UserError for a row that cannot be used,
    with its file, number and column, unless the source drops such rows.
    """
    if source.synthetic:
        yield from _from_synthetic(source)
        return
    origin = source.origin or basename(source.path)
    for place, found in read_samples(source.table_files().train, source.table_settings()):
        if isinstance(found, str):
            name = f"{source.name or place.file.name}:{place.number}"
            yield Candidate(id=name, problem=name, question="", tokens=0, origin=origin, left_out=found)
        else:
            yield from (_candidate(source, sample, place.position, origin) for sample in found)


def _from_synthetic(source: SourceSettings) -> Iterator[Candidate]:
    """Problems of a synthetic task with a trajectory at each level, or without levels no response."""
    request = synthetic.DatasetRequest(source.problems, "train", *source.steps, source.seed, source.synthetic)
    for found in synthetic.collect(request):
        problem = found.problem
        for level in source.levels or ("",):
            yield Candidate(
                id=f"{problem.id}:{level}".rstrip(":"),
                problem=problem.id,
                question=problem.question,
                response=found.thoughts[level] + found.answer if level else "",
                reference=problem.answer,
                difficulty=str(problem.steps),
                level=level,
                end="stop" if level else "",
                passed=True if level else None,
                origin=source.origin,
                licence=source.licence,
            )


def _candidate(source: SourceSettings, sample: DatasetSample, position: int, origin: str) -> Candidate:
    problem = sample.id or fingerprint(sample.question)
    name = f"{source.name}:{problem}".lstrip(":") if sample.id else f"{source.name or problem}:{position}"
    response = thoughts.join(sample.thought, sample.response, tags=source.think_tags)
    left_out = sample.left_out or LATER_TURN * bool(sample.history)
    return Candidate(
        id=name if sample.number is None else f"{name}:{sample.number}",
        problem=fingerprint(sample.question) if source.join == "text" else problem,
        question=sample.question,
        response=response,
        reference=sample.reference,
        difficulty=sample.difficulty,
        level=sample.level or source.level or derive_level(response, source.derive),
        sample=sample.number or 0,
        end=finish_reason(sample.end),
        passed=sample.passed,
        tests=sample.tests,
        entry=sample.entry,
        setup=sample.setup,
        tokens=0 if left_out else sample.tokens,
        left_out=left_out,
        origin=origin,
        licence=source.licence,
        revision=source.revision,
    )
