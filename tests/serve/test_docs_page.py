"""Tests of z1.serve.docs_page."""

from __future__ import annotations

import re

from tests.serve.conftest import Served
from z1.serve.api.body import Message
from z1.serve.api.parameters import IGNORED, NO_OP_VALUES
from z1.serve.api.schema import ChatRequest, CompletionRequest, Thinking
from z1.serve.docs_page import docs_page


def test_the_page_has_every_route_and_field_and_loads_nothing(served: Served) -> None:
    """vLLM 29847: /docs stayed blank without the internet."""
    reply = served.get("/docs")
    assert reply.headers["content-type"].startswith("text/html")
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/chat/completions/control", "/v1/models", "/health"):
        assert f"{path}</code>" in reply.text
    for kind in (ChatRequest, CompletionRequest, Message, Thinking):
        assert all(f"<td><code>{name}</code>" in reply.text for name in kind.model_fields)
    assert all(f"<code>{name}</code>" in reply.text for name in (*IGNORED, *NO_OP_VALUES))
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", reply.text)
    assert set(re.findall(r'<a href="#(\w+)', reply.text)) <= set(re.findall(r'<h3 id="(\w+)', reply.text))


def test_descriptions_are_text() -> None:
    field = {"type": "integer", "minimum": 2, "description": "a <b>"}
    schemas = {"A<": {"properties": {"x<": field, "inner": {"$ref": "#/schemas/A<"}}}}
    body = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/schemas/A<"}}}}}
    page = docs_page({"info": {"title": "t<"}, "paths": {"/<": {"get": body}}, "components": {"schemas": schemas}})
    assert "a &lt;b&gt; at least 2" in page
    assert not re.search(r"(<b>|[^/]x|A|t)<[^/a-z!]", page)
