"""Sessions on an upstream's `/v1/chat/completions`, for hosts that offer nothing else.

The upstream gets messages and sends thought and answer, in fields of their own or with think tags; the session joins
them to one text with the think tags of the profile. The stream stays open between two samples. Forced tokens close it;
the next sample then asks the host to continue the message with all text so far (`hosts.Host.can_continue`). A host that
keeps budgets itself gets the budget with the request, and nothing is forced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

from z1.engines.cancellation import CANCELLED, await_unless_cancelled
from z1.engines.protocol import Conversation, FinishReason, ForbiddenSequences, Logprob, Sampled, Sampling, ToolPart
from z1.engines.remote.completions import Model, next_event, request_settings, stop_token
from z1.engines.remote.hosts import Host
from z1.engines.remote.replies import Ending, ToolPiece, read_pieces
from z1.engines.remote.text_tokens import TextTokens
from z1.errors import EngineFault, UpstreamFault
from z1.profiles import Profile, decode
from z1.think import EndBias


class ChatSession:
    """One conversation and the reply so far; see `protocol.Session`."""

    def __init__(
        self,
        model: Model,
        profile: Profile,
        host: Host,
        conversation: Conversation,
        start: tuple[Sequence[int], Sampling],
    ) -> None:
        self._model, self._profile, self._host, self._conversation = model, profile, host, conversation
        self.context, self._sampling = list(start[0]), start[1]
        self._prompt_length = len(self.context)
        self.logprobs: Sequence[Logprob] = ()
        self.on_accepted: Callable[[], None] | None = None
        """Called when the upstream has accepted the first request: from then on a failure is not a status."""
        self._stream: _Stream | None = None
        self._running: asyncio.Future[None] | None = None
        self._maximum = self._sampled = 0
        self.tool_parts: list[ToolPart] = []
        """The tool calls of the reply, among the sampled tokens."""

    @property
    def keeps_budget(self) -> bool:
        """Whether the host ends the thought at its budget, so that z1 does not."""
        return self._host.keeps_budgets

    @property
    def can_force(self) -> bool:
        """Whether tokens can be forced."""
        return self._host.can_continue

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit."""
        return self._model.max_model_len - len(self.context)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The tokens so far of the running sample."""
        return self._stream.token_ids[: self._maximum] if self._running and self._stream else ()

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), bias: EndBias | None = None) -> Sampled:
        """Sample 1 to `max_tokens` tokens; `forbidden` is always empty, as `capabilities` says."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        self._running, self._maximum = asyncio.get_running_loop().create_future(), max_tokens
        try:
            was_interrupted = await self._read(self._running, max_tokens)
        except BaseException:
            await self.close()
            raise
        finally:
            self._running = None
        taken = self._stream.take(max_tokens, self._sampling.stop_token_ids) if self._stream else ()
        self.context += taken
        self._sampled += len(taken)
        is_stopped = bool(taken) and taken[-1] in self._sampling.stop_token_ids
        if was_interrupted or is_stopped:
            await self.close()
        if is_stopped:
            return Sampled(taken, FinishReason.STOP)
        return Sampled(taken, FinishReason.INTERRUPTED if was_interrupted else FinishReason.LIMIT)

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens; what the host sent after the tokens that were taken is dropped."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        await self.close()
        self.tool_parts[:] = [part for part in self.tool_parts if part.position < self._sampled]
        self.context += token_ids

    async def fork(self, sampling: Sampling | None = None) -> ChatSession:
        """Another session with the same conversation and reply, which needs a request of its own."""
        start = (self.context[: self._prompt_length], sampling or self._sampling)
        fork = ChatSession(self._model, self._profile, self._host, self._conversation, start)
        fork.context = list(self.context)
        return fork

    def interrupt(self) -> None:
        """Close the stream of the running sample."""
        if self._running is not None and not self._running.done():
            self._running.set_result(None)

    async def close(self) -> None:
        """Close the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stack.aclose()

    async def _read(self, interrupted: asyncio.Future[None], max_tokens: int) -> bool:
        """Read until the stream has `max_tokens` tokens or ends; returns whether it was interrupted."""
        while True:
            if self._stream is None:
                stack = AsyncExitStack()
                request = self._model.connection.stream("/chat/completions", self._body())
                opened: Any = await await_unless_cancelled(interrupted, stack.enter_async_context(request))
                if opened is CANCELLED:
                    await stack.aclose()
                    return True
                self._stream = self._make_stream(stack, opened)
                if self.on_accepted is not None:
                    self.on_accepted()
                    self.on_accepted = None
            stream = self._stream
            while len(stream.token_ids) < max_tokens and not stream.has_ended:
                event: Any = await await_unless_cancelled(interrupted, next_event(stream.events))
                if event is CANCELLED:
                    return True
                stream.add(event)
            if stream.token_ids:
                return False
            if not self.can_force:  # the host's own maximum ends the reply
                stream.stop()
                return False
            await self.close()  # the host reached its own maximum: ask it to continue

    def _make_stream(self, stack: AsyncExitStack, events: AsyncIterator[Any]) -> _Stream:
        generated = self.context[self._prompt_length :]
        text = decode(self._model.tokenizer, generated)
        is_thinking = self._profile.think_end not in text
        joiner = _Joiner(self._profile, is_thinking=is_thinking, may_think=not text, echo=self._written(text)[1])
        tokens = self._model.text_tokens(self.context)
        calls = _Calls(self.tool_parts, tokens, self._sampled)
        return _Stream(stack, events, (joiner, tokens, calls), self._stop_token)

    def _stop_token(self) -> int:
        return stop_token(self._model.tokenizer, self._sampling)

    def _written(self, text: str) -> tuple[str, str]:
        """Thought and content of the message to continue."""
        thought, tag, answer = text.partition(self._profile.think_end)
        thought = thought.removeprefix(self._start_tag).strip("\n")
        if self._host.thought:
            return thought, answer.lstrip("\n")
        closed = f"\n{self._profile.think_end}{answer}" if tag else ""
        return "", f"{self._start_tag}\n{thought}{closed}"

    @property
    def _start_tag(self) -> str:
        return self._profile.think_start.strip() or self._profile.think_end.strip().replace("</", "<", 1)

    def _body(self) -> dict[str, Any]:
        """The request: the conversation, or the message so far to continue."""
        asked, host = self._conversation, self._host
        body: dict[str, Any] = {"model": self._model.name, "messages": list(asked.messages), "stream": True}
        body |= request_settings(self._sampling, len(self.context), 0, (), with_token_ids=False)
        body |= asked.fields or {}
        generated = self.context[self._prompt_length :]
        if asked.max_tokens is not None:
            body["max_tokens"] = max(1, asked.max_tokens - len(generated))
        if not generated:
            if host.budget is not None and host.keeps_budgets and asked.thinking_budget is not None:
                body.update(host.budget(asked.thinking_budget))
            return body
        if not self.can_force:
            raise EngineFault(f"the upstream ({host.name}) cannot continue a reply")
        thought, content = self._written(decode(self._model.tokenizer, generated))
        message: dict[str, Any] = {"role": "assistant", "content": content, **(host.message or {})}
        message |= {host.thought: thought} if host.thought else {}
        return {**body, "messages": [*asked.messages, message], **(host.body or {})}


class _Joiner:
    """Joins thought and content of a host to one text: thought, closing tag, answer."""

    def __init__(self, profile: Profile, *, is_thinking: bool, may_think: bool, echo: str) -> None:
        self._end = profile.think_end
        self._start = profile.think_start.strip() or self._end.strip().replace("</", "<", 1)
        self._is_thinking, self._is_unknown, self._echo = is_thinking, may_think, "" if may_think else echo
        self._held = ""

    def add(self, reasoning: str, content: str, *, is_last: bool) -> str:
        """The text that is now certain."""
        if reasoning and self._is_thinking:
            self._is_unknown = False
            return reasoning + (self._add_content(content, is_last=is_last) if content else "")
        return self._add_content(reasoning + content, is_last=is_last)

    def end_thought(self) -> str:
        """The text before something that is no text: what was held back, and the closing tag of a thought."""
        text, self._is_unknown = self._add_content("", is_last=True), False
        tag, self._is_thinking = self._end if self._is_thinking else "", False
        return text + tag

    def _add_content(self, content: str, *, is_last: bool) -> str:
        text, self._held = self._held + content, ""
        if self._echo:  # some hosts repeat the message that they continue
            if not is_last and self._echo.startswith(text):
                self._held = text
                return ""
            text, self._echo = text.removeprefix(self._echo), ""
        if self._is_thinking and self._is_unknown and text:
            begun = text.lstrip()
            if not is_last and self._start.startswith(begun):
                self._held = text
                return ""
            self._is_unknown = False
            if begun.startswith(self._start):  # think tags in the content
                self._is_thinking = False
                return begun.removeprefix(self._start).removeprefix("\n")
        if self._is_thinking and text:
            self._is_thinking = False
            return self._end + text
        return text


class _Calls:
    """Records in `parts` which tokens are tool calls. `position` is that of the first token of the stream."""

    def __init__(self, parts: list[ToolPart], text: TextTokens, position: int) -> None:
        self._parts, self._text, self._position = parts, text, position
        self._numbers: dict[Any, int] = {}
        self._current = -1

    def tokens(self, piece: ToolPiece, before: int) -> list[int]:
        """The tokens of a piece of a call, after `before` tokens of the stream."""
        token_ids: list[int] = []
        is_new = piece.call not in self._numbers
        number = self._numbers.setdefault(piece.call, len(self._numbers))
        if is_new:
            token_ids += self._text.feed(piece.name) + self._text.flush()
            self._parts.append(ToolPart(self._position + before, number, piece.id or f"call_{uuid4().hex}", piece.name))
        if is_new or number != self._current:
            self._parts.append(ToolPart(self._position + before + len(token_ids), number))
            self._current = number
        return token_ids + self._text.feed(piece.arguments)

    def end(self, before: int) -> None:
        """Text follows."""
        if self._current >= 0:
            self._parts.append(ToolPart(self._position + before, -1))
            self._current = -1


class _Stream:
    """An open reply of the host: the tokens that came and were not taken, and whether more can come."""

    def __init__(
        self,
        stack: AsyncExitStack,
        events: AsyncIterator[Any],
        parts: tuple[_Joiner, TextTokens, _Calls],
        make_stop: Callable[[], int],
    ) -> None:
        self.stack, self.events = stack, events
        self._taken = 0
        self.token_ids: list[int] = []
        self.has_ended = False
        self._joiner, self._text, self._calls = parts
        self._make_stop = make_stop
        self._ending: Ending | None = None
        self._has_text = False

    def add(self, event: Any) -> None:
        """Add an event; None is the end of the stream."""
        if event is None:
            if self._ending is None:
                raise UpstreamFault("the upstream broke off its response: no finish reason")
            return self._end(Ending.STOP)
        for piece in read_pieces(event, None):
            self._ending = piece.ending or self._ending
            is_last = self._ending in (Ending.STOP, Ending.LENGTH)
            self._has_text = self._has_text or bool(piece.text or piece.reasoning or piece.tools)
            self._add_text(self._joiner.add(piece.reasoning, piece.text, is_last=is_last))
            for tool in piece.tools:
                self._add_text(self._joiner.end_thought())
                self.token_ids += self._text.flush()
                self.token_ids += self._calls.tokens(tool, self._taken + len(self.token_ids))
            if is_last:
                return self._end(self._ending)
        return None

    def _add_text(self, text: str) -> None:
        if text:
            self._calls.end(self._taken + len(self.token_ids))
            self.token_ids += self._text.feed(text)

    def take(self, count: int, stops: frozenset[int]) -> tuple[int, ...]:
        """Remove and return the first `count` tokens, up to a stop token."""
        stop = next((at for at, token in enumerate(self.token_ids[:count], 1) if token in stops), count)
        taken, self.token_ids = tuple(self.token_ids[:stop]), self.token_ids[stop:]
        self._taken += len(taken)
        return taken

    def stop(self) -> None:
        """The reply is complete: its stop token follows."""
        self.token_ids.append(self._make_stop())

    def _end(self, ending: Ending | None) -> None:
        self.has_ended = True
        self._add_text(self._joiner.add("", "", is_last=True))
        self.token_ids += self._text.flush()
        if not self._has_text:
            raise EngineFault("the upstream's stream has no reply")
        if ending is not Ending.LENGTH:
            self.stop()
