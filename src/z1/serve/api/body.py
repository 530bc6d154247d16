"""What every request body is made of: strict models, texts, messages and tools.

A null is an absent field, everywhere. Unknown fields are rejected unless their value is empty. `parameters.py` has the
fields that z1 knows and does not implement: some are ignored, the others accepted at values that ask for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from z1.serve.api.parameters import ASSISTANT_VALUES, EMPTY, MESSAGE_LABELS, TEXT_PARTS, THOUGHT_PARTS, Values
from z1.surrogates import replace_surrogates


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("got a lone surrogate (half of a character); send valid Unicode") from None
    return text


def _join_parts(content: Any, info: ValidationInfo) -> Any:
    """The text of a content of parts, joined."""
    if not isinstance(content, list):
        return content
    is_assistant = info.data.get("role") == "assistant"
    return "".join([_part_text(index, part, is_assistant=is_assistant) for index, part in enumerate(content)])


def _part_text(index: int, part: Any, *, is_assistant: bool) -> str:
    """The text of a part; the thought of an assistant message is left out."""
    kind = str(part.get("type")) if isinstance(part, dict) else "none"
    if is_assistant and kind in THOUGHT_PARTS:
        return ""
    if kind not in TEXT_PARTS:
        raise ValueError(f"part {index}: got type {kind[:40]}; send parts of type text, the model reads no other")
    extra = [name for name, value in part.items() if name not in (*MESSAGE_LABELS, TEXT_PARTS[kind])]
    extra = [] if is_assistant else [name for name in extra if part[name] is not None and part[name] not in EMPTY]
    if extra:
        raise ValueError(f"part {index}: got the unknown field {extra[0][:60]}; leave it out")
    text = part.get(TEXT_PARTS[kind])
    if not isinstance(text, str):
        raise ValueError(f"part {index}: got no text; send a string as {TEXT_PARTS[kind]}")
    return text


CleanStr = Annotated[str, AfterValidator(_without_surrogates)]
"""Text that can be encoded as UTF-8; JSON also allows lone surrogates."""


def _as_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("got an object that is no JSON (a number, a character or its depth); mend it") from None
    return value


def is_list(value: Any) -> str:
    """The tag of a value that is a text or a list."""
    return "list" if isinstance(value, list) else "text"


JsonObject = Annotated[dict[str, Any], AfterValidator(_as_json)]
"""A JSON object of the client's own, such as a schema."""


class Strict(BaseModel):
    """A model whose fields are absent where they are null or ask for nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ignored: ClassVar[frozenset[str]] = frozenset()
    """Unknown fields that are left out whatever their value."""
    no_ops: ClassVar[Mapping[str, Values]] = {}
    """Values of fields that ask for nothing, beside the empty ones of a field that is not in the model."""

    @model_validator(mode="before")
    @classmethod
    def _drop_no_ops(cls, body: Any) -> Any:
        if not isinstance(body, Mapping):
            return body
        return {name: value for name, value in body.items() if value is not None and not cls._is_no_op(name, body)}

    @classmethod
    def _is_no_op(cls, name: str, body: Mapping[str, Any]) -> bool:
        value, is_known = body[name], name in cls.model_fields
        if isinstance(value, dict) and not is_known:
            value = {key: inner for key, inner in value.items() if inner is not None}
        no_ops = cls.no_ops.get(name, () if is_known else EMPTY)
        return name in cls.ignored or value in no_ops or (not is_known and bool(no_ops) and value in EMPTY)


class TextPart(BaseModel):
    """A part of a message; only text is supported."""

    type: Literal["text"]
    text: str


Thought = Annotated[str | None, AfterValidator(lambda text: text and replace_surrogates(text))]
"""The text of a thought."""

Content = Annotated[CleanStr, BeforeValidator(_join_parts, json_schema_input_type=str | list[TextPart])]
"""The text of a message. Parts are joined."""


class CalledFunction(Strict):
    """A function and its arguments as JSON."""

    name: CleanStr = Field(min_length=1, max_length=256)
    arguments: CleanStr = "{}"


class CalledTool(Strict):
    """A tool call of an assistant message."""

    ignored = frozenset({"cache_control", "index", "provider_specific_fields"})
    id: CleanStr
    type: Literal["function"] = "function"
    function: CalledFunction


class Function(Strict):
    """A function that the model may call."""

    name: CleanStr = Field(min_length=1, max_length=256)
    description: CleanStr | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Strict):
    """A tool; only functions are supported."""

    ignored = frozenset({"cache_control"})
    type: Literal["function"]
    function: Function


class NamedFunction(Strict):
    """The name of a function."""

    name: CleanStr


class NamedTool(Strict):
    """The choice of one tool."""

    type: Literal["function"] = "function"
    function: NamedFunction


class ResponseFormat(Strict):
    """The format of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonObject | None = None


class Message(Strict):
    """One message. Labels are ignored, and so is all that an assistant message echoes; its thought is kept while the
    tools that it called are running.
    """

    ignored = MESSAGE_LABELS
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content = ""
    tool_calls: list[CalledTool] | None = Field(None, max_length=128)
    tool_call_id: CleanStr | None = None
    reasoning: Thought = None

    @classmethod
    def _is_no_op(cls, name: str, body: Mapping[str, Any]) -> bool:
        value = body[name]
        if body.get("role") == "assistant" and name not in cls.model_fields:
            return name not in ASSISTANT_VALUES or value in (*EMPTY, *ASSISTANT_VALUES[name])
        return (name == "tool_calls" and value in EMPTY) or super()._is_no_op(name, body)

    @model_validator(mode="before")
    @classmethod
    def _take_thought(cls, body: Any) -> Any:
        """`reasoning` is also called `reasoning_content`; what is no text is left out."""
        if not isinstance(body, Mapping) or body.get("role") != "assistant":
            return body
        named = (body.get("reasoning"), body.get("reasoning_content"))
        return {**body, "reasoning": next((one for one in named if isinstance(one, str) and one), None)}

    @model_validator(mode="after")
    def _check_role(self) -> Message:
        if self.tool_calls and self.role != "assistant":
            raise ValueError("got tool_calls in a message that is not the assistant's; leave them out")
        if self.reasoning and self.role != "assistant":
            raise ValueError("got reasoning in a message that is not the assistant's; leave it out")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise ValueError("got role tool without tool_call_id, or tool_call_id without it; send both")
        return self
