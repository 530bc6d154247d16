"""OpenTelemetry traces of the server: requests, and in each the generation with its thoughts and answers.

`opentelemetry-instrumentation-asgi` makes the span of the request, joins the trace of the client (`traceparent`), and
records the status. The others are added when the request has finished, from its token counts and times, so a
running stream pays nothing. Names follow OpenTelemetry's conventions for generative AI where they have one. There is no
text of prompts or replies in a span. Sampling, resource and headers are set by OpenTelemetry's own variables
(`OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_EXPORTER_OTLP_HEADERS`).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.util.http import parse_excluded_urls

if TYPE_CHECKING:
    from fastapi import FastAPI

    from z1.serve.runtime.reply_runner import GenerationRequest, ReplyFinished
    from z1.serve.runtime.response import PendingResponse
    from z1.serve.runtime.service import ChatService


class Tracing:
    """The traces of one server, sent to an OTLP endpoint over HTTP. `exporter` replaces the one for `endpoint`."""

    def __init__(self, endpoint: str, exporter: Any = None) -> None:
        resource = Resource.create({} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "z1"})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("z1")

    def attach(self, app: FastAPI, service: ChatService) -> None:
        """Give every request of `app` a span, but those for health and metrics."""
        service.on_finished = self.record
        settings: dict[str, Any] = {
            "tracer_provider": self._provider,
            "excluded_urls": parse_excluded_urls("health,metrics"),
        }
        app.add_middleware(OpenTelemetryMiddleware, exclude_spans=["receive", "send"], **settings)

    def record(self, response: PendingResponse) -> None:
        """Add the spans of a finished request: of the generation, and in it of each thought and answer."""
        requests, finished = response.replies.requests, response.finished
        arrival = time.time() - (time.monotonic() - requests[0].arrival_time)
        ledgers = [event.ledger for event in finished.values()]
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": response.wire_format.model,
            "gen_ai.response.id": response.wire_format.id,
            "gen_ai.usage.input_tokens": response.prompt_tokens,
            "gen_ai.usage.output_tokens": sum(ledger.completion_tokens for ledger in ledgers),
        }
        span = self._tracer.start_span("generate", start_time=_nanoseconds(arrival), attributes=attributes)
        if response.error is not None:
            span.set_status(trace.StatusCode.ERROR, type(response.error).__name__)
        context = trace.set_span_in_context(span)
        for index, event in sorted(finished.items()):
            self._record_reply(context, arrival, (index, requests[index], event))
        span.end(_nanoseconds(arrival + max((event.seconds for event in finished.values()), default=0.0)))

    def close(self) -> None:
        """Send what is left; at the end of the process that happens by itself."""
        self._provider.shutdown()

    def _record_reply(self, context: Any, arrival: float, reply: tuple[int, GenerationRequest, ReplyFinished]) -> None:
        index, request, event = reply
        to_answer = event.seconds if event.time_to_answer is None else event.time_to_answer
        if request.budget.has_thinking:
            budget = request.budget.thinking_budget
            attributes = {
                "z1.choice": index,
                "z1.thinking_budget": -1 if budget is None else budget,
                "z1.thinking_tokens": event.ledger.thinking_tokens,
                "z1.hint_tokens": event.ledger.hint,
                "z1.reason": event.shift.value if event.shift else "",
            }
            self._add_span("think", context, (arrival, arrival + to_answer), attributes)
        if event.time_to_answer is not None:
            attributes = {"z1.choice": index, "z1.answer_tokens": event.ledger.answer or 0, "z1.end": event.end.value}
            self._add_span("answer", context, (arrival + to_answer, arrival + event.seconds), attributes)

    def _add_span(self, name: str, context: Any, times: tuple[float, float], attributes: dict[str, Any]) -> None:
        start, end = map(_nanoseconds, times)
        self._tracer.start_span(name, context, start_time=start, attributes=attributes).end(end)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
