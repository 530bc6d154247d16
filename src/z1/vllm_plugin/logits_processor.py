"""The logits processor that a stock vLLM server loads, one class a profile.

vLLM loads a class by its path and passes it every batch before sampling:

    vllm serve MODEL --logits-processors z1.vllm_plugin:qwen3

Each request sets its thinking budget in `vllm_xargs` (`engines/vllm_params.py`). Do not register this as an entry
point: vLLM's V2 runner rejects V1 classes there, and the V1 runner would read tokens that are not known yet. The class
inherits the interfaces of both runners and constructs the implementation of the one that calls it. It can only be
imported where vLLM is installed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from vllm.v1.sample.logits_processor.interface import LogitsProcessor as V1Interface

from z1 import profiles
from z1.engines.vllm_params import hint_texts, parse_xargs, validate
from z1.errors import UserError
from z1.model_files import load_tokenizer
from z1.profiles import Profile, Tokenizer
from z1.think import AnswerDetector, Flow
from z1.vllm_plugin.batch_state import MakeConstraint, V1BatchRows, V2BatchSlots, drop_impossible
from z1.vllm_plugin.counters import ERRORS, WINDOWS, EngineCounters, engine_folder
from z1.vllm_plugin.token_constraint import TokenConstraint

try:
    from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor as V2Interface
except ModuleNotFoundError:  # before vLLM 0.31 the second runner has no custom logits processors
    V2Interface = object

LOG = logging.getLogger(__name__)


class WindowLogitsProcessor(V1Interface, V2Interface):  # type: ignore[misc]  # vLLM is not installed for type checks
    """The class that vLLM loads; `processor` makes a subclass a profile."""

    profile: Profile

    def __new__(cls, config: Any, device_or_states: Any, is_pin_memory: bool | None = None) -> Any:
        """The processor for the calling runner: only V1 passes `is_pin_memory`."""
        add_count = _counters(config).add
        make = drop_impossible(constraint_factory(config, cls.profile), add_count)
        if is_pin_memory is not None:
            return V1LogitsProcessor(make, add_count)
        return V2LogitsProcessor(make, add_count, device_or_states)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Reject a request whose budget cannot be enforced; vLLM answers 400 with the text.

        It runs in vLLM's HTTP server, and an exception of z1 here rejects nothing.
        """
        try:
            if not validate(sampling_params, cls.profile):
                WINDOWS.labels("impossible").inc()
        except UserError as error:
            raise ValueError(str(error)) from None
        except Exception:
            ERRORS.labels("validate_params").inc()
            LOG.exception("z1: a request is not validated")


class V1LogitsProcessor(V1BatchRows, V1Interface):  # type: ignore[misc]
    """For vLLM's V1 runner."""


class V2LogitsProcessor(V2BatchSlots, V2Interface):  # type: ignore[misc]
    """For vLLM's V2 runner."""


def constraint_factory(config: Any, profile: Profile) -> MakeConstraint:
    """A function that makes the token constraints of one server's requests, from vLLM's configuration."""
    tokenizer = load_tokenizer(config.model_config.tokenizer)
    token_bytes, max_model_len = profiles.token_bytes(tokenizer), config.model_config.max_model_len
    think_end = tuple(tokenizer.encode(profile.think_end, add_special_tokens=False)) if profile.think_end else ()

    def make(params: Any, prompt_length: int | None) -> TokenConstraint | None:
        request = parse_xargs(params.extra_args)
        if request is None or not validate(params, profile):
            return None
        free_tokens = max_model_len - (prompt_length or 0)
        if params.max_tokens is not None:
            free_tokens = min(free_tokens, params.max_tokens)
        hint = request.hint if isinstance(request.hint, tuple) else _encode(tokenizer, hint_texts(request, profile))
        markers = [text.encode() for text in (*profile.markers, *request.markers)]
        stop_strings = profiles.make_stop_strings(tokenizer, request.stop)
        window = request.to_window(hint, think_end, free_tokens, profiles.make_closing(tokenizer, profile))
        nudge, near = (request.max_nudges, request.nudge), request.near_repetition
        window = replace(
            window,
            repetition=profiles.make_repetition(tokenizer, *nudge, near=near) if request.repetition else None,
            landing=profiles.make_landing(tokenizer, profile, request.soft_tokens, request.grace_tokens),
        )
        flow = Flow(window, free_tokens, detects_answer=bool(markers), stop_strings=stop_strings)
        return TokenConstraint(
            flow,
            AnswerDetector(markers, token_bytes) if markers else None,
            end_token=_end_token(params) if request.may_end_answer else None,
            check_every_token=bool(stop_strings),
        )

    return make


def _counters(config: Any) -> EngineCounters:
    """The counters of this process; only the first of the processes that share a tensor counts, as all do the same."""
    parallel = getattr(config, "parallel_config", None)
    if getattr(parallel, "rank", 0) % max(1, getattr(parallel, "tensor_parallel_size", 1)):
        return EngineCounters(None)  # a registry that nobody reads
    return EngineCounters(engine_folder(getattr(config, "instance_id", "")))


def _encode(tokenizer: Tokenizer, texts: Iterable[str]) -> tuple[int, ...]:
    return tuple(token for text in texts for token in tokenizer.encode(text, add_special_tokens=False))


def _end_token(params: Any) -> int | None:
    """The token that ends a reply: the model's end-of-sequence token, or the first stop token of the request."""
    eos = None if params.ignore_eos else params.eos_token_id
    return eos if eos is not None else min(params.stop_token_ids or (), default=None)


@cache
def processor(profile: str) -> type:
    """The logits processor class of a profile."""
    return type(profile, (WindowLogitsProcessor,), {"profile": profiles.get_profile(profile)})
