"""The page at /docs: routes and fields from the OpenAPI description, as HTML that loads nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from z1.serve.api.parameters import IGNORED, NO_OP_VALUES

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .2rem .6rem }
tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) } code { font-size: .9em }
"""


def docs_page(openapi: Mapping[str, Any]) -> str:
    """The page of an OpenAPI description."""
    schemas = openapi["components"]["schemas"]
    routes = [(path, method, route) for path, methods in openapi["paths"].items() for method, route in methods.items()]
    body = "".join(_route(path, method, route, schemas) for path, method, route in routes)
    title, about = escape(openapi["info"]["title"]), escape(openapi["info"].get("description", ""))
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    note = f"<p>{about} The machine-readable description is <a href=openapi.json>openapi.json</a>.</p>"
    return f'<!doctype html><html lang="en">{head}<h1>{title}</h1>{note}{body}{_unsupported()}</html>'


def _route(path: str, method: str, route: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """One route: its summary and, if it takes a body, the table of fields and those of the objects inside."""
    text = f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(route.get('description', ''))}</p>"
    content = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    pending, seen = list(_references(content)), set()
    while pending:
        name = pending.pop(0)
        if name not in seen:
            seen.add(name)
            text += _table(name, schemas[name])
            pending += _references(schemas[name].get("properties", {}))
    return text


def _table(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (f"<code>{escape(field)}</code>", _type(value) + (" (required)" if field in required else ""), _about(value))
        for field, value in schema.get("properties", {}).items()
    ]
    cells = "".join(f"<tr><td>{first}<td>{second}<td>{third}" for first, second, third in rows)
    title = f'<h3 id="{escape(name)}">{escape(name)}</h3>'
    return f"{title}<table><tr><th>field<th>type<th>meaning{cells}</table>"


def _type(value: Mapping[str, Any]) -> str:
    """A field's type; objects are links to their tables."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if "anyOf" in value:
        return " or ".join(_type(one) for one in value["anyOf"] if one.get("type") != "null")
    if "enum" in value or "const" in value:
        return " | ".join(escape(str(one)) for one in value.get("enum", [value.get("const")]))
    kind = str(value.get("type", "any"))
    return f"list of {_type(value['items'])}" if kind == "array" else escape(kind)


def _about(value: Mapping[str, Any]) -> str:
    """Description and limits of a field."""
    names = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    schemas = [value, *value.get("anyOf", ())]
    limits = [f"{text} {one[key]:g}" for one in schemas for key, text in names.items() if key in one]
    return escape(" ".join(part for part in (value.get("description", ""), ", ".join(limits)) if part))


def _references(value: Any) -> Iterable[str]:
    """Names of the schemas that a description refers to."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from _references(one)


def _unsupported() -> str:
    def names(fields: Iterable[str]) -> str:
        return ", ".join(f"<code>{escape(field)}</code>" for field in sorted(fields))

    no_ops = f"<p>Accepted only where they ask for nothing: {names(NO_OP_VALUES)}.</p>"
    return f"<h2>Other fields</h2>{no_ops}<p>Ignored: {names(IGNORED)}.</p>"
