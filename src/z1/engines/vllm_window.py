"""How does a stock vLLM server keep our windows?

It loads a class by its path, one a profile, and hands it every batch before ids are drawn:

    vllm serve MODEL --logits-processors z1.engines.vllm_window:qwen3

Each request then says in `vllm_xargs` how long it may think (`vllm_request.py`). Tools, schemas, tensor parallelism and
the rest stay vLLM's. Never register this as an entry point: vLLM's second runner refuses the first's classes there, and
the first reads ids that are not known yet. The class stands below the interfaces of both runners and becomes the one
that it is made for. Imported inside vLLM only.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from vllm.v1.sample.logits_processor.interface import LogitsProcessor as First
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor as Second

from z1 import chat
from z1.chat import Profile, Tokenizer
from z1.engines.guide import Guide
from z1.engines.vllm_request import check, hint_texts, read
from z1.engines.vllm_rows import ByRow, BySlot, New, guarded
from z1.engines.weights import load_tokenizer
from z1.errors import UserError
from z1.think import AnswerDetector, Flow


class Windows(First, Second):  # type: ignore[misc]  # vLLM is not installed where types are checked
    """What vLLM loads; a subclass a profile. Made by the first runner it is a `ByRow`, by the second a `BySlot`."""

    profile: Profile

    def __new__(cls, config: Any, where: Any, pinned: bool | None = None) -> Any:
        """The processor for the runner that asks: the first tells its device and whether memory is pinned."""
        made = guarded(guides(config, cls.profile))
        return Rows(made) if pinned is not None else Slots(made, where)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request whose window cannot be kept; vLLM answers 400 with the text."""
        try:
            check(sampling_params, cls.profile)
        except UserError as error:
            raise ValueError(str(error)) from None


class Rows(ByRow, First):  # type: ignore[misc]
    """For the first runner."""


class Slots(BySlot, Second):  # type: ignore[misc]
    """For the second runner."""


def guides(config: Any, profile: Profile) -> New:
    """Makes the guides of one server's requests, from vLLM's configuration."""
    tokenizer = load_tokenizer(config.model_config.tokenizer)
    pieces, length = chat.pieces(tokenizer), config.model_config.max_model_len
    close = tuple(tokenizer.encode(profile.close, add_special_tokens=False)) if profile.close else ()

    def new(params: Any, prompt: int | None) -> Guide | None:
        asked = read(params.extra_args)
        if asked is None:
            return None
        fits = length - (prompt or 0)
        room = fits if params.max_tokens is None else min(fits, params.max_tokens)
        hint = asked.hint if isinstance(asked.hint, tuple) else _encoded(tokenizer, hint_texts(asked, profile))
        markers = [text.encode() for text in (*profile.markers, *asked.markers)]
        strings = chat.stop_strings(tokenizer, asked.stop)
        flow = Flow(asked.window_of(hint, close, room), room, detects=bool(markers), strings=strings)
        detector = AnswerDetector(markers, pieces) if markers else None
        return Guide(flow, detector, ending=_ending(params) if asked.answer or asked.stop else None, each=bool(strings))

    return new


def _encoded(tokenizer: Tokenizer, texts: Any) -> tuple[int, ...]:
    return tuple(token for text in texts for token in tokenizer.encode(text, add_special_tokens=False))


def _ending(params: Any) -> int | None:
    """The id that ends a reply: the model's own end, or the first of those that the request names."""
    own = None if params.ignore_eos else params.eos_token_id
    return own if own is not None else min(params.stop_token_ids or (), default=None)


@cache
def _windows(name: str) -> type:
    return type(name, (Windows,), {"profile": chat.profile(name)})


def __getattr__(name: str) -> type:
    if name not in chat.PROFILES:
        raise AttributeError(f"no profile {name}: choose one of {', '.join(chat.PROFILES)}")
    return _windows(name)
