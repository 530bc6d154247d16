"""Rendering of prompts and training responses with a family's chat template and think tags.

One renderer serves training and inference: only `prompt_token_ids` turns a prompt into token ids, and only
`response_segments` writes a trajectory as a response. Text in user turns never becomes a control token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

from z1.errors import UserError, Z1Error
from z1.profiles import Profile, Tokenizer
from z1.surrogates import replace_surrogates

Messages = str | Sequence[dict[str, str]]
"""A question, or a conversation as role and content."""

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The chat template of a base model that has none."""

SEGMENT_BREAK = "\ue0f1"
"""Marks where a control text in a turn is split; a private-use character, removed from turns before."""


def chat_template(tokenizer: Tokenizer) -> str:
    """The tokenizer's own chat template, or ChatML after the tokens with which the tokenizer begins every text."""
    if tokenizer.chat_template:
        return str(tokenizer.chat_template)
    prefix = tokenizer.encode("")  # what a base model was trained to see first, such as Llama's <s>
    prefix = prefix[:-1] if prefix[-1:] == [tokenizer.eos_token_id] else prefix
    return str(tokenizer.decode(prefix, skip_special_tokens=False)) + CHATML


def render_prompt(tokenizer: Tokenizer, profile: Profile, messages: Messages) -> str:
    """The prompt of a question or a conversation, up to where the model begins to think."""
    return "".join(prompt_segments(tokenizer, profile, messages))


def prompt_token_ids(tokenizer: Tokenizer, profile: Profile, messages: Messages) -> list[int]:
    """The token ids of `render_prompt`. The template writes the begin-of-text token, so the tokenizer adds none."""
    segments = prompt_segments(tokenizer, profile, messages)
    with refusals_as_user_errors("tokenizer"):
        return [token for segment in segments for token in tokenizer.encode(segment, add_special_tokens=False)]


def tool_prompt_token_ids(
    tokenizer: Tokenizer, profile: Profile, messages: Sequence[dict[str, Any]], tools: Any
) -> list[int]:
    """About the token ids of a conversation with `tools` (OpenAI's), which an upstream renders: those of this
    tokenizer's chat template, or of the conversation as JSON if the template refuses it.
    """
    try:
        with refusals_as_user_errors("chat template"):
            turns = [{**turn, **_parsed_calls(turn)} for turn in messages]
            settings = {"tokenize": False, "add_generation_prompt": True, **dict(profile.template_settings)}
            template = None if tokenizer.chat_template else chat_template(tokenizer)
            text = str(tokenizer.apply_chat_template(cast(Any, turns), chat_template=template, tools=tools, **settings))
    except UserError:
        text = json.dumps([*messages, *(tools or ())], ensure_ascii=False)
    with refusals_as_user_errors("tokenizer"):
        return tokenizer.encode(text, add_special_tokens=False)


def _parsed_calls(turn: dict[str, Any]) -> dict[str, Any]:
    """The tool calls of a turn with their arguments parsed, as chat templates expect them."""
    if "tool_calls" not in turn:
        return {}
    functions = (dict(call["function"]) for call in turn["tool_calls"])
    parsed = [{**function, "arguments": json.loads(function["arguments"])} for function in functions]
    return {"tool_calls": [{**call, "function": one} for call, one in zip(turn["tool_calls"], parsed, strict=True)]}


def text_token_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The token ids of a text to continue, with those that the tokenizer adds. Raises UserError if it refuses."""
    with refusals_as_user_errors("tokenizer"):
        return tokenizer.encode(text)


@contextmanager
def refusals_as_user_errors(part: str, what: str = "prompt") -> Iterator[None]:
    """Report what a model's chat template or tokenizer raises about a text of the user: both are programs of the
    model's author. `what` names the text.

    Templates refuse roles, orders of roles and features with a sentence of their own (`raise_exception`).
    """
    try:
        yield
    except Z1Error:
        raise
    except Exception as error:  # such a program may raise anything
        got = f"what the model's {part} refuses: {str(error) or repr(error)}"
        raise UserError(what, got, "change it, or use a model that accepts it") from error


def prompt_segments(tokenizer: Tokenizer, profile: Profile, messages: Messages) -> list[str]:
    """`render_prompt` in segments that are tokenized separately; one segment unless a turn has a control text.

    The content of turns is text: a `<|im_end|>` in it does not become the token that ends a turn. Only assistant turns
    may have the family's think tags, which some templates look for. Raises UserError for an empty prompt.
    """
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else [dict(turn) for turn in messages]
    if not turns or not turns[-1]["content"].strip():
        raise UserError("prompt", "an empty text", "ask something")
    if profile.system is not None and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": profile.system})
    if profile.merges_system and turns[0]["role"] == "system" and len(turns) > 1:
        system = turns.pop(0)
        turns[0]["content"] = f"{system['content']}\n\n{turns[0]['content']}"
    for turn in turns:
        tags = (profile.think_start.strip(), profile.think_end.strip()) if turn["role"] == "assistant" else ()
        text = turn["content"] if turn["content"].isascii() else replace_surrogates(turn["content"])
        turn["content"] = _split_controls(text, control_texts(cast(Any, tokenizer)).difference(tags))
    template = None if tokenizer.chat_template else chat_template(tokenizer)
    with refusals_as_user_errors("chat template"):
        text = tokenizer.apply_chat_template(
            turns,
            chat_template=template,
            tokenize=False,
            add_generation_prompt=True,
            **dict(profile.template_settings),
        )
    return _open_thought(str(text), profile).split(SEGMENT_BREAK)


def _open_thought(text: str, profile: Profile) -> str:
    """`text` with the family's think start at its end: as the template wrote it, or added. A thought that the template
    has closed at once is opened again, since the thinking budget decides whether the model thinks.
    """
    tag, end = profile.think_start.strip(), profile.think_end.strip()
    if end and text.rstrip().endswith(end):
        text = text.rstrip().removesuffix(end).rstrip().removesuffix(tag)
    return text if tag and text.rstrip().endswith(tag) else text + profile.think_start


@lru_cache(maxsize=8)
def control_texts(tokenizer: Any) -> frozenset[str]:
    """The texts that the tokenizer turns into one control token: special tokens, and all that look like `<this>` or
    `[THIS]`, since not every family marks its turn tokens as special.
    """
    known = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {str(token.content): token.special for token in known}
    return frozenset(t for t, special in texts.items() if len(t) > 1 and (special or _CONTROL.fullmatch(t)))


_CONTROL = re.compile(r"<\S+>|\[/?[A-Z_]+\]")


def _split_controls(text: str, controls: Collection[str]) -> str:
    """`text` with a break inside each occurrence of `controls`."""
    text = text.replace(SEGMENT_BREAK, "")
    while found := [control for control in controls if control in text]:
        longest = max(found, key=len)
        text = text.replace(longest, longest[0] + SEGMENT_BREAK + longest[1:])
    return text


def response_segments(profile: Profile, prompt: str, thought: str, answer: str) -> list[str]:
    """A trajectory as the training response to `prompt`, without the stop token, in segments tokenized separately.

    The answer prefix is a segment of its own, so that a forced prefix and a generated one have the same token ids.
    """
    prefix = profile.answer_prefix if answer.startswith(profile.answer_prefix) else ""
    thought = with_think_start(profile, prompt, thought) + profile.think_end
    parts = (thought, prefix, answer.removeprefix(prefix)) if prefix else (thought + answer,)
    return [part for part in parts if part]


def split_response(profile: Profile, response: str) -> tuple[str, str]:
    """Thought and answer of a response: the text before and after the first think end tag.

    Without that tag all of it is the answer.
    """
    thought, tag, answer = response.partition(profile.think_end) if profile.think_end else ("", "", "")
    return (thought, answer) if tag else ("", response)


def with_think_start(profile: Profile, prompt: str, thought: str) -> str:
    """`thought` with the family's think start tag exactly once, either at the end of `prompt` or in the thought."""
    tag = profile.think_start.strip() or profile.think_end.replace("</", "<", 1)
    if not profile.think_end or tag == profile.think_end:
        return thought
    bare = thought.lstrip().removeprefix(tag).removeprefix("\n") if thought.lstrip().startswith(tag) else thought
    return bare if prompt.rstrip().endswith(tag) else f"{tag}\n{bare}"
