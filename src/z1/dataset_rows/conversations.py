"""Conversations: lists of turns, by role.

A turn is a mapping with `role` and `content` (OpenAI's chat format) or `from` and `value` (ShareGPT). Content is a text
or a list of text parts. An assistant's turn may hold its thought beside the content, as servers return it.

An exchange is any system turns, one turn of the user, and one of the assistant; a conversation may have several, and
the last one may have no reply. Others are left out with the reason: several turns of the user in a row, tools, or a
first turn of the assistant, which would be learned as an answer to what follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from z1.dataset_rows.values import LeftOut, RowDefect, is_missing, shown, text

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"

ROLES = {
    "system": SYSTEM,
    "developer": SYSTEM,
    "user": USER,
    "human": USER,
    "prompter": USER,
    "assistant": ASSISTANT,
    "gpt": ASSISTANT,
    "model": ASSISTANT,
    "bot": ASSISTANT,
    "chatgpt": ASSISTANT,
    "tool": TOOL,
    "function": TOOL,
    "observation": TOOL,
    "function_call": TOOL,
    "function-call": TOOL,
    "tool_call": TOOL,
    "tool_response": TOOL,
}
"""Roles of the formats, in lower case."""

THOUGHT_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
"""Keys of an assistant's turn that may hold its thought."""

TOOL_KEYS = ("tool_calls", "function_call", "tool_call_id")


class Exchange(NamedTuple):
    """The texts of a conversation of one exchange; `reply` and `thought` are "" if it has no assistant's turn."""

    system: str
    user: str
    thought: str
    reply: str

    def part(self, name: str) -> str:
        """The text that a mapping names: system, user, prompt (system and user), thought or assistant."""
        parts = {
            SYSTEM: self.system,
            USER: self.user,
            "prompt": "\n\n".join(filter(None, (self.system, self.user))),
            "thought": self.thought,
            ASSISTANT: self.reply,
        }
        return parts[name]


PARTS = (SYSTEM, USER, "prompt", "thought", ASSISTANT)
"""The names that `Exchange.part` knows."""


def read_exchange(column: str, value: Any) -> Exchange:
    """The exchange in a list of turns. Raises RowDefect if it is none, LeftOut if it is not a single exchange."""
    if isinstance(value, str) and value.strip() and not value.lstrip().startswith("[{"):
        return Exchange("", value, "", "")
    if not isinstance(value, list) or not value:
        raise RowDefect(column, shown(value), "a list of turns")
    turns = [_read_turn(f"{column}[{number}]", turn) for number, turn in enumerate(value)]
    roles = [role for role, _, _ in turns]
    if TOOL in roles:
        raise LeftOut("tool calls")
    spoken = [role for role in roles if role != SYSTEM]
    if spoken[:1] == [ASSISTANT]:
        raise LeftOut("the assistant speaks first")
    if spoken not in ([USER], [USER, ASSISTANT]):
        raise LeftOut(f"{spoken.count(USER)} turns of the user" if spoken else "no turn of the user")
    texts = {role: (content, thought) for role, content, thought in turns if role != SYSTEM}
    system = "\n\n".join(content for role, content, _ in turns if role == SYSTEM and content.strip())
    reply, thought = texts.get(ASSISTANT, ("", ""))
    return Exchange(system, texts[USER][0], thought, reply)


def split_exchanges(turns: list[Any]) -> list[list[Any]]:
    """The turns by exchange: a new one begins after each reply. Malformed turns stay where they are."""
    found: list[list[Any]] = [[]]
    for turn in turns:
        if found[-1] and has_reply(found[-1]) and _role(turn) in (SYSTEM, USER):
            found.append([])
        found[-1].append(turn)
    return found


def has_reply(turns: list[Any]) -> bool:
    """Whether an exchange ends with a turn of the assistant."""
    return _role(turns[-1]) == ASSISTANT


def _role(turn: Any) -> str | None:
    named = turn.get("role", turn.get("from")) if isinstance(turn, Mapping) else None
    return ROLES.get(named.strip().lower()) if isinstance(named, str) else None


def _read_turn(column: str, turn: Any) -> tuple[str, str, str]:
    """Role, content and thought of a turn."""
    if not isinstance(turn, Mapping):
        raise RowDefect(column, shown(turn), "a turn with a role and a content")
    role_key, content_key = ("role", "content") if "role" in turn else ("from", "value")
    named = text(f"{column}.{role_key}", turn.get(role_key))
    role = ROLES.get(named.strip().lower())
    if role is None:
        raise RowDefect(f"{column}.{role_key}", shown(turn.get(role_key)), f"one of {', '.join(ROLES)}")
    if any(turn.get(key) for key in TOOL_KEYS):
        role = TOOL
    thoughts = [text(f"{column}.{key}", turn[key]) for key in THOUGHT_KEYS if not is_missing(turn.get(key))]
    content = _content(f"{column}.{content_key}", turn.get(content_key))
    if role == USER and not content.strip():
        raise RowDefect(f"{column}.{content_key}", "an empty turn of the user", "a text")
    return role, content, next(filter(None, thoughts), "")


def _content(column: str, value: Any) -> str:
    if not isinstance(value, list):
        return text(column, value)
    parts = []
    for part in value:
        if not isinstance(part, Mapping) or part.get("type", "text") not in ("text", "input_text", "output_text"):
            raise RowDefect(column, shown(part), "text parts")
        parts.append(text(column, part.get("text")))
    return "".join(parts)
