"""Where do problems and trajectories come from, and which column is what?

A source is a local table and a mapping of its columns; each row gives a problem to be asked, or a problem with one or
more trajectories. Origin, licence and revision stay with every row. A row without an id of its own problem is given
one by the text of its question, which also joins a dataset without labels (the published Z1-Code-Reasoning-107K:
https://huggingface.co/datasets/efficientscaling/Z1-Code-Reasoning-107K) to its source. A built-in world is a source
with a teacher of its own, the interpreter. Does not download (`catalogue.py` does).
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
from z1.curate.reasoning_level import derived
from z1.errors import UserError
from z1.records import Record


@dataclass(frozen=True, slots=True)
class Candidate(Record):
    """A trajectory that may become a row; without a `response` it is a problem that a teacher is to be asked.

    `reference` is the answer that is known to be right ("" where none is), `end` how the reply ended ("" where it is
    not known), `passed` whether its code passed its tests as the source says (None where it does not), `tests` the
    source of its problem's tests, `entry` what they call and `setup` what stands before a program. The last five are
    measures (`measure.py`), None or "" where they were not taken.
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

    def having(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate with other values of some fields; what `dataclasses.replace` does, in a third of its time."""
        given = list(_values(self))
        for name, value in values.items():
            given[_PLACES[name]] = value
        return Candidate(*given)


_PLACES = {field.name: place for place, field in enumerate(fields(Candidate))}
_values = attrgetter(*_PLACES)


def normal(text: str) -> str:
    """Text as it is compared: lower case, white space as single blanks."""
    return " ".join(text.lower().split())


def fingerprint(text: str) -> str:
    """16 hexadecimal digits for what `normal` makes of `text`."""
    return sha256(normal(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read(source: SourceSettings) -> Iterator[Candidate]:
    """The candidates of a source, in order. Raises UserError where a mapped column is not there."""
    if source.synthetic:
        yield from _of_world(source)
        return
    yield from _of_rows(source, chain.from_iterable(map(dataset_io.read, source.paths())))


def _of_world(source: SourceSettings) -> Iterator[Candidate]:
    """Problems of a built-in world; at each level what the interpreter wrote, or without levels no response."""
    wanted = synthetic.DatasetRequest(source.problems, "train", *source.steps, source.seed, source.synthetic)
    for found in synthetic.collect(wanted):
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


def _of_rows(source: SourceSettings, rows: Iterable[Mapping[str, Any]]) -> Iterator[Candidate]:
    of_problem = [(key, read) for key, read in OF_PROBLEM.items() if key in source.columns]
    of_sample = [(key, read) for key, read in OF_SAMPLE.items() if key in source.columns]
    facts: dict[str, Any] = {
        "origin": source.origin or basename(source.path),
        "licence": source.licence,
        "revision": source.revision,
    }
    columns, own_name, by_text = tuple(source.columns.items()), source.name, source.join == "text"
    for number, row in enumerate(rows, 1):
        value = {name: _column(row, column, source.path) for name, column in columns}
        question = str(value["question"])
        problem = str(value.get("id") or fingerprint(question))
        name = f"{own_name or problem}:{number}" if not value.get("id") else f"{own_name}:{problem}".lstrip(":")
        responses = value.get("response", "")
        several = responses if isinstance(responses, list) else [responses]
        common = {key: read(value[key]) for key, read in of_problem}
        for sample, response in enumerate(several):
            text = str(response or "")
            yield Candidate(
                id=f"{name}:{sample}" if isinstance(responses, list) else name,
                problem=fingerprint(question) if by_text else problem,
                question=question,
                response=text,
                level=_text(value.get("level")) or source.level or derived(text, source.derive),
                sample=sample,
                **facts,
                **common,
                **{key: read(_nth(value[key], sample)) for key, read in of_sample},
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


def _only(value: Any) -> str:
    """The one name in a column; "" where it holds several."""
    names = value if isinstance(value, list) else [value]
    return _text(names[0]) if len(names) == 1 else ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _truth(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


OF_PROBLEM: dict[str, Callable[[Any], Any]] = {
    "reference": _text,
    "difficulty": _text,
    "tests": _text,
    "setup": _text,
    "entry": _only,
}
"""Columns that hold for all trajectories of a row, and how each is read."""

OF_SAMPLE: dict[str, Callable[[Any], Any]] = {"end": _text, "passed": _truth, "tokens": _whole}
"""Columns that may hold a value a trajectory."""
