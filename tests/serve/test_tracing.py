"""Tests of z1.serve.tracing: the spans of requests, with an exporter that keeps them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("opentelemetry.instrumentation.asgi", reason="traces need the extra trace")

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.serve.conftest import Served, serving
from tests.serve.scripts import ASK, scripted
from z1.engines import Engine
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault
from z1.serve.tracing import Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def traced(engine: Engine | None = None) -> Iterator[tuple[Served, dict[str, Any]]]:
    """A server, and after it has ended its spans by name; the last span of a name."""
    exporter, spans = InMemorySpanExporter(), dict[str, Any]()
    tracing = Tracing("", exporter)
    with serving(engine or scripted(), prepare=tracing.attach) as server:
        yield server, spans
    tracing.close()
    spans.update({span.name: span for span in exporter.get_finished_spans()})


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_a_span_with_thought_and_answer_in_the_clients_trace(stream: bool) -> None:
    with traced() as (server, spans):
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        began = time.time()
        body = {**ASK, "thinking_budget": 12, "stream": stream}
        assert server.client.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    names = ("POST /v1/chat/completions", "generate", "think", "answer")
    request, generate, think, answer = (spans[name] for name in names)
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert generate.parent.span_id == request.context.span_id
    assert {think.parent.span_id, answer.parent.span_id} == {generate.context.span_id}
    assert generate.attributes["gen_ai.request.model"] == "scripted"
    assert generate.attributes["gen_ai.usage.input_tokens"] == 4
    assert generate.attributes["gen_ai.usage.output_tokens"] > 12
    assert (think.attributes["z1.thinking_budget"], think.attributes["z1.thinking_tokens"]) == (12, 12)
    assert (think.attributes["z1.reason"], answer.attributes["z1.end"]) == ("budget", "stop")
    assert (
        began - 1 < think.start_time / 1e9 <= think.end_time / 1e9 == answer.start_time / 1e9 <= answer.end_time / 1e9
    )
    assert "why?" not in str([span.to_json() for span in spans.values()])


def test_rejected_requests_have_a_span_and_health_has_none() -> None:
    with traced() as (server, spans):
        server.get("/health")
        assert server.post(**{**ASK, "n": 0}).status_code == 400
    assert list(spans) == ["POST /v1/chat/completions"]
    (request,) = spans.values()
    assert 400 in request.attributes.values()


def test_a_reply_without_thinking_has_no_thought() -> None:
    with traced() as (server, spans):
        server.post("/v1/completions", model="scripted", prompt="how?")
    assert set(spans) == {"POST /v1/completions", "generate", "answer"}


def test_a_failed_generation_is_an_error() -> None:
    def lost(context: object) -> int:
        raise EngineFault("the GPU is lost")

    with traced(ScriptedEngine(lost, max_model_len=4096, profile="z1-tiny")) as (server, spans):
        assert server.post(**ASK).status_code == 503
    assert (spans["generate"].status.status_code.name, spans["generate"].status.description) == ("ERROR", "EngineFault")
