"""Tests of z1.serve.error_handlers: statuses, messages, paths of fields, and OpenAI's codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from tests.serve.conftest import Served, serving
from tests.serve.scripts import ASK, scripted
from z1.errors import Fault
from z1.serve.api.parameters import ASSISTANT_VALUES, IGNORED, NO_OP_VALUES
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.error_handlers import FIELDS
from z1.serve.runtime.service import ServerLimits

MESSAGES = ASK["messages"]
NAMES = st.sampled_from(
    sorted({*FIELDS, *NO_OP_VALUES, *IGNORED, *ASSISTANT_VALUES, "type", "effort", "budget_tokens"})
)


def error(reply: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    body: dict[str, Any] = reply.json()["error"]
    assert body.keys() == {"message", "type", "param", "code"}
    assert body["message"] and "\n" not in body["message"] and len(body["message"]) < 500
    return body


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"bogus": 1}, "bogus", "bogus: unknown field"),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "tools",
            "this server does not support it; leave it out",
        ),
        ({"tools": [{"type": "function"}]}, "tools.0.function", "got nothing; it is required"),
        ({"thinking": {"budget": 5}}, "thinking.budget", "unknown field"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation", "does not support"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens", "got 6 together with max_tokens 5"),
        ({"thinking_budget": 1, "max_thinking_tokens": 2}, "max_thinking_tokens", "give one of them"),
        ({"thinking_budget": 9, "max_completion_tokens": 20}, "max_completion_tokens", "hint and answer need"),
        ({"enable_thinking": False, "reasoning": {"effort": "low"}}, "enable_thinking", "off together with"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "choose one of none"),
        ({"reasoning": {"exclude": True}}, "reasoning.exclude", "add separate_reasoning: true"),
        ({"max_tokens": "many"}, "max_tokens", "got many; it should be a valid integer"),
        ({"stop": 5}, "stop", "got 5"),
        ({"think": 5}, "think", "got 5"),
        ({"model": 5}, "model", "got 5"),
        ({"n": 16}, None, ""),
        ({"n": 17}, "n", "got 17"),
        ({"messages": None}, "messages", "it is required"),
        ({"messages": []}, "messages", "got a list; it should have at least 1 item"),
        ({"model": "m" * 301}, "model", "…; it should have at most 300 characters"),
        ({"messages": "why?"}, "messages", "it should be a valid list"),
        ({"messages": ["why?"]}, "messages.0", "got why?; it should be an object"),
        (
            {"messages": [{"role": "tool", "content": "x"}, *MESSAGES]},
            "messages.0",
            "got role tool without tool_call_id",
        ),
        ({"messages": [{"content": "x"}]}, "messages.0.role", "it is required"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages", "ask something"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content", "part 0: got no text"),
        ({"prompt": "why?"}, "prompt", "unknown field"),
    ],
)
def test_the_field_is_named_by_its_path(served: Served, body: dict[str, Any], param: str | None, message: str) -> None:
    reply = served.post(**{**ASK, **body})
    if param is None:
        assert reply.status_code == 200
        return
    found = error(reply)
    assert (found["param"], found["type"]) == (param, "invalid_request_error")
    assert message in found["message"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, JSON, max_size=3), st.dictionaries(NAMES, JSON, max_size=3), st.booleans())
def test_no_value_of_any_field_is_a_defect(
    served: Served, fields: dict[str, Any], inner: dict[str, Any], is_chat: bool
) -> None:
    message = {"role": "user", "content": "why?", **inner}
    ask = {**ASK, "messages": [message, *MESSAGES]} if is_chat else {"model": "scripted", "prompt": "why?"}
    reply = served.post("/v1/chat/completions" if is_chat else "/v1/completions", **{**ask, "max_tokens": 90, **fields})
    if reply.status_code != 200:
        found = error(reply, 404 if reply.status_code == 404 else 400)
        assert found["param"] is None or found["param"].partition(".")[0] in {*FIELDS, *fields}


@pytest.mark.parametrize(
    ("body", "echo", "param"),
    [
        ({}, {}, "messages.1.role"),
        ({"continue_final_message": True, "add_generation_prompt": False}, {}, "continue_final_message"),
        ({}, {"prefix": True}, "messages.1.prefix"),
        ({}, {"partial": True}, "messages.1.partial"),
    ],
)
def test_a_final_assistant_message_is_refused(
    served: Served, body: dict[str, Any], echo: dict[str, Any], param: str
) -> None:
    """openvinotoolkit/model_server 3877, vLLM 6772: a prefix was closed and a new turn begun, without a word."""
    final = {"role": "assistant", "content": "It is", **echo}
    assert error(served.post(**{**ASK, **body, "messages": [*MESSAGES, final]}))["param"] == param


@pytest.mark.parametrize("content", ["", "  ", [], None, [{"type": "text", "text": ""}]])
def test_an_empty_question_is_refused(served: Served, content: Any) -> None:
    """Arthur-Ficial/apfel 272: empty content was a 500."""
    found = error(served.post(**{**ASK, "messages": [{"role": "user", "content": content}]}))
    assert found["message"] == "messages: got an empty last message; ask something"


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file", "video_url", "input_image"])
def test_a_part_that_is_no_text_is_one_clear_line(served: Served, kind: str) -> None:
    parts = [{"type": "text", "text": "what is this?"}, {"type": kind, kind: {"url": "data:;base64,xxxx"}}]
    found = error(served.post(**{**ASK, "messages": [{"role": "user", "content": parts}]}))
    assert found["message"] == (
        f"messages.0.content: part 1: got type {kind}; send parts of type text, the model reads no other"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_context_has_openais_words_and_code(served: Served, stream: bool) -> None:
    """langchain 35099 and 39300: without them litellm and LangChain raise no overflow error, and nothing is compacted.

    test_clients.py has both clients themselves.
    """
    found = error(served.post(**{**ASK, "messages": [{"role": "user", "content": "x" * 5000 + "?"}]}, stream=stream))
    assert found["message"] == (
        "This model's maximum context length is 4096 tokens. However, your messages resulted in 5001 tokens. "
        "Please reduce the length of the messages (context_length_exceeded)."
    )
    assert (found["code"], found["param"]) == ("context_length_exceeded", "messages")
    full = error(served.post(**{**ASK, "messages": [{"role": "user", "content": "x" * 4080 + "?"}]}, stream=stream))
    assert full["code"] == "context_length_exceeded" and "leaves 15 tokens" in full["message"]
    text = error(served.post("/v1/completions", model="scripted", prompt="x" * 5000, stream=stream))
    assert (text["code"], text["param"]) == ("context_length_exceeded", "prompt")


def test_other_codes_of_openai(served: Served) -> None:
    found = error(served.post(**{**ASK, "model": "gpt-9"}), 404)
    assert (found["code"], found["param"]) == ("model_not_found", "model")
    assert found["message"] == "model: got gpt-9, which does not exist; use scripted"
    assert error(served.get("/v1/models/gpt-9"), 404)["code"] == "model_not_found"
    with serving(scripted(), key="secret") as server:
        assert error(server.post(**ASK), 401)["code"] == "invalid_api_key"
    with serving(scripted(token_delay_s=0.05), limits=ServerLimits(max_concurrent_requests=1)) as server:
        with server.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}):
            busy = server.post(**ASK)
        assert error(busy, 429)["code"] == "rate_limit_exceeded" and busy.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("content", "content_type", "message"),
    [
        (b'{"model": "m"}', None, "content-type: got nothing; send the header content-type: application/json"),
        (b'{"model": "m"}', "application/x-www-form-urlencoded", "content-type: got application/x-www-form"),
        (b'{"model": "m"}', "text/plain", "content-type: got text/plain"),
        (b'{"model":', "application/json", "body: got invalid JSON (Expecting value at character 9)"),
        (b"[" * 5000, "application/json", "body: got text that is not valid JSON"),
        (b"[]", "application/json", "body: got a list; send a JSON object"),
        (b"", None, "body: got nothing; send a JSON object"),
    ],
)
def test_a_body_that_is_no_object_is_named(
    served: Served, content: bytes, content_type: str | None, message: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    found = error(served.client.post("/v1/chat/completions", content=content, headers=headers))
    assert message in found["message"] and found["param"] is None


def test_unknown_routes_and_methods(served: Served) -> None:
    """The chat page's are in test_chat_ui.py."""
    found = error(served.client.post("/v1/replies", json={}), 404)
    assert found["message"] == "Invalid URL (POST /v1/replies); /docs lists the routes"
    assert found["code"] == "unknown_url"
    wrong = served.get("/v1/completions")
    assert error(wrong, 405)["code"] == "method_not_supported" and wrong.headers["allow"] == "POST"


REFUSALS: list[Any] = [
    TemplateError("System role not supported"),
    TemplateError("Conversation roles must alternate user/assistant/user/assistant/..."),
    KeyError("tool_calls"),
    TypeError("can only concatenate str"),
    ValueError("Encountered text corresponding to disallowed special token"),
]


@pytest.fixture(scope="module")
def refusing() -> Iterator[tuple[Served, list[Any]]]:
    """A server whose template and tokenizer raise what is in the list: the template in its chat, else the tokenizer."""
    engine = scripted()
    raised: list[Any] = [None, None]
    encode = engine.tokenizer.encode

    def refuse(index: int) -> None:
        if raised[index] is not None:
            raise raised[index]

    def encode_or_refuse(text: str, **settings: Any) -> list[int]:
        refuse(1)
        return encode(text, **settings)

    engine.tokenizer.apply_chat_template = lambda messages, **_: refuse(0) or "why?"  # type: ignore[func-returns-value, method-assign]
    engine.tokenizer.encode = encode_or_refuse  # type: ignore[method-assign]
    with serving(engine) as server:
        yield server, raised


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_of_template_or_tokenizer_is_a_400_with_its_sentence(
    refusing: tuple[Served, list[Any]], refusal: Exception, stream: bool
) -> None:
    """janhq/jan 6254, eclipse-theia/theia 17104: a template that refuses a system turn gave a bare 500."""
    server, raised = refusing
    for part, ask in ((0, ASK), (1, ASK), (1, {"model": "scripted", "prompt": "why?"})):
        raised[:] = [None, None]
        raised[part] = refusal
        found = error(
            server.post("/v1/completions" if "prompt" in ask else "/v1/chat/completions", **ask, stream=stream)
        )
        assert str(refusal) in found["message"]
        assert found["param"] == ("prompt" if "prompt" in ask else "messages")
    raised[:] = [None, None]
    assert server.post(**ASK, stream=stream).status_code == 200


def test_a_defect_has_openais_format_too() -> None:
    def defect(_: str) -> str:
        raise Fault("not enough of something") if fault else RuntimeError("secret detail")

    with serving(scripted(), RequestDefaults(format_question=defect)) as server:
        fault = True
        assert error(server.post(**ASK), 503)["message"] == "not enough of something"
        fault = False
        found = error(server.post(**ASK), 500)
    assert (found["type"], found["code"]) == ("server_error", "internal_error")
    assert "secret" not in found["message"]
