"""Sources: reads tables into candidates by a mapping of their columns.

Each row gives a problem, or a problem with one or more trajectories. Origin, licence and revision stay with every row.
A row without a problem id gets one from the text of its question, which also joins a dataset without labels (the
published Z1-Code-Reasoning-107K: https://huggingface.co/datasets/efficientscaling/Z1-Code-Reasoning-107K) to its
source. A synthetic task is a source whose teacher is the Python interpreter. Downloads are in `known_datasets.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from itertools import chain
from operator import attrgetter
from os.path import basename
from typing import Any

from z1 import dataset_io, synthetic
from z1.curate.plan import SourceSettings
from z1.curate.reasoning_level import derive_level
from z1.errors import UserError
from z1.records import Record
from z1.surrogates import encode_for_hash


@dataclass(frozen=True, slots=True)
class Candidate(Record):
    """A trajectory that may become a row; without a `response` it is a problem for the teacher.

    `problem` is the problem's id, `reference` its known answer, `end` the finish reason, `passed` whether the source
    reports that the tests passed. `tests` is the code of the problem's tests, `entry` the name they call, and `setup`
    code to run before a program. The last five fields are measures (`measure.py`). "" and None mean unknown.
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
    """The candidates of a source, in order. Raises UserError if a mapped column is missing."""
    if source.synthetic:
        yield from _from_synthetic(source)
        return
    yield from _from_rows(source, chain.from_iterable(map(dataset_io.read, source.paths())))


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


def _from_rows(source: SourceSettings, rows: Iterable[Mapping[str, Any]]) -> Iterator[Candidate]:
    problem_fields = [(key, read) for key, read in PROBLEM_FIELDS.items() if key in source.columns]
    sample_fields = [(key, read) for key, read in SAMPLE_FIELDS.items() if key in source.columns]
    provenance: dict[str, Any] = {
        "origin": source.origin or basename(source.path),
        "licence": source.licence,
        "revision": source.revision,
    }
    columns, prefix, joins_by_text = tuple(source.columns.items()), source.name, source.join == "text"
    for number, row in enumerate(rows, 1):
        value = {name: _column(row, column, source.path) for name, column in columns}
        question = str(value["question"])
        problem = str(value.get("id") or fingerprint(question))
        name = f"{prefix or problem}:{number}" if not value.get("id") else f"{prefix}:{problem}".lstrip(":")
        responses = value.get("response", "")
        samples = responses if isinstance(responses, list) else [responses]
        common = {key: read(value[key]) for key, read in problem_fields}
        for sample, response in enumerate(samples):
            text = str(response or "")
            yield Candidate(
                id=f"{name}:{sample}" if isinstance(responses, list) else name,
                problem=fingerprint(question) if joins_by_text else problem,
                question=question,
                response=text,
                level=_text(value.get("level")) or source.level or derive_level(text, source.derive),
                sample=sample,
                **provenance,
                **common,
                **{key: read(_nth(value[key], sample)) for key, read in sample_fields},
            )


def _column(row: Mapping[str, Any], column: str, path: str) -> Any:
    if column in row:
        return row[column]
    found: Any = row
    for part in column.split("."):
        if isinstance(found, list) and part.isdecimal():
            found = dict(enumerate(found)).get(int(part))
            continue
        if not isinstance(found, Mapping) or part not in found:
            raise UserError(f"column {column} of {path}", f"columns {', '.join(row)}", "correct source.columns")
        found = found[part]
    return found


def _nth(value: Any, sample: int) -> Any:
    if not isinstance(value, list):
        return value
    return value[sample] if sample < len(value) else None


def _single_name(value: Any) -> str:
    """The only name in a column; "" if it holds several."""
    names = value if isinstance(value, list) else [value]
    return _text(names[0]) if len(names) == 1 else ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _optional_bool(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


PROBLEM_FIELDS: dict[str, Callable[[Any], Any]] = {
    "reference": _text,
    "difficulty": _text,
    "tests": _text,
    "setup": _text,
    "entry": _single_name,
}
"""Fields shared by all trajectories of a row, and how each is read."""

SAMPLE_FIELDS: dict[str, Callable[[Any], Any]] = {"end": _text, "passed": _optional_bool, "tokens": _optional_int}
"""Fields that may hold one value per trajectory."""
