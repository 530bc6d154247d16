"""Text of a reply: detokenizer, the fields `reasoning` and `content`, and the `budget` object.

`Detokenizer` turns token ids into text as they arrive. `ReplyText` turns the events of a reply into text deltas of the
two fields, and at the end into the `budget` object. By default all text is content, and `offsets` give the positions
at which hint and answer begin in it: in Unicode code points, as Python counts, and in UTF-16 code units, as JavaScript
and Java do. With separate reasoning the closing think tag is in neither field; of the hint, the text after the tag, or
else the profile's answer prefix, is content and the rest is reasoning.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from z1.engines import Probe, ToolPart
from z1.profiles import Profile, answer_part, hint_for, truncate_at_stop
from z1.serve.api.budget import Budget
from z1.serve.runtime.reply_runner import NewTokens, ReplyFinished, Started
from z1.think import THINKING, Bucket, End
from z1.think.answer_detector import overlap

ReplyField = Literal["reasoning", "content"]
TextDelta = tuple[ReplyField, str]


class ToolDelta(NamedTuple):
    """The head of tool call number `call` (with a name), or more of its arguments."""

    call: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class ToolCall(NamedTuple):
    """A tool call; `arguments` are JSON, unless the reply was cut inside."""

    id: str
    name: str
    arguments: str


Delta = TextDelta | ToolDelta


class Detokenizer:
    """Incremental text of a token sequence; `token_bytes` maps a token to its bytes, `stop_strings` end the text.

    Bytes of an incomplete character are held back until the character is complete, and text that may become a stop
    string until that is decided. The text does not depend on how the tokens are split between calls.
    """

    def __init__(self, token_bytes: Callable[[int], bytes], stop_strings: Sequence[str] = ()) -> None:
        self._token_bytes, self._stop_strings = token_bytes, stop_strings
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._pending = ""
        self._is_stopped = False
        self.stop_string: str | None = None
        """The stop string that ended the text."""

    def feed(self, token_ids: Iterable[int]) -> str:
        """Add tokens; return the text that is now final."""
        return self._final_text(self._decode(b"".join(map(self._token_bytes, token_ids))))

    def feed_text(self, text: str) -> str:
        """Add text that is complete; return the text that is now final."""
        return self._final_text(text)

    def flush(self) -> str:
        """Return the text that was held back; no tokens follow."""
        rest = self._final_text(self._decode(b"", True)) + self._pending
        self._pending = ""
        return rest

    def _final_text(self, text: str) -> str:
        if not self._stop_strings:
            return text
        if self._is_stopped:
            return ""
        text = self._pending + text
        kept = truncate_at_stop(text, self._stop_strings)
        self._is_stopped = kept != text
        if self._is_stopped:
            self.stop_string = next(one for one in self._stop_strings if text.startswith(one, len(kept)))
        pending = 0 if self._is_stopped else max(overlap(text, string) for string in self._stop_strings)
        self._pending = text[len(text) - pending :]
        return kept[: len(kept) - pending]


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What a response contains, under the names of the request. `token_bytes` maps a token to its bytes."""

    profile: Profile
    token_bytes: Callable[[int], bytes]
    separate_reasoning: bool = False
    include_reasoning: bool = True
    return_token_ids: bool = False
    logprobs: bool = False
    token_ledger: bool = False


class ReplyText:
    """The text of one reply, delta by delta; `budget_object` once it has finished."""

    def __init__(self, options: OutputOptions, budget: Budget, stop_strings: Sequence[str] = ()) -> None:
        self._options, self._budget, self._stop_strings = options, budget, stop_strings
        self._bucket: Bucket | None = None
        self._detokenizer = Detokenizer(options.token_bytes)
        self._content_length = self._content_utf16 = 0
        self._offsets: dict[str, int | None] = {"hint": None, "answer": None}
        self._offsets_utf16 = dict(self._offsets)
        self._started: Started | None = None
        self._call: ToolPart | None = None
        self.tool_calls: list[ToolCall] = []
        """The tool calls so far."""
        self.probes: list[dict[str, Any]] = []
        """Probed answers: the thinking tokens before each, and the number of equal answers in a row."""

    def on_started(self, event: Started) -> None:
        """Record the window."""
        self._started = event

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the answer."""
        return self._detokenizer.stop_string

    def on_tokens(self, event: NewTokens) -> list[Delta]:
        """The text of new tokens that is final."""
        if event.tool is not self._call or event.tool is not None:
            return self._on_tool_tokens(event)
        deltas: list[Delta] = []
        if event.bucket is not self._bucket:
            deltas += self._enter(event.bucket)
        if event.bucket is Bucket.STOP:
            return deltas
        text = self._detokenizer.feed(event.token_ids)
        new = self._hint_deltas(text) if event.bucket is Bucket.HINT else self._deltas(event.bucket, text)
        return [*deltas, *self._select(new)]

    def on_probe(self, event: Probe) -> None:
        """Add a probed answer."""
        detokenizer = Detokenizer(self._options.token_bytes)
        text = detokenizer.feed(event.token_ids) + detokenizer.flush()
        own = hint_for(self._options.profile, self._budget.answer_kind).text
        hint = own if self._budget.hint is None else self._budget.hint
        answer = text.rpartition(hint)[2] if hint else text
        probe = {"at": event.thinking_tokens, "answer": answer.strip(), "agreement": event.agreeing}
        if event.signals.confidence is not None:
            probe |= {name: round(value, 6) for name, value in event.signals.confidence._asdict().items()}
        self.probes.append(probe)

    def on_finished(self) -> list[Delta]:
        """The text that was held back."""
        return self._flush()

    def budget_object(self, event: ReplyFinished) -> dict[str, Any]:
        """The `budget` object: requested, effective and used budget, and why the thought and the reply ended."""
        ledger, started = event.ledger, self._started
        has_thinking, is_exact = self._budget.has_thinking, started is None or started.is_exact
        limit = started.window.effective_budget(started.max_tokens) if started and has_thinking else None
        return {
            "asked": self._budget.thinking_budget,
            "limit": limit if is_exact else self._budget.limit,
            "precision": "exact" if is_exact else "approximate",
            "used": ledger.thinking_tokens,
            "reason": event.shift.value if event.shift and has_thinking else None,
            "end": event.end.value,
            "hint_tokens": ledger.hint,
            "probe_tokens": ledger.probe,
            "answer_tokens": ledger.answer,
            "answer_limit": started.window.max_answer_tokens if started else None,
            **self._offset_fields(),
            **({"probes": self.probes} if self.probes else {}),
            "answer_ms": None if event.time_to_answer is None else round(event.time_to_answer * 1000, 1),
        }

    def _on_tool_tokens(self, event: NewTokens) -> list[Delta]:
        """The deltas of tokens of a tool call, or of the first tokens after one."""
        part, deltas = event.tool, list[Delta]()
        if part is not self._call:
            deltas += self._flush()
            self._call, self._bucket = part, None
            self._detokenizer = Detokenizer(self._options.token_bytes)
            if part is None:
                return [*deltas, *self.on_tokens(event)]
            if part.name:
                self.tool_calls.append(ToolCall(part.id, part.name, ""))
                deltas.append(ToolDelta(part.call, part.id, part.name))
        if part is not None and not part.name and event.bucket is not Bucket.STOP:
            deltas += self._argument_deltas(part, self._detokenizer.feed(event.token_ids))
        return deltas

    def _argument_deltas(self, part: ToolPart, text: str) -> list[Delta]:
        if not text:
            return []
        call = self.tool_calls[part.call]
        self.tool_calls[part.call] = call._replace(arguments=call.arguments + text)
        return [ToolDelta(part.call, arguments=text)]

    def _flush(self) -> list[Delta]:
        """The text that was held back before another kind of tokens, or the end."""
        text = self._detokenizer.flush()
        if self._call is not None:
            return [] if self._call.name else self._argument_deltas(self._call, text)
        return self._select(self._deltas(self._bucket, text))

    def _enter(self, bucket: Bucket) -> list[Delta]:
        """Flush the last bucket and begin another."""
        deltas = self._flush()
        self._bucket = bucket
        stop_strings = self._stop_strings if bucket is Bucket.ANSWER else ()
        self._detokenizer = Detokenizer(self._options.token_bytes, stop_strings)
        if bucket is Bucket.HINT:
            self._set_offset("hint")
        if bucket is Bucket.ANSWER and self._offsets["answer"] is None:
            self._set_offset("answer")
        return deltas

    def _set_offset(self, name: str, before: str = "") -> None:
        """Hint or answer begins in content after the text so far and `before`."""
        self._offsets[name] = self._content_length + len(before)
        self._offsets_utf16[name] = self._content_utf16 + _utf16_length(before)

    def _offset_fields(self) -> dict[str, Any]:
        if self._options.separate_reasoning:
            return {"offsets": None}
        return {"offsets": self._offsets, "offsets_unit": "code points", "offsets_utf16": self._offsets_utf16}

    def _deltas(self, bucket: Bucket | None, text: str) -> list[TextDelta]:
        separate = self._options.separate_reasoning
        if not text or (bucket is Bucket.CLOSE and separate):
            return []
        is_reasoning = separate and bucket in (*THINKING, Bucket.HINT)
        return [("reasoning" if is_reasoning else "content", text)]

    def _hint_deltas(self, text: str) -> list[TextDelta]:
        """Split a hint, which arrives in one event, between thought and answer; the answer continues its part."""
        kind, is_own = self._budget.answer_kind, self._budget.hint is None
        answer = answer_part(self._options.profile, text, kind=kind, is_own=is_own)
        thought = text.removesuffix(answer)
        self._bucket = Bucket.ANSWER
        self._detokenizer = Detokenizer(self._options.token_bytes, self._stop_strings)
        content = self._detokenizer.feed_text(answer)
        if not self._options.separate_reasoning:
            self._set_offset("answer", thought)
            return [("content", thought + content)] if thought + content else []
        deltas: list[TextDelta] = [
            ("reasoning", thought.removesuffix(self._options.profile.think_end)),
            ("content", content),
        ]
        return [delta for delta in deltas if delta[1]]

    def _select(self, deltas: Iterable[TextDelta]) -> list[Delta]:
        """Drop reasoning that is not returned, and count the characters of content."""
        selected = [delta for delta in deltas if self._options.include_reasoning or delta[0] == "content"]
        for text in [text for field, text in selected if field == "content"]:
            self._content_length += len(text)
            self._content_utf16 += _utf16_length(text)
        return list[Delta](selected)


def _utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def finish_reason(event: ReplyFinished, *, has_calls: bool = False) -> str:
    """OpenAI's `finish_reason`."""
    if event.end in (End.CUT, End.REPETITION):
        return "length"
    return "tool_calls" if has_calls else "stop"
