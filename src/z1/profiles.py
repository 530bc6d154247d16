"""Profiles: a family's row and a tokenizer turned into token ids and into the values of `z1.think`.

No tokenizer is loaded here. `families/` has the rows and the texts of hints; `prompts.py` renders prompts and training
responses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, Protocol

from z1.errors import UserError
from z1.families import (
    HINT,
    LONGEST_CLOSINGS,
    MAX_BIAS,
    NUDGE,
    PROFILES,
    WRAP_UP,
    AnswerKind,
    Hint,
    Profile,
    closing_texts,
    is_border,
    is_line_or_sentence_end,
)
from z1.think import AnswerDetector, Closing, Repetition, SoftLanding, StopStrings, Window
from z1.think.repetition import NEAR_INTERVAL, has_loop, has_near_loop

__all__ = ["HINT", "PROFILES", "AnswerKind", "Profile"]  # the rows, for the users of this module

BORDER_TOKENS = 16
"""Tokens at the end of a thought that show whether it may end in a border."""

TURN_ENDS = "turn_end_token_ids"
"""The attribute of a tokenizer that holds the turn ends of its model's generation_config.json."""


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that z1 uses."""

    chat_template: Any
    eos_token_id: int | None

    def __hash__(self) -> int: ...
    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]: ...
    def decode(self, token_ids: list[int], *, skip_special_tokens: bool = ...) -> Any: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **settings: Any) -> Any: ...


def get_profile(name: str) -> Profile:
    """The row of `PROFILES` called `name`. Raises UserError if there is none."""
    if name not in PROFILES:
        raise UserError("profile", name, f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def hint_for(profile: Profile, kind: AnswerKind = AnswerKind.TEXT) -> Hint:
    """The hint of a kind of answer."""
    return dict(profile.hints).get(kind, Hint(profile.hint, profile.no_thinking_hint, profile.answer_prefix))


def hint_token_ids(
    tokenizer: Tokenizer, profile: Profile, *, no_thinking: bool, kind: AnswerKind = AnswerKind.TEXT
) -> tuple[int, ...]:
    """The token ids that shift a thought to its answer: the hint, then the answer prefix."""
    hint = hint_for(profile, kind)
    parts = (hint.no_thinking if no_thinking else hint.text, hint.answer_prefix)
    return tuple(token for part in parts if part for token in tokenizer.encode(part, add_special_tokens=False))


@lru_cache(maxsize=16)
def make_closing(tokenizer: Tokenizer, profile: Profile) -> Closing | None:
    """What closes a cut thought before the hint; None for a family that was trained without it.

    It has at most the tokens of the longest of `LONGEST_CLOSINGS`.
    """
    if not profile.closes_code:
        return None
    bytes_of = token_bytes(tokenizer)

    @cache
    def encode(text: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(text, add_special_tokens=False))

    most = max(len(encode(text)) for text in (*LONGEST_CLOSINGS, profile.sentence_end))

    def close(token_ids: Sequence[int], begun: int) -> tuple[int, ...]:
        thought = b"".join(map(bytes_of, token_ids)).decode("utf-8", "replace")
        closings = map(encode, closing_texts(thought, "" if begun else profile.sentence_end))
        return next((token_ids for token_ids in closings if len(token_ids) <= most), ())

    return Closing(most, close)


def decode(tokenizer: Tokenizer, token_ids: Sequence[int]) -> str:
    """The text of `token_ids`, with special tokens."""
    return str(tokenizer.decode(list(token_ids), skip_special_tokens=False))


def stop_token_ids(tokenizer: Tokenizer, profile: Profile) -> frozenset[int]:
    """The tokens that end a reply: the tokenizer's end of sequence, the turn ends that `model_files` puts on the
    tokenizer, and those of the profile's that the tokenizer knows.
    """
    known = [tokenizer.encode(text, add_special_tokens=False) for text in profile.stop_tokens]
    stops = {token_ids[0] for token_ids in known if len(token_ids) == 1}
    ends = getattr(tokenizer, TURN_ENDS, ())
    return frozenset(stops.union(ends, () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)))


def make_window(
    tokenizer: Tokenizer,
    profile: Profile,
    thinking_budget: int | None,
    max_answer_tokens: int,
    kind: AnswerKind = AnswerKind.TEXT,
) -> Window:
    """The window of a reply in this family; a `thinking_budget` of None is unlimited."""
    return Window(
        thinking_budget,
        max_answer_tokens,
        hint_token_ids(tokenizer, profile, no_thinking=thinking_budget == 0, kind=kind),
        stop_token_ids(tokenizer, profile),
        tuple(tokenizer.encode(profile.think_end, add_special_tokens=False)) if profile.think_end else (),
        closing=make_closing(tokenizer, profile),
    )


def make_repetition(
    tokenizer: Tokenizer, max_nudges: int = 0, nudge: str | None = None, *, near: bool = False
) -> Repetition:
    """What happens to a reply that repeats itself; `nudge` is the text that is forced up to `max_nudges` times. With
    `near` loops in which only numbers change are loops as well.
    """
    text = NUDGE if nudge is None else nudge
    token_ids = tuple(tokenizer.encode(text, add_special_tokens=False)) if max_nudges else ()
    if not near:
        return Repetition(token_ids, max_nudges)
    bytes_of = token_bytes(tokenizer)

    @cache
    def is_number(token: int) -> bool:
        return bytes_of(token).strip().isdigit()

    def is_loop(reply: Sequence[int], start: int) -> bool:
        is_due = len(reply) % NEAR_INTERVAL == 0
        return has_loop(reply, start) or (is_due and has_near_loop(reply, start, is_number))

    return Repetition(token_ids, max_nudges, is_loop=is_loop)


def make_landing(
    tokenizer: Tokenizer, profile: Profile, soft_tokens: int = 0, grace_tokens: int = 0
) -> SoftLanding | None:
    """The soft landing of a thought in this family; None if both are 0."""
    if not soft_tokens and not grace_tokens:
        return None
    bytes_of = token_bytes(tokenizer)

    def decode_bytes(token_ids: Sequence[int]) -> str:
        return b"".join(map(bytes_of, token_ids)).decode("utf-8", "replace")

    def may_cut(token_ids: Sequence[int]) -> bool:  # the end is read first: most tokens are within a sentence
        return is_line_or_sentence_end(decode_bytes(token_ids[-BORDER_TOKENS:])) and is_border(decode_bytes(token_ids))

    wrap_up = () if profile.think_end else tuple(tokenizer.encode(WRAP_UP, add_special_tokens=False))
    return SoftLanding(soft_tokens, grace_tokens, MAX_BIAS if profile.think_end else 0.0, wrap_up, may_cut)


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


def answer_part(profile: Profile, hint: str, *, kind: AnswerKind = AnswerKind.TEXT, is_own: bool = True) -> str:
    """The end of a forced `hint` that belongs to the answer: what follows the closing think tag, or the answer prefix.

    `is_own`: the hint is the profile's, not one that a request set.
    """
    if profile.think_end:
        _, tag, rest = hint.rpartition(profile.think_end)
        return rest if tag else ""
    prefix = hint_for(profile, kind).answer_prefix
    return prefix if is_own and hint.endswith(prefix) else ""


def truncate_at_stop(text: str, strings: Sequence[str]) -> str:
    """`text` up to the first occurrence of one of `strings`; all of it if there is none."""
    return text[: min((text.find(string) for string in strings if string in text), default=len(text))]


@lru_cache(maxsize=16)
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
