"""The schemas describe the records, and every field of them is documented."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from z1 import results
from z1.errors import UserError
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.think import Bucket, End, Ledger, Shift
from z1.think.ledger import OPTIONAL

PAGE = Path(__file__).parent.parent.parent / "docs" / "format.md"


def test_the_schemas_have_the_fields_and_values_of_the_records() -> None:
    attempt, problem = results.schema("attempt"), results.schema("problem")
    assert [*attempt["required"], "answer_confidence"] == [field.name for field in fields(Attempt)]
    assert problem["required"] == [field.name for field in fields(Problem)]
    of = attempt["properties"]
    assert of["ledger"]["required"] == [field.name for field in fields(Ledger) if field.name not in OPTIONAL]
    assert set(of["verdict"]["enum"]) == set(Verdict) and set(of["end"]["enum"]) == set(End)
    assert set(of["shift"]["enum"]) == {"", *Shift} and set(of["spans"]["items"]["prefixItems"][0]["enum"]) == set(
        Bucket
    )


@pytest.mark.parametrize("name", results.NAMES)
def test_every_field_is_described_here_and_in_the_documentation(name: str) -> None:
    schema, page = results.schema(name), PAGE.read_text("utf-8")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:z1:{name}:1"
    for field, inner in described(schema):
        assert inner.get("description"), field
        assert f"`{field}`" in page, field


def described(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for field, inner in schema.get("properties", {}).items():
        found += [(field, inner), *described(inner), *described(inner.get("items", {}))]
    return found


def test_an_unknown_schema() -> None:
    with pytest.raises(UserError, match="choose one of attempt, problem"):
        results.schema("curves")


@pytest.mark.parametrize("wrong", [{"verdict": "great"}, {"end": "eos"}, {"thinking_budget": -1}, {"extra": 1}])
def test_a_line_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    ledger: dict[str, int | None] = {
        "thought": 1,
        "close": 0,
        "hint": 0,
        "answer": 1,
        "stop": 1,
        "probe": 0,
        "phase_one": 3,
    }
    line = Attempt(
        "p", None, 0, [], [1, 2], [["thought", 0, 1]], ["a"], ledger, "stop", "natural", "right", "", ""
    ).as_json()
    jsonschema.validate(line, results.schema("attempt"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**line, **wrong}, results.schema("attempt"))
