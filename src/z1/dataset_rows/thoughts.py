"""Thought and answer of a response, by the tags of all known families.

A response may hold its thought between tags (`<think>…</think>`), between OpenThoughts' tags, or in channels of
OpenAI's harmony format. A template that opens the thought in the prompt leaves only the end tag. Tags that are not at
the start of a response, or that do not match, are text.

Sources: https://huggingface.co/deepseek-ai/DeepSeek-R1 (`<think>`), https://huggingface.co/datasets/open-thoughts/
OpenThoughts-114k (`<|begin_of_thought|>`), https://huggingface.co/mistralai/Magistral-Small-2509 (`[THINK]`),
https://github.com/openai/harmony (channels).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from z1.dataset_rows.values import LeftOut

TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
)
"""Start and end tags of thoughts."""

ANSWER_TAGS = ("<|begin_of_solution|>", "<|end_of_solution|>")
"""OpenThoughts' tags of the answer."""

_CHANNEL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>(?P<name>\w+)[^<]*<\|message\|>(?P<text>.*?)"
    r"(?:<\|end\|>|<\|return\|>|<\|call\|>|\Z)",
    re.DOTALL,
)

MARKERS = re.compile(
    "|".join(
        [
            *(re.escape(tag) for pair in (*TAGS, ANSWER_TAGS) for tag in pair),
            r"<\|(?:im_start|im_end|im_sep|endoftext|end_of_text|begin_of_text|eot_id|start_header_id|end_header_id|eom_id"
            r"|start|end|channel|message|return|call|user|assistant|system|observation|end_of_turn|eos)\|>",
            r"<(?:start|end)_of_turn>|<(?:bos|eos)>|\[/?INST\]|<</?SYS>>",
            r"<[｜|](?:begin|end)[▁_]of[▁_]sentence[｜|]>|<[｜|](?:User|Assistant)[｜|]>",
            r"^### (?:Instruction|Response):",
        ]
    ),
    re.MULTILINE,
)
"""Think tags, turn tokens and fragments of templates that a response should not hold as text."""


class Parts(NamedTuple):
    """A thought, "" if there is none, and the answer."""

    thought: str
    answer: str


def split(response: str) -> Parts:
    """Thought and answer of a response. Raises LeftOut if its thought is not closed."""
    if "<|channel|>" in response:
        return _split_channels(response)
    start = response.lstrip()
    for opening, closing in TAGS:
        if start.startswith(opening):
            thought, tag, answer = start[len(opening) :].partition(closing)
            if not tag:
                raise LeftOut(f"a thought that {closing} does not close")
            return Parts(thought.strip(), _bare_answer(answer))
        if closing in response and opening not in response:
            thought, _, answer = response.partition(closing)
            return Parts(thought.strip(), _bare_answer(answer))
    return Parts("", response)


def _bare_answer(answer: str) -> str:
    bare = answer.strip()
    opening, closing = ANSWER_TAGS
    return bare.removeprefix(opening).removesuffix(closing).strip() if bare.startswith(opening) else bare


def _split_channels(response: str) -> Parts:
    """The analysis and the final channel of a reply in harmony format."""
    found = list(_CHANNEL.finditer(response))
    if any(match["name"] == "commentary" for match in found):
        raise LeftOut("tool calls")
    finals = [match["text"].strip() for match in found if match["name"] == "final"]
    if not finals:
        raise LeftOut("no final channel")
    thoughts = [match["text"].strip() for match in found if match["name"] == "analysis"]
    return Parts("\n\n".join(filter(None, thoughts)), finals[-1])


def join(thought: str, answer: str, *, tags: bool = False) -> str:
    """Thought and answer as one text, without tags or between `<think>` tags."""
    if tags and thought:
        return f"<think>\n{thought}\n</think>\n\n{answer}"
    return f"{thought}\n\n{answer}" if thought and answer else thought or answer
