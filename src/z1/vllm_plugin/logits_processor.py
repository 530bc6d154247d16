"""How does a stock vLLM server keep our windows?

It loads a class by its path, one a profile, and hands it every batch before ids are drawn:

    vllm serve MODEL --logits-processors z1.vllm_plugin.logits_processor:qwen3

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

from z1 import profiles
from z1.engines.vllm_params import check, hint_texts, read
from z1.errors import UserError
from z1.model_files import load_tokenizer
from z1.profiles import Profile, Tokenizer
from z1.think import AnswerDetector, Flow
from z1.vllm_plugin.batch_state import New, V1BatchRows, V2BatchSlots, guarded
from z1.vllm_plugin.token_constraint import TokenConstraint


class WindowLogitsProcessor(First, Second):  # type: ignore[misc]  # vLLM is not installed where types are checked
    """What vLLM loads; a subclass a profile. vLLM's V1 runner gets `V1BatchRows`, its V2 runner `V2BatchSlots`."""

    profile: Profile

    def __new__(cls, config: Any, where: Any, pinned: bool | None = None) -> Any:
        """The processor for the runner that asks: the first tells its device and whether memory is pinned."""
        made = guarded(guides(config, cls.profile))
        return V1LogitsProcessor(made) if pinned is not None else V2LogitsProcessor(made, where)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request whose window cannot be kept; vLLM answers 400 with the text."""
        try:
            check(sampling_params, cls.profile)
        except UserError as error:
            raise ValueError(str(error)) from None


class V1LogitsProcessor(V1BatchRows, First):  # type: ignore[misc]
    """For the first runner."""


class V2LogitsProcessor(V2BatchSlots, Second):  # type: ignore[misc]
    """For the second runner."""


def guides(config: Any, profile: Profile) -> New:
    """Makes the guides of one server's requests, from vLLM's configuration."""
    tokenizer = load_tokenizer(config.model_config.tokenizer)
    pieces, length = profiles.pieces(tokenizer), config.model_config.max_model_len
    close = tuple(tokenizer.encode(profile.think_end, add_special_tokens=False)) if profile.think_end else ()

    def new(params: Any, prompt: int | None) -> TokenConstraint | None:
        asked = read(params.extra_args)
        if asked is None:
            return None
        fits = length - (prompt or 0)
        room = fits if params.max_tokens is None else min(fits, params.max_tokens)
        hint = asked.hint if isinstance(asked.hint, tuple) else _encoded(tokenizer, hint_texts(asked, profile))
        markers = [text.encode() for text in (*profile.markers, *asked.markers)]
        strings = profiles.stop_strings(tokenizer, asked.stop)
        flow = Flow(asked.window_of(hint, close, room), room, detects=bool(markers), strings=strings)
        detector = AnswerDetector(markers, pieces) if markers else None
        return TokenConstraint(
            flow,
            detector,
            ending=_ending(params) if asked.max_answer_tokens or asked.stop else None,
            each=bool(strings),
        )

    return new


def _encoded(tokenizer: Tokenizer, texts: Any) -> tuple[int, ...]:
    return tuple(token for text in texts for token in tokenizer.encode(text, add_special_tokens=False))


def _ending(params: Any) -> int | None:
    """The id that ends a reply: the model's own end, or the first of those that the request names."""
    own = None if params.ignore_eos else params.eos_token_id
    return own if own is not None else min(params.stop_token_ids or (), default=None)


@cache
def _windows(name: str) -> type:
    return type(name, (WindowLogitsProcessor,), {"profile": profiles.profile(name)})


def __getattr__(name: str) -> type:
    if name not in profiles.PROFILES:
        raise AttributeError(f"no profile {name}: choose one of {', '.join(profiles.PROFILES)}")
    return _windows(name)
