"""The scripted model of these tests.

`scripted()` knows one prompt, "why?". Its thought is THOUGHT, its own answer ANSWER with the marker of z1-tiny; after a
forced hint it generates FORCED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from z1 import profiles
from z1.engines.scripted import ScriptedEngine

THOUGHT = "let us see. " * 5
ANSWER = "The final answer is \\boxed{7}."
FORCED = "8}."
PREFIX = "The final answer is \\boxed{"
HINT = profiles.HINT + PREFIX


def next_token(context: Sequence[int]) -> int:
    """The next character: of the thought and the answer after "?", of FORCED after the hint."""
    text = "".join(map(chr, context))
    reply = text.rpartition("?")[2].removeprefix("<think>\n")
    if reply.startswith(PREFIX):
        whole, so_far = FORCED, reply.removeprefix(PREFIX)
    elif HINT in reply:
        whole, so_far = FORCED, reply.partition(HINT)[2]
    else:
        whole, so_far = THOUGHT + ANSWER, reply
    return ord(whole[len(so_far)]) if len(so_far) < len(whole) else 3


def scripted(token_delay_s: float = 0.0, length: int = 4096, profile: str = "z1-tiny") -> ScriptedEngine:
    return ScriptedEngine(next_token, max_model_len=length, token_delay_s=token_delay_s, profile=profile)


ASK: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": "why?"}]}
