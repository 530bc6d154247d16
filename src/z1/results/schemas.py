"""The JSON Schemas of the files of an evaluation, one per kind of object."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from z1.errors import UserError

NAMES = ("attempt", "problem", "curve", "manifest")
"""A line of attempts.jsonl, a line of problems.jsonl, curve.json, and stage.json."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) called `name`, one of `NAMES`. Raises UserError for another name."""
    if name not in NAMES:
        raise UserError("schema", name, f"choose one of {', '.join(NAMES)}")
    found: dict[str, Any] = json.loads((files("z1.results") / "schemas" / f"{name}.json").read_text("utf-8"))
    return found
