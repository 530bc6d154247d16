"""JSON Schema of TOML files: what an editor completes, explains and marks.

The schema follows from the settings: types, bounds and defaults, and the text below each field as its description. It
is of draft 7, which editors of TOML read. Rules for several keys together are not in it; `z1 recipe check` knows all.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from textwrap import dedent
from typing import Any

from z1.settings import Settings

DRAFT = "http://json-schema.org/draft-07/schema#"


def json_schema(settings: type[Settings]) -> dict[str, Any]:
    """The JSON Schema of the files whose root is `settings`."""
    schema = settings.model_json_schema()
    tables = {kind.__name__: kind for kind in _tables(Settings)}
    for name, table in {settings.__name__: schema, **schema.get("$defs", {})}.items():
        for key, text in _descriptions(tables[name]).items():
            if key in table.get("properties", {}):
                table["properties"][key]["description"] = text
    return {"$schema": DRAFT, **_as_draft_7(schema)}


def _tables(kind: type[Settings]) -> Iterator[type[Settings]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _tables(inner)


def _descriptions(kind: type[Settings]) -> dict[str, str]:
    """The texts below the fields of a class and of those that it extends."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not issubclass(one, Settings):
            continue
        (body,) = (
            each.body for each in ast.parse(dedent(inspect.getsource(one))).body if isinstance(each, ast.ClassDef)
        )
        for field, text in pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                    found[name] = " ".join(said.split())
    return found


def _as_draft_7(value: Any) -> Any:
    """`value` with lists of fixed length as draft 7 writes them, and without titles, which repeat the keys."""
    if isinstance(value, list):
        return [_as_draft_7(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _as_draft_7(one) for key, one in value.items() if key != "title" or not isinstance(one, str)}
    if "prefixItems" in found:
        found["items"] = found.pop("prefixItems")
    return found
