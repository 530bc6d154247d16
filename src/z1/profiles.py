"""Profiles: chat template, think tags and hint of each model family.

`PROFILES` has one row a family. The functions turn a profile and a tokenizer into token ids and into the values of
`z1.think`; no tokenizer is loaded here. `z1/prompts.py` renders prompts and training responses.

Sources: the paper (arXiv 2504.00810, section 2.2 and figure 2) for the hint of z1; the Qwen3 documentation for its
early stop; simplescaling/s1 for its delimiters; deepseek-ai's card of R1-Distill for the opened `<think>`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from z1.errors import UserError
from z1.think import AnswerDetector, StopStrings, Window

HINT = "\n\nI overthought it, the final answer should be:\n\n"
"""The paper's hint (figure 2); `eval/general_evaluation/reasoning.py` of its code adds the blank lines."""


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that z1 uses."""

    chat_template: Any
    eos_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]: ...
    def decode(self, token_ids: list[int], *, skip_special_tokens: bool = ...) -> Any: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **settings: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Profile:
    """One model family.

    `think_start` is text at the end of every prompt (a think tag that the template does not write itself). `think_end`
    is the text with which the model ends its thought. Both are "" for families without think tags. `hint` shifts a
    thought to its answer, `no_thinking_hint` does so before any thought; `answer_prefix` begins every forced answer.
    `markers` are texts that begin an answer in a family without think tags; () if their precision was not measured. A
    family without `thinks_by_default` thinks only in requests to a server that set a budget.
    """

    name: str
    system: str | None = None
    think_start: str = ""
    think_end: str = ""
    hint: str = HINT
    no_thinking_hint: str = HINT
    answer_prefix: str = ""
    markers: tuple[str, ...] = ()
    stop_tokens: tuple[str, ...] = ("<|im_end|>", "<|endoftext|>")
    thinks_by_default: bool = True


PROFILES: dict[str, Profile] = {
    row.name: row
    for row in (
        Profile(
            "z1-tiny",
            no_thinking_hint="",
            answer_prefix="The final answer is \\boxed{",
            markers=("The final answer is",),
        ),
        Profile(
            "z1-tiny-tags",
            think_start="<think>\n",
            think_end="</think>\n",
            hint="\n\n</think>\n",
            no_thinking_hint="</think>\n",
            answer_prefix="The final answer is \\boxed{",
        ),
        # three other ways to end the thought of z1-tiny, for comparison
        Profile("z1-tiny-bare", hint="", no_thinking_hint=""),
        Profile("z1-tiny-tag", hint="\n\n</think>\n", no_thinking_hint="</think>\n"),
        Profile("z1-tiny-hint", no_thinking_hint=HINT),
        Profile("z1"),
        Profile(
            "plain",
            hint="\n\nThe final answer is:\n\n",
            no_thinking_hint="The final answer is:\n\n",
            thinks_by_default=False,
        ),
        Profile(
            "r1-distill",
            think_end="</think>",
            hint="\n</think>\n\nThe final answer is:",
            no_thinking_hint="\n</think>\n\nThe final answer is:",
            stop_tokens=("<｜end▁of▁sentence｜>",),
        ),
        Profile(
            "qwen3",
            think_end="</think>",
            hint="\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
            "directly now.\n</think>\n\n",
            no_thinking_hint="<think>\n\n</think>\n\n",
        ),
        Profile(
            "s1",
            think_start="<|im_start|>think\n",
            think_end="<|im_start|>answer",
            hint="<|im_start|>answer\nFinal Answer:",
            no_thinking_hint="<|im_start|>answer\nFinal Answer:",
        ),
    )
}


def get_profile(name: str) -> Profile:
    """The row of `PROFILES` called `name`. Raises UserError if there is none."""
    if name not in PROFILES:
        raise UserError("profile", name, f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def hint_token_ids(tokenizer: Tokenizer, profile: Profile, *, no_thinking: bool) -> tuple[int, ...]:
    """The token ids that shift a thought to its answer: the hint, then the answer prefix."""
    parts = (profile.no_thinking_hint if no_thinking else profile.hint, profile.answer_prefix)
    return tuple(token for part in parts if part for token in tokenizer.encode(part, add_special_tokens=False))


def decode(tokenizer: Tokenizer, token_ids: Sequence[int]) -> str:
    """The text of `token_ids`, with special tokens."""
    return str(tokenizer.decode(list(token_ids), skip_special_tokens=False))


def stop_token_ids(tokenizer: Tokenizer, profile: Profile) -> frozenset[int]:
    """The tokens that end a reply: the tokenizer's end of sequence, and those of the profile's that it knows."""
    known = [tokenizer.encode(text, add_special_tokens=False) for text in profile.stop_tokens]
    stops = {token_ids[0] for token_ids in known if len(token_ids) == 1}
    return frozenset(stops | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()))


def make_window(tokenizer: Tokenizer, profile: Profile, thinking_budget: int | None, max_answer_tokens: int) -> Window:
    """The window of a reply in this family; a `thinking_budget` of None is unlimited."""
    return Window(
        thinking_budget,
        max_answer_tokens,
        hint_token_ids(tokenizer, profile, no_thinking=thinking_budget == 0),
        stop_token_ids(tokenizer, profile),
        tuple(tokenizer.encode(profile.think_end, add_special_tokens=False)) if profile.think_end else (),
    )


def make_detector(tokenizer: Tokenizer, profile: Profile, start: int = 0) -> AnswerDetector | None:
    """A detector of answers that begin after `start` tokens; None for a family without measured markers."""
    if not profile.markers:
        return None
    return AnswerDetector((marker.encode() for marker in profile.markers), token_bytes(tokenizer), start)


def make_stop_strings(
    tokenizer: Tokenizer, strings: Sequence[str], answer_part: Callable[[str], str] | None = None
) -> StopStrings | None:
    """A detector of the first of `strings` in an answer; None without strings. Raises UserError for "".

    With `answer_part`, the part of a forced hint that belongs to the answer is searched as well.
    """
    if not strings:
        return None
    part = None if answer_part is None else lambda hint: answer_part(hint.decode("utf-8", "replace")).encode()
    return StopStrings((string.encode() for string in strings), token_bytes(tokenizer), part)


def answer_part(profile: Profile, hint: str, *, is_own: bool = True) -> str:
    """The end of a forced `hint` that belongs to the answer: what follows the closing think tag, or the answer prefix.

    `is_own`: the hint is the profile's, not one that a request set.
    """
    if profile.think_end:
        _, tag, rest = hint.rpartition(profile.think_end)
        return rest if tag else ""
    return profile.answer_prefix if is_own and hint.endswith(profile.answer_prefix) else ""


def truncate_at_stop(text: str, strings: Sequence[str]) -> str:
    """`text` up to the first occurrence of one of `strings`; all of it if there is none."""
    return text[: min((text.find(string) for string in strings if string in text), default=len(text))]


def token_bytes(tokenizer: Tokenizer) -> Callable[[int], bytes]:
    """A function from a token to its bytes; a character split over several tokens has its bytes in each of them."""
    raw = getattr(tokenizer, "convert_ids_to_tokens", None)

    @cache
    def bytes_of(token: int) -> bytes:
        text = decode(tokenizer, [token])
        name = raw(token) if raw is not None else None
        if name is None:
            return text.encode()
        if name.startswith("\u2581") and not text.startswith(" "):  # sentencepiece's space, which decoding drops
            return b" " + text.encode()
        if "\ufffd" not in text:
            return text.encode()
        if name.startswith("<0x"):  # sentencepiece's name of a byte
            return bytes.fromhex(name[3:-1])
        return bytes(_BYTES[character] for character in name if character in _BYTES)

    return bytes_of


def _byte_names() -> dict[str, int]:
    """The characters with which byte-level tokenizers (GPT-2 and later) write bytes: printable bytes as themselves, the
    others from 256 on.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


_BYTES = _byte_names()
