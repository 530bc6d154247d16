"""The bodies of POST /v1/messages and /v1/messages/count_tokens, and the chat request that they mean.

A thinking block has the signature with which this server returned it. Blocks of a tool loop are kept for the upstream's
chat template; other thoughts are left out of the prompt. Source: the types of the anthropic package 2.14.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field
from pydantic import Tag as Kind

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
    Thought,
    Tool,
    is_list,
)
from z1.serve.api.parameters import IGNORED, Values
from z1.serve.api.schema import ChatRequest, OutputConfig, ReplySettings
from z1.serve.api.signature import Signer

LABELS = frozenset({"cache_control", "citations", "caller", "toolset_name"})
"""Fields of blocks and tools that change nothing here."""


class ContentBlock(Strict):
    """A block of a message."""

    ignored = LABELS


class TextBlock(ContentBlock):
    """A text."""

    type: Literal["text"]
    text: CleanStr


class ThinkingBlock(ContentBlock):
    """A thought of an earlier reply, with its signature."""

    type: Literal["thinking"]
    thinking: Thought = None
    signature: str | None = None


class RedactedThinking(ContentBlock):
    """A thought that another server hid; it is left out."""

    type: Literal["redacted_thinking"]
    data: str | None = None


class ToolUse(ContentBlock):
    """A tool call of an earlier reply."""

    type: Literal["tool_use"]
    id: CleanStr
    name: CleanStr = Field(min_length=1, max_length=256)
    input: JsonObject


class ToolResult(ContentBlock):
    """What a tool call returned."""

    type: Literal["tool_result"]
    tool_use_id: CleanStr
    content: Content = ""
    is_error: bool | None = None


BLOCK_KINDS = ("text", "thinking", "redacted_thinking", "tool_use", "tool_result")


def _block_kind(block: Any) -> str:
    return str(block.get("type")) if isinstance(block, dict) else "none"


def _check_kind(block: Any) -> Any:
    if (kind := _block_kind(block)) not in BLOCK_KINDS:
        raise ValueError(f"got a block of type {kind[:40]}; send blocks of type {', '.join(BLOCK_KINDS)}")
    return block


AnyBlock = Annotated[
    Annotated[TextBlock, Kind("text")]
    | Annotated[ThinkingBlock, Kind("thinking")]
    | Annotated[RedactedThinking, Kind("redacted_thinking")]
    | Annotated[ToolUse, Kind("tool_use")]
    | Annotated[ToolResult, Kind("tool_result")],
    Discriminator(_block_kind),
    BeforeValidator(_check_kind),
]


class MessageParam(Strict):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[
        Annotated[CleanStr, Kind("text")] | Annotated[list[AnyBlock], Kind("list")], Discriminator(is_list)
    ]


def _check_tool(tool: Any) -> Any:
    if isinstance(tool, dict) and (kind := str(tool.get("type") or "custom")) != "custom":
        raise ValueError(f"got a tool of type {kind[:40]}; this server has none of its own, send type custom")
    return tool


class ClientTool(Strict):
    """A tool that the client runs."""

    ignored = LABELS | {"eager_input_streaming", "input_examples"}
    no_ops: ClassVar[Mapping[str, Values]] = {"allowed_callers": (["direct"],), "defer_loading": (False,)}
    type: Literal["custom"] = "custom"
    name: CleanStr = Field(min_length=1, max_length=256)
    description: CleanStr | None = None
    input_schema: JsonObject
    strict: bool | None = None


class ToolChoice(Strict):
    """Whether the model calls tools, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: CleanStr | None = None
    disable_parallel_tool_use: bool | None = None


class JsonFormat(Strict):
    """A JSON schema that the answer has to fit."""

    type: Literal["json_schema"]
    schema_: JsonObject = Field(alias="schema")


class FormattedOutput(OutputConfig):
    """Effort, and the format of the answer."""

    format: JsonFormat | None = None


class CountRequest(ReplySettings):
    """A conversation whose tokens are counted."""

    ignored = IGNORED | {"cache_control"}
    no_ops: ClassVar[Mapping[str, Values]] = {**ReplySettings.no_ops, "speed": ("standard",), "tool_choice": ()}
    messages: list[MessageParam] = Field(min_length=1, max_length=2000)
    system: Annotated[
        Annotated[CleanStr | None, Kind("text")] | Annotated[list[TextBlock], Kind("list")], Discriminator(is_list)
    ] = None
    tools: list[Annotated[ClientTool, BeforeValidator(_check_tool)]] | None = Field(None, min_length=1, max_length=1000)
    tool_choice: ToolChoice | None = None
    output_config: FormattedOutput | None = None

    def chat_request(self, signer: Signer) -> ChatRequest:
        """The chat request that this means. Raises UserError for a signature that is not this server's."""
        shared = {name: getattr(self, name) for name in ReplySettings.model_fields if name != "output_config"}
        config, choice = self.output_config, self.tool_choice
        return ChatRequest.model_construct(
            **shared,
            messages=[*_system(self.system), *_messages(self.messages, signer)],
            output_config=OutputConfig(effort=config.effort) if config else None,
            tools=[_tool(tool) for tool in self.tools] if self.tools else None,
            tool_choice=_choice(choice) if choice else None,
            parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
            response_format=_response_format(config.format if config else None),
        )


class MessagesRequest(CountRequest):
    """A conversation to answer."""

    max_tokens: int = Field(ge=1, description="Maximum tokens of thought, hint and answer together.")
    stop_sequences: list[Annotated[CleanStr, Field(min_length=1, max_length=500)]] | None = Field(None, max_length=16)

    def chat_request(self, signer: Signer) -> ChatRequest:
        """The chat request that this means. Raises UserError for a signature that is not this server's."""
        fields = {"max_tokens": self.max_tokens, "stop": self.stop_sequences}
        return super().chat_request(signer).model_copy(update=fields)


def _tool(tool: ClientTool) -> Tool:
    function = Function(name=tool.name, description=tool.description, parameters=tool.input_schema, strict=tool.strict)
    return Tool(type="function", function=function)


def _choice(choice: ToolChoice) -> Any:
    if choice.type == "tool":
        return NamedTool(function=NamedFunction(name=choice.name or ""))
    return {"auto": "auto", "any": "required", "none": "none"}[choice.type]


def _response_format(asked: JsonFormat | None) -> ResponseFormat | None:
    if asked is None:
        return None
    return ResponseFormat(type="json_schema", json_schema={"name": "answer", "schema": asked.schema_, "strict": True})


def _system(system: str | Sequence[TextBlock] | None) -> Iterator[Message]:
    text = system if isinstance(system, str) else "\n\n".join(block.text for block in system or ())
    if text:
        yield Message.model_construct(role="system", content=text)


def _messages(messages: Sequence[MessageParam], signer: Signer) -> Iterator[Message]:
    for number, message in enumerate(messages):
        if isinstance(message.content, str):
            yield Message.model_construct(role=message.role, content=message.content)
        elif message.role == "assistant":
            yield _assistant(f"messages.{number}.content", message.content, signer)
        else:
            yield from _user(message)


def _assistant(name: str, blocks: Sequence[Any], signer: Signer) -> Message:
    """A message of the assistant. Raises UserError for a thought whose signature is not this server's."""
    thoughts = []
    for number, block in enumerate(blocks):
        if isinstance(block, ThinkingBlock) and block.thinking:
            signer.check(f"{name}.{number}.signature", block.thinking, block.signature or "")
            thoughts.append(block.thinking)
    calls = [
        CalledTool(
            id=block.id, function=CalledFunction(name=block.name, arguments=json.dumps(block.input, ensure_ascii=False))
        )
        for block in blocks
        if isinstance(block, ToolUse)
    ]
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    return Message.model_construct(
        role="assistant", content=text, tool_calls=calls or None, reasoning="".join(thoughts) or None
    )


def _user(message: MessageParam) -> Iterator[Message]:
    """The results of tools as messages of their own, then the text."""
    texts = []
    for block in message.content:
        if isinstance(block, ToolResult):
            yield Message.model_construct(role="tool", content=block.content, tool_call_id=block.tool_use_id)
        elif isinstance(block, TextBlock):
            texts.append(block.text)
    if texts or not message.content:
        yield Message.model_construct(role=message.role, content="\n\n".join(texts))
