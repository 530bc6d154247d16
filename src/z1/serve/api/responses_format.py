"""The response format of POST /v1/responses, whole and as events.

A reply is a list of items: a thought, a message, tool calls. In a stream an item is added, grows, and is done; every
event has the next sequence number. Source: the types of the openai package 3.52.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from z1.errors import Z1Error
from z1.serve.api.logprobs import chat_logprobs, join_fields
from z1.serve.api.openai_format import COMMENT, Choice, named_event
from z1.serve.api.reply_text import TextDelta, ToolDelta
from z1.serve.api.responses import ResponsesRequest

Kind = Literal["thought", "summary", "message", "call"]

ID_PREFIXES: Mapping[Kind, str] = {"thought": "rs_", "summary": "rs_", "message": "msg_", "call": "fc_"}

PART_TYPES: Mapping[Kind, str] = {"thought": "reasoning_text", "summary": "summary_text", "message": "output_text"}

TEXT_EVENTS: Mapping[Kind, str] = {
    "thought": "response.reasoning_text",
    "summary": "response.reasoning_summary_text",
    "message": "response.output_text",
    "call": "response.function_call_arguments",
}

PART_EVENTS: Mapping[Kind, str] = {
    "thought": "response.content_part",
    "summary": "response.reasoning_summary_part",
    "message": "response.content_part",
}

LOGPROBS: Mapping[Kind, dict[str, list[Any]]] = {"message": {"logprobs": []}}
"""A field that events of text must have."""


@dataclass
class Item:
    """One output item so far; `sign` gives the signature of a thought."""

    kind: Kind
    call_id: str = ""
    name: str = ""
    texts: list[str] = field(default_factory=list)
    sign: Callable[[str], str] | None = None
    id: str = ""

    def __post_init__(self) -> None:
        self.id = ID_PREFIXES[self.kind] + uuid4().hex

    @property
    def text(self) -> str:
        """The text of the item."""
        return "".join(self.texts)

    def part(self, text: str) -> dict[str, Any]:
        """The one part of the item's text."""
        extra: dict[str, Any] = {"annotations": [], "logprobs": []} if self.kind == "message" else {}
        return {"type": PART_TYPES[self.kind], "text": text, **extra}

    def value(self, status: str) -> dict[str, Any]:
        """The item; without its text while it is in progress."""
        text = "" if status == "in_progress" else self.text
        parts = [] if status == "in_progress" else [self.part(text)] if self.kind != "call" else []
        head = {"id": self.id, "status": status}
        if self.kind == "call":
            return {**head, "type": "function_call", "call_id": self.call_id, "name": self.name, "arguments": text}
        if self.kind == "message":
            return {**head, "type": "message", "role": "assistant", "content": parts}
        thought = {"summary": parts} if self.kind == "summary" else {"summary": [], "content": parts}
        signature = {"encrypted_content": self.sign(text)} if self.sign and parts else {}
        return {**head, "type": "reasoning", **thought, **signature}


KeepItems = Callable[[Sequence[Mapping[str, Any]]], None]
"""Keeps the items of a response, so that a later request may name them."""


class ResponsesFormat:
    """The format of one response; it has one choice. `sign` gives the signature of a thought. `keep_items` gets the
    items of a response before the client does; with None they are not kept.
    """

    id_prefix, keep_alive = "resp_", COMMENT
    format_logprobs = staticmethod(chat_logprobs)

    def __init__(
        self, request_id: str, body: ResponsesRequest, sign: Callable[[str], str], keep_items: KeepItems | None = None
    ) -> None:
        self.id, self.model = self.id_prefix + request_id, body.model
        self._body, self._keep_items = body, keep_items
        self._sign = sign if body.has_signatures else None
        self._created = int(time.time())
        self._sequence = 0
        self._items: list[Item] = []
        self._is_open = False
        self._is_cut = False
        self._fields: dict[str, Any] = {}

    def first_chunk(self, index: int) -> bytes:
        """The response, created and in progress."""
        response = self._response("in_progress", [])
        return b"".join(self._event(name, response=response) for name in ("response.created", "response.in_progress"))

    def text_chunk(self, index: int, delta: TextDelta) -> bytes:
        """More of the thought or of the message."""
        kind = self._kind(delta[0])
        head = b"" if self._is_open and self._items[-1].kind == kind else self._open(Item(kind, sign=self._sign))
        return head + self._grow(delta[1])

    def tool_chunk(self, index: int, delta: ToolDelta) -> bytes:
        """The head of a tool call, or more of its arguments."""
        head = self._open(Item("call", delta.id, delta.name)) if delta.name else b""
        return head + (self._grow(delta.arguments) if delta.arguments else b"")

    def probe_chunk(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """A probed answer, in an event of z1's own."""
        return self._event("response.z1.probe", probe=probe)

    def token_chunk(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """Nothing: token ids and ledger are in the whole response."""
        self._fields = join_fields(self._fields, fields)
        return b""

    def final_chunk(
        self, index: int, finish_reason: str, budget: Mapping[str, Any], stop_string: str | None = None
    ) -> bytes:
        """The end of the last item."""
        self._is_cut = finish_reason == "length"
        self._fields = {"budget": budget, **self._fields}
        return self._close()

    def last_chunk(self, counts: Mapping[str, Any]) -> bytes:
        """The whole response."""
        response = self._finished(self._items, counts)
        return self._event(f"response.{response['status']}", response=response)

    def error_chunk(self, error: Z1Error) -> bytes:
        """The response, failed."""
        failed = {"error": {"code": "server_error", "message": str(error)}}
        return self._event("response.failed", response={**self._response("failed", []), **failed})

    def response_body(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """The whole response."""
        (choice,) = choices
        self._is_cut, self._fields = choice.finish_reason == "length", dict(choice.fields)
        items = [Item(self._kind("reasoning"), texts=[choice.reasoning], sign=self._sign)] if choice.reasoning else []
        if choice.content or not choice.tool_calls:
            items.append(Item("message", texts=[choice.content]))
        items += [Item("call", call.id, call.name, [call.arguments]) for call in choice.tool_calls]
        return self._finished(items, counts)

    def _kind(self, field_name: str) -> Kind:
        return "message" if field_name == "content" else "summary" if self._body.has_summary else "thought"

    def _open(self, item: Item) -> bytes:
        """Close the last item and begin another."""
        closed = self._close()
        self._items.append(item)
        self._is_open = True
        added = self._event("response.output_item.added", item=item.value("in_progress"), **self._index())
        if item.kind in PART_EVENTS:
            added += self._event(f"{PART_EVENTS[item.kind]}.added", part=item.part(""), **self._place())
        return closed + added

    def _grow(self, text: str) -> bytes:
        self._items[-1].texts.append(text)
        return self._text_event("delta", delta=text)

    def _close(self) -> bytes:
        if not self._is_open:
            return b""
        item, self._is_open = self._items[-1], False
        if item.kind == "call":
            closed = self._text_event("done", arguments=item.text, name=item.name)
        else:
            closed = self._text_event("done", text=item.text)
            closed += self._event(f"{PART_EVENTS[item.kind]}.done", part=item.part(item.text), **self._place())
        value = item.value("incomplete" if self._is_cut else "completed")
        return closed + self._event("response.output_item.done", item=value, **self._index())

    def _index(self) -> dict[str, int]:
        return {"output_index": len(self._items) - 1}

    def _place(self) -> dict[str, Any]:
        """Where the text of the last item is."""
        item = self._items[-1]
        inside = {"call": {}, "summary": {"summary_index": 0}}.get(item.kind, {"content_index": 0})
        return {"item_id": item.id, **self._index(), **inside}

    def _text_event(self, suffix: str, **fields: Any) -> bytes:
        """An event about the text of the last item."""
        kind = self._items[-1].kind
        return self._event(f"{TEXT_EVENTS[kind]}.{suffix}", **fields, **LOGPROBS.get(kind, {}), **self._place())

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        value = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return named_event(kind, value)

    def _finished(self, items: Sequence[Item], counts: Mapping[str, Any]) -> dict[str, Any]:
        """The complete response; if it was cut, its last item is incomplete."""
        status = "incomplete" if self._is_cut else "completed"
        values = [item.value(status if item is items[-1] else "completed") for item in items]
        if self._keep_items is not None:
            self._keep_items(values)
        response = {**self._response(status, values), "usage": usage(counts), **self._fields}
        if self._is_cut:
            return {**response, "incomplete_details": {"reason": "max_output_tokens"}}
        return {**response, "completed_at": int(time.time())}

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        body = self._body
        tools = [tool.model_dump() for tool in body.tools or ()]
        text = body.text.model_dump(by_alias=True, exclude_none=True) if body.text else {}
        choice = body.tool_choice or "auto"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {
                "effort": body.reasoning.effort if body.reasoning else None,
                "summary": body.reasoning.summary if body.reasoning else None,
            },
            "store": self._keep_items is not None,
            "temperature": body.temperature,
            "text": {"format": {"type": "text"}, **text},
            "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
            "tools": tools,
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None,
        }


def usage(counts: Mapping[str, Any]) -> dict[str, Any]:
    """The `usage` object, from that of chat completions."""
    return {
        "input_tokens": counts["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": counts["completion_tokens"],
        "output_tokens_details": counts["completion_tokens_details"],
        "total_tokens": counts["total_tokens"],
    }
