"""How does this family of models want to be spoken to, and how is it told to answer?

One row of `PROFILES` a family, and one renderer for training and for serving: `prompt_ids` is the only place where a
prompt becomes ids, `reply_texts` the only
place where a trajectory is written down. A tokenizer is handed in; none is loaded here.
Sources: the paper (arXiv 2504.00810, section 2.2 and figure 2) for the hint of z1; the Qwen3 documentation for its
early stop; simplescaling/s1 for its delimiters; deepseek-ai's card of R1-Distill for the opened `<think>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Protocol, cast

from z1.errors import UserError
from z1.think import AnswerDetector, StopStrings, Window

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The template given to a base model that has none."""

HINT = "\n\nI overthought it, the final answer should be:\n\n"
"""The paper's hint (figure 2); `eval/general_evaluation/reasoning.py` of its code adds the blank lines."""


class Tokenizer(Protocol):
    """What z1 needs of a transformers tokenizer."""

    chat_template: Any
    eos_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]: ...
    def decode(self, token_ids: list[int], *, skip_special_tokens: bool = ...) -> Any: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **settings: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Profile:
    """One family of models.

    `think_start` is text that stands at the end of every prompt (a fence that the template does not open itself),
    `think_end` the text with which the model itself ends its thought; both are "" for models that think without a
    fence. `hint` shifts a thought to its answer, `no_thinking_hint` does so before any thought; `answer_prefix` begins
    every forced answer. `markers` are texts that begin an answer in a model without a fence; none where their precision
    was not measured. A family that does not `think` by itself thinks where a server's request gives it a budget, and at
    no other time.
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
        # three other ways to close the thought of z1-tiny, to compare
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


def profile(name: str) -> Profile:
    """The row of `PROFILES` called `name`."""
    if name not in PROFILES:
        raise UserError("profile", name, f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def template(tokenizer: Tokenizer) -> str:
    """The chat template: the tokenizer's own, or for a base model without one ChatML, begun as it begins every text."""
    if tokenizer.chat_template:
        return str(tokenizer.chat_template)
    begins = tokenizer.encode("")  # what a base was trained to see before anything else, such as Llama's <s>
    begins = begins[:-1] if begins[-1:] == [tokenizer.eos_token_id] else begins
    return str(tokenizer.decode(begins, skip_special_tokens=False)) + CHATML


def prompt_text(tokenizer: Tokenizer, profile: Profile, messages: str | Sequence[dict[str, str]]) -> str:
    """A prompt up to where the model begins to think: of a question, or of a conversation as role and content."""
    return "".join(prompt_texts(tokenizer, profile, messages))


def prompt_ids(tokenizer: Tokenizer, profile: Profile, messages: str | Sequence[dict[str, str]]) -> list[int]:
    """The ids of `prompt_text`: the template has written what begins a text, so the tokenizer adds nothing."""
    pieces = prompt_texts(tokenizer, profile, messages)
    return [token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False)]


BREAK = "\ue0f1"
"""Stands for a moment where a control text in a turn is broken in two; a private-use character, taken out of turns."""


def prompt_texts(tokenizer: Tokenizer, profile: Profile, messages: str | Sequence[dict[str, str]]) -> list[str]:
    """`prompt_text` in the pieces that become ids one by one; one piece, but where a turn holds a control text.

    What the turns say is text: a `<|im_end|>` in it does not become the id that ends a turn, and so begins none. Only
    what the model said itself may hold the family's fence, which some templates look for.
    """
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else [dict(turn) for turn in messages]
    if not turns or not turns[-1]["content"].strip():
        raise UserError("prompt", "nothing", "ask something")
    if profile.system is not None and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": profile.system})
    for turn in turns:
        fence = (profile.think_start.strip(), profile.think_end.strip()) if turn["role"] == "assistant" else ()
        turn["content"] = _broken(turn["content"], controls(cast(Any, tokenizer)).difference(fence))
    own = None if tokenizer.chat_template else template(tokenizer)
    text = tokenizer.apply_chat_template(turns, chat_template=own, tokenize=False, add_generation_prompt=True)
    return (str(text) + profile.think_start).split(BREAK)


@lru_cache(maxsize=8)
def controls(tokenizer: Any) -> frozenset[str]:
    """The texts that the tokenizer turns into one id for control: special ones, and all that look like `<this>` or
    `[THIS]`, since not every family calls its turn marks special.
    """
    known = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {str(token.content): token.special for token in known}
    return frozenset(t for t, special in texts.items() if len(t) > 1 and (special or _CONTROL.fullmatch(t)))


_CONTROL = re.compile(r"<\S+>|\[/?[A-Z_]+\]")


def _broken(text: str, controls: Collection[str]) -> str:
    """`text` with a break inside every one of `controls` that stands in it, so that none is whole."""
    text = text.replace(BREAK, "")
    while found := [control for control in controls if control in text]:
        longest = max(found, key=len)
        text = text.replace(longest, longest[0] + BREAK + longest[1:])
    return text


def reply_texts(profile: Profile, prompt: str, thought: str, answer: str) -> list[str]:
    """A trajectory as training shows it after `prompt`, without the stop, in the pieces that become ids one by one.

    The answer prefix stands by itself, so that a forced prefix and one that the model wrote are the same ids.
    """
    prefix = profile.answer_prefix if answer.startswith(profile.answer_prefix) else ""
    thought = fenced(profile, prompt, thought) + profile.think_end
    parts = (thought, prefix, answer.removeprefix(prefix)) if prefix else (thought + answer,)
    return [part for part in parts if part]


def parted(profile: Profile, response: str) -> tuple[str, str]:
    """Thought and answer of a response in one piece: what stands before and after the first fence that closes.

    Without a fence all of it is answer; families that think without one have no other thought.
    """
    thought, closed, answer = response.partition(profile.think_end) if profile.think_end else ("", "", "")
    return (thought, answer) if closed else ("", response)


def fenced(profile: Profile, prompt: str, thought: str) -> str:
    """`thought` with the fence that this family opens, once: at the end of the `prompt`, or by the model itself."""
    opens = profile.think_start.strip() or profile.think_end.replace("</", "<", 1)
    if not profile.think_end or opens == profile.think_end:
        return thought
    bare = thought.lstrip().removeprefix(opens).removeprefix("\n") if thought.lstrip().startswith(opens) else thought
    return bare if prompt.rstrip().endswith(opens) else f"{opens}\n{bare}"


def hint_ids(tokenizer: Tokenizer, profile: Profile, *, at_once: bool) -> tuple[int, ...]:
    """The ids that shift a thought to its answer: the hint, then the answer prefix."""
    parts = (profile.no_thinking_hint if at_once else profile.hint, profile.answer_prefix)
    return tuple(token for part in parts if part for token in tokenizer.encode(part, add_special_tokens=False))


def text_of(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of `ids`, special tokens shown."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False))


def stop_ids(tokenizer: Tokenizer, profile: Profile) -> frozenset[int]:
    """The ids that end a reply: the tokenizer's end of sequence, and those of the profile's that it knows."""
    known = [tokenizer.encode(text, add_special_tokens=False) for text in profile.stop_tokens]
    ids = {ids[0] for ids in known if len(ids) == 1}
    return frozenset(ids | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()))


def window(tokenizer: Tokenizer, profile: Profile, thinking: int | None, answer: int) -> Window:
    """The window of `thinking` and `answer` ids for this family."""
    return Window(
        thinking,
        answer,
        hint_ids(tokenizer, profile, at_once=thinking == 0),
        stop_ids(tokenizer, profile),
        tuple(tokenizer.encode(profile.think_end, add_special_tokens=False)) if profile.think_end else (),
    )


def detector(tokenizer: Tokenizer, profile: Profile, start: int = 0) -> AnswerDetector | None:
    """Tells where an answer begins behind `start` ids; None for a family whose markers were not measured."""
    if not profile.markers:
        return None
    return AnswerDetector((marker.encode() for marker in profile.markers), pieces(tokenizer), start)


def stop_strings(tokenizer: Tokenizer, strings: Sequence[str]) -> StopStrings | None:
    """Ends an answer with the first of `strings` in it; None where there are none. Raises UserError for ""."""
    return StopStrings((string.encode() for string in strings), pieces(tokenizer)) if strings else None


def before(text: str, strings: Sequence[str]) -> str:
    """What stands before the first of `strings` in `text`; all of it where none does."""
    return text[: min((text.find(string) for string in strings if string in text), default=len(text))]


def pieces(tokenizer: Tokenizer) -> Callable[[int], bytes]:
    """The bytes that each id stands for; a character that is spread over ids has its bytes in each of them."""
    raw = getattr(tokenizer, "convert_ids_to_tokens", None)

    @cache
    def piece(token: int) -> bytes:
        text = text_of(tokenizer, [token])
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

    return piece


def _byte_names() -> dict[str, int]:
    """How byte-level tokenizers (GPT-2 and after) write a byte: as itself where it can be seen, else from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + at): byte for at, byte in enumerate(unseen)}


_BYTES = _byte_names()
