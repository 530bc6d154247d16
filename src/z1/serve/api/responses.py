"""The body of POST /v1/responses, and the chat request that it means.

A conversation is sent as items. One that the server itself sent a while ago may be named by its id. Items of a tool
loop keep their thoughts, which the upstream's chat template needs. Source: the types of the openai package 3.52.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, TypeAdapter
from pydantic import Tag as Kind

from z1.errors import UserError
from z1.serve.api.body import (
    CalledFunction,
    CalledTool,
    CleanStr,
    Content,
    Function,
    JsonObject,
    Message,
    NamedFunction,
    NamedTool,
    ResponseFormat,
    Strict,
    Tool,
    is_list,
)
from z1.serve.api.parameters import EMPTY, IGNORED, Values
from z1.serve.api.schema import ChatRequest, ReplySettings, StopStrings, StreamOptions
from z1.serve.api.signature import Signer
from z1.surrogates import replace_surrogates

THOUGHT = "reasoning.encrypted_content"
"""The member of `include` that asks for the signature of a thought."""


class FunctionCall(Strict):
    """A tool call of an earlier reply."""

    ignored = frozenset({"id", "status", "namespace", "caller", "async", "created_by"})
    type: Literal["function_call"]
    call_id: CleanStr
    name: CleanStr = Field(min_length=1, max_length=256)
    arguments: CleanStr


class FunctionOutput(Strict):
    """What a tool call returned."""

    ignored = frozenset({"id", "status", "caller", "created_by"})
    type: Literal["function_call_output"]
    call_id: CleanStr
    output: Content


class ThoughtPart(Strict):
    """A part of a thought."""

    type: Literal["reasoning_text", "summary_text"]
    text: Annotated[str, AfterValidator(replace_surrogates)]


class ReasoningItem(Strict):
    """A thought of an earlier reply."""

    ignored = frozenset({"id", "status", "created_by"})
    type: Literal["reasoning"]
    summary: list[ThoughtPart] | None = None
    content: list[ThoughtPart] | None = None
    encrypted_content: str | None = None

    @property
    def text(self) -> str:
        """The thought."""
        return "".join(part.text for part in self.content or self.summary or ())


class ItemReference(Strict):
    """The name of an item that the server sent."""

    type: Literal["item_reference"] = "item_reference"
    id: CleanStr = Field(max_length=200)


ITEM_KINDS = ("message", "function_call", "function_call_output", "reasoning", "item_reference")


def _item_kind(item: Any) -> str:
    """The type of an item; one without a type is a message or, without a role, a reference."""
    if not isinstance(item, dict):
        return "message"
    return str(item.get("type") or ("item_reference" if "id" in item and "role" not in item else "message"))


def _check_kind(item: Any) -> Any:
    if (kind := _item_kind(item)) not in ITEM_KINDS:
        raise ValueError(f"got an item of type {kind[:40]}; send items of type {', '.join(ITEM_KINDS)}")
    return item


InputItem = Annotated[
    Annotated[Message, Kind("message")]
    | Annotated[FunctionCall, Kind("function_call")]
    | Annotated[FunctionOutput, Kind("function_call_output")]
    | Annotated[ReasoningItem, Kind("reasoning")]
    | Annotated[ItemReference, Kind("item_reference")],
    Discriminator(_item_kind),
    BeforeValidator(_check_kind),
]

_SENT_ITEM: TypeAdapter[Any] = TypeAdapter(InputItem)

FindItem = Callable[[str], Any]
"""The item that the server sent under an id; None if it does not have it (any more)."""


def _check_tool(tool: Any) -> Any:
    if isinstance(tool, dict) and (kind := str(tool.get("type"))) != "function":
        raise ValueError(f"got a tool of type {kind[:40]}; this server has none of its own, send type function")
    return tool


class FunctionTool(Function):
    """A function that the model may call."""

    ignored = frozenset({"cache_control"})
    no_ops: ClassVar[Mapping[str, Values]] = {
        "allowed_callers": (["direct"],),
        "async": (False,),
        "defer_loading": (False,),
    }
    type: Literal["function"]


AnyTool = Annotated[FunctionTool, BeforeValidator(_check_tool)]


class TextFormat(Strict):
    """The format of the answer."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: CleanStr | None = None
    description: CleanStr | None = None
    schema_: JsonObject | None = Field(None, alias="schema")
    strict: bool | None = None


class TextSettings(Strict):
    """Settings of the answer's text."""

    no_ops: ClassVar[Mapping[str, Values]] = {"verbosity": ("medium",)}
    format: TextFormat | None = None


def _refuse_stored(_: Any) -> None:
    raise ValueError("this server stores no conversations; send the items of the conversation as input")


Stored = Annotated[None, BeforeValidator(_refuse_stored, json_schema_input_type=str | None)]
"""A name of something that OpenAI's server would have stored."""


class NamedChoice(Strict):
    """The choice of one function."""

    type: Literal["function"]
    name: CleanStr


class ResponsesRequest(ReplySettings):
    """A conversation to answer, as items."""

    ignored = IGNORED - {"metadata", "store"}
    no_ops: ClassVar[Mapping[str, Values]] = {
        **ReplySettings.no_ops,
        "background": (False,),
        "parallel_tool_calls": (),
        "tool_choice": EMPTY,
        "top_logprobs": (0,),
        "truncation": ("disabled",),
    }
    input: Annotated[
        Annotated[CleanStr, Kind("text")]
        | Annotated[list[InputItem], Field(min_length=1, max_length=4000), Kind("list")],
        Discriminator(is_list),
    ]
    instructions: CleanStr | None = None
    max_output_tokens: int | None = Field(
        None, ge=1, description="Maximum tokens of thought, hint and answer together."
    )
    text: TextSettings | None = None
    tools: list[AnyTool] | None = Field(None, min_length=1, max_length=1000)
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[CleanStr, CleanStr] | None = Field(None, max_length=16, description="Returned with the response.")
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    store: bool | None = Field(None, description="false: later requests cannot name the items of this response.")
    stop: StopStrings = None
    stream_options: StreamOptions | None = None
    previous_response_id: Stored = None
    conversation: Stored = None

    def chat_request(self, signer: Signer, find_item: FindItem) -> ChatRequest:
        """The chat request that this means. Raises UserError if it contradicts itself, or names an unknown item."""
        shared = {name: getattr(self, name) for name in ReplySettings.model_fields}
        named = self.tool_choice
        return ChatRequest.model_construct(
            **shared,
            messages=[*_with_instructions(self.instructions, list(_messages(self.input, signer, find_item)))],
            max_completion_tokens=self.max_output_tokens,
            stop=self.stop,
            tools=[_tool(tool) for tool in self.tools] if self.tools else None,
            tool_choice=NamedTool(function=NamedFunction(name=named.name)) if isinstance(named, NamedChoice) else named,
            parallel_tool_calls=self.parallel_tool_calls,
            response_format=_response_format(self.text.format if self.text else None),
        )

    @property
    def has_signatures(self) -> bool:
        """Whether thoughts are returned with a signature."""
        return THOUGHT in (self.include or ())

    @property
    def has_summary(self) -> bool:
        """Whether the thought is returned as the summary of a reasoning item, instead of as its content."""
        return bool(self.reasoning and self.reasoning.summary)


def _tool(tool: FunctionTool) -> Tool:
    return Tool(type="function", function=Function(**tool.model_dump(exclude={"type"})))


def _response_format(asked: TextFormat | None) -> ResponseFormat | None:
    """The format of the answer in chat completions' terms. Raises UserError if a schema is missing."""
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return ResponseFormat(type="json_object")
    if asked.schema_ is None or asked.name is None:
        raise UserError("text.format", "json_schema without a name or a schema", "give both")
    return ResponseFormat(
        type="json_schema", json_schema=asked.model_dump(exclude={"type"}, by_alias=True, exclude_none=True)
    )


def _with_instructions(instructions: str | None, messages: Sequence[Message]) -> Iterator[Message]:
    """The messages, with the instructions and the system messages at the beginning as one: many templates take one."""
    count = next((at for at, one in enumerate(messages) if one.role not in ("system", "developer")), len(messages))
    texts = [*([instructions] if instructions else []), *(message.content for message in messages[:count])]
    if texts:
        yield Message.model_construct(role="system", content="\n\n".join(texts))
    yield from messages[count:]


def _found(number: int, item: Any, find_item: FindItem) -> Any:
    """The item, or the one that a reference names. Raises UserError if there is none."""
    if not isinstance(item, ItemReference):
        return item
    if (found := find_item(item.id)) is None:
        do = "send the item itself, as clients do with store: false; this server keeps what it sent for a while only"
        raise UserError(f"input.{number}.id", f"{item.id[:80]}, an item that this server does not have", do)
    try:
        return _SENT_ITEM.validate_python(found)
    except ValueError:  # a call by a model of what is no function's name
        raise UserError(f"input.{number}.id", f"{item.id[:80]}, which cannot be sent back", "leave it out") from None


def _messages(items: str | Sequence[Any], signer: Signer, find_item: FindItem) -> Iterator[Message]:
    """The messages of input items: a thought and the calls after it belong to one message of the assistant."""
    if isinstance(items, str):
        yield Message.model_construct(role="user", content=items)
        return
    thought, turn = "", None
    for number, sent in enumerate(items):
        item = _found(number, sent, find_item)
        if isinstance(item, ReasoningItem):
            if item.encrypted_content and item.text:
                signer.check(f"input.{number}.encrypted_content", item.text, item.encrypted_content)
            thought += item.text
            continue
        is_call = isinstance(item, FunctionCall)
        if turn is not None and not (is_call and not thought):
            yield turn
            turn = None
        if isinstance(item, FunctionOutput):
            yield Message.model_construct(role="tool", content=item.output, tool_call_id=item.call_id)
        elif is_call or item.role == "assistant":
            turn = turn or Message.model_construct(role="assistant", content="", reasoning=thought or None)
            thought = ""
            if isinstance(item, FunctionCall):
                function = CalledFunction(name=item.name, arguments=item.arguments)
                turn.tool_calls = [*(turn.tool_calls or []), CalledTool(id=item.call_id, function=function)]
            else:
                turn.content = item.content
        else:
            thought = ""
            yield item
    if turn is not None:
        yield turn
