"""Mapping of fields to columns: reads one row of a table into samples.

A mapping's value is an expression: a column (`question`), a path into an object or list (`meta.difficulty`,
`turns.1.value`), a part of a conversation (`messages[user]`), or several of these joined by blank lines
(`instruction + input?`). A question mark after a place allows rows without it. A list of responses gives a
sample for each; `end`, `passed`, `tokens` and `thought` may be lists beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from z1.dataset_rows import thoughts, values
from z1.dataset_rows.conversations import ASSISTANT, PARTS, USER, has_reply, read_exchange, split_exchanges
from z1.dataset_rows.splits import is_held_out_name
from z1.dataset_rows.values import LeftOut, Reader, RowDefect

PROBLEM_FIELDS: dict[str, Reader] = {
    "id": values.label,
    "reference": values.answer,
    "difficulty": values.label,
    "level": values.label,
    "tests": values.tests,
    "setup": values.text,
    "entry": values.name,
}
"""Fields that all trajectories of a row share, and the type of each."""

SAMPLE_FIELDS: dict[str, Reader] = {"end": values.ending, "passed": values.boolean, "tokens": values.number}
"""Fields that may hold one value for each trajectory."""

FIELDS = ("question", "thought", "response", *PROBLEM_FIELDS, *SAMPLE_FIELDS)

_ROLE = re.compile(r"(.+)\[(\w+)\]")


class _NoSuchPlace(RowDefect):
    """A row without a column that the mapping names."""


@dataclass(frozen=True, slots=True)
class DatasetSample:
    """A problem, and a trajectory if there is a response. "" and None mean unknown; `number` counts within the row."""

    question: str
    thought: str = ""
    response: str = ""
    history: tuple[dict[str, str], ...] = ()
    """The turns before the question, as roles and contents; replies without their thoughts."""
    number: int | None = None
    id: str = ""
    reference: str = ""
    difficulty: str = ""
    level: str = ""
    tests: str = ""
    setup: str = ""
    entry: str = ""
    end: str = ""
    passed: bool | None = None
    tokens: int | None = None
    left_out: str = ""
    """Why this trajectory of several gives no example."""


def check_mapping(columns: Mapping[str, str]) -> None:
    """Raise ValueError for a field that does not exist, or a part of a conversation that does not."""
    if unknown := [field for field in columns if field not in FIELDS]:
        raise ValueError(f"field {unknown[0]!r}; choose from {', '.join(FIELDS)}")
    for expression in columns.values():
        for part in expression.split(" + "):
            if (found := _ROLE.fullmatch(part.strip().removesuffix("?"))) and found[2] not in PARTS:
                raise ValueError(f"part {found[2]!r} of {found[1]}; choose from {', '.join(PARTS)}")


def read_row(row: Mapping[str, Any], columns: Mapping[str, str], split: str = "") -> list[DatasetSample]:
    """The samples of a row, at least one. Raises RowDefect for a value that cannot be used, LeftOut for a row without
    an example, or whose column `split` says that it is not of `split` ("": that it is held out).
    """
    if isinstance(own := row.get("split"), str) and (own != split if split else is_held_out_name(own)):
        raise LeftOut(f"split {own}")
    if (found := _conversation(columns["question"])) and isinstance(turns := row.get(found), list):
        exchanges = split_exchanges(turns)
        if len(exchanges) > 1:
            return _read_conversation(row, columns, found, exchanges)
    return _read_single(row, columns)


def _conversation(expression: str) -> str:
    """The column of the conversation that an expression reads; "" if there is none."""
    parts = (_ROLE.fullmatch(place.strip().removesuffix("?")) for place in expression.split(" + "))
    return next((part[1] for part in parts if part), "")


def _read_conversation(
    row: Mapping[str, Any], columns: Mapping[str, str], column: str, exchanges: list[list[Any]]
) -> list[DatasetSample]:
    """A sample for each reply of a conversation in `column`, or one for its last exchange if the response is elsewhere.
    Raises LeftOut or RowDefect for the whole conversation, since every later exchange depends on the earlier ones.
    """
    has_replies = _conversation(columns.get("response", "")) == column
    places = columns["question"].split(" + ")
    later = {**columns, "question": " + ".join(place for place in places if _conversation(place) == column)}
    found: list[DatasetSample] = []
    history: tuple[dict[str, str], ...] = ()
    for number, turns in enumerate(exchanges):
        mapping = later if number else columns
        exchange = {**row, column: turns}
        is_last = number + 1 == len(exchanges)
        if (has_replies and has_reply(turns)) or (is_last and not has_replies):
            for sample in _read_single(exchange, mapping):
                found.append(replace(sample, history=history, number=number if has_replies else sample.number))
        if not is_last:
            question, reply = _text(exchange, mapping["question"]), _value(exchange, f"{column}[{ASSISTANT}]")
            answer = thoughts.split(reply).answer
            history += ({"role": USER, "content": question}, {"role": ASSISTANT, "content": answer})
    return found


def _read_single(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[DatasetSample]:
    question = _text(row, columns["question"])
    if not question.strip():
        raise RowDefect(columns["question"], "no question", "a text")
    mapped = [(field, columns[field], read) for field, read in PROBLEM_FIELDS.items() if field in columns]
    shared = {field: read(column, _value(row, column)) for field, column, read in mapped}
    problem = DatasetSample(question, **shared)
    if "response" not in columns and "thought" not in columns:
        return [problem]
    return _trajectories(row, columns, problem)


def _trajectories(row: Mapping[str, Any], columns: Mapping[str, str], problem: DatasetSample) -> list[DatasetSample]:
    responses = _texts(row, columns["response"]) if "response" in columns else ""
    thinking = _texts(row, columns["thought"]) if "thought" in columns else ""
    kept = {field: _value(row, columns[field]) for field in SAMPLE_FIELDS if field in columns}
    if not isinstance(responses, list) and not isinstance(thinking, list):
        facts = {field: SAMPLE_FIELDS[field](columns[field], _only(value)) for field, value in kept.items()}
        return [_with_parts(replace(problem, **facts), thinking, responses)]
    count = len(responses) if isinstance(responses, list) else len(thinking)
    if not count:
        raise LeftOut("an empty list of responses")
    found = []
    for number in range(count):
        facts = {field: SAMPLE_FIELDS[field](columns[field], _nth(value, number)) for field, value in kept.items()}
        sample = replace(problem, number=number, **facts)
        found.append(_with_parts(sample, _nth(thinking, number) or "", _nth(responses, number) or ""))
    return found


def _with_parts(sample: DatasetSample, thought: str, response: str) -> DatasetSample:
    """The sample with thought and answer separated. A thought in a column of its own may have tags too."""
    try:
        if not thought.strip():
            thought, response = thoughts.split(response)
        elif any(tag in thought for pair in thoughts.TAGS for tag in pair):
            thought = thoughts.join(*thoughts.split(thought))
    except LeftOut as why:
        return replace(sample, left_out=str(why))
    return replace(sample, thought=thought, response=response)


def _only(value: Any) -> Any:
    """The value of a single trajectory, which a list of one may hold."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _nth(value: Any, number: int) -> Any:
    if not isinstance(value, list):
        return value
    return value[number] if number < len(value) else None


def _text(row: Mapping[str, Any], expression: str) -> str:
    found = _texts(row, expression)
    if isinstance(found, list):
        raise RowDefect(expression, values.shown(found), "one text")
    return found


def _texts(row: Mapping[str, Any], expression: str) -> list[str] | str:
    places = [place.strip() for place in expression.split(" + ")]
    if len(places) == 1:
        return values.texts(expression, _value(row, expression))
    joined = []
    for place in places:
        part = values.text(place, _value(row, place))
        if part.strip():
            joined.append(part)
        elif not place.endswith("?"):
            raise RowDefect(place, "no text", "a text")
    return "\n\n".join(joined)


def _value(row: Mapping[str, Any], expression: str) -> Any:
    """The value at a column, at a path, or of a part of a conversation; None if there is no such place and a `?` allows
    that. Raises RowDefect otherwise.
    """
    if expression.endswith("?"):
        try:
            return _value(row, expression[:-1])
        except _NoSuchPlace:
            return None
    if found := _ROLE.fullmatch(expression):
        return read_exchange(found[1], _value(row, found[1])).part(found[2])
    if expression in row:
        return row[expression]
    value: Any = row
    for part in expression.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            raise _NoSuchPlace(expression, f"columns {', '.join(map(str, row))}", "a column of this name in every row")
    return value
