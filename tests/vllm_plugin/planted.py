"""The logits processor of z1-tiny with exceptions planted in z1, for a vLLM server: by the request's `max_tokens`.

    --logits-processors tests.vllm_plugin.planted:processor --middleware tests.vllm_plugin.planted.RequestMiddleware

`PLACES[max_tokens % 5]` raises. It is imported by the server and by the engine, as any processor is. The engine
validates a request again, so "validate_params" raises in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import z1.vllm_plugin.logits_processor as plugin
from z1.engines.vllm_params import validate
from z1.vllm_plugin import middleware
from z1.vllm_plugin.request_rewriter import rewrite
from z1.vllm_plugin.token_constraint import TokenConstraint

PLACES = ("middleware", "validate_params", "add_request", "apply", None)
"""The label `where` of the counter of errors, by `max_tokens % 5`."""


class Planted(RuntimeError):
    """No error of vLLM."""


def raising(place: str, function: Callable[..., Any], max_tokens: Callable[..., int]) -> Callable[..., Any]:
    """`function`, which raises for the requests of `place`."""

    def planted(*given: Any) -> Any:
        if PLACES[max_tokens(*given) % 5] == place:
            raise Planted(place)
        return function(*given)

    return planted


class Broken(TokenConstraint):
    """Raises as soon as it is asked."""

    def next_token(self, token_ids: Any) -> int | None:
        """Raise."""
        raise Planted("apply")


def _factory(config: Any, profile: Any) -> Any:
    make = ORIGINAL_FACTORY(config, profile)

    def made(params: Any, prompt_length: int | None) -> TokenConstraint | None:
        constraint = make(params, prompt_length)
        if constraint is not None and PLACES[params.max_tokens % 5] == "apply":
            constraint.__class__ = Broken
        return constraint

    return raising("add_request", made, lambda params, _: params.max_tokens)


ORIGINAL_FACTORY = plugin.constraint_factory
processor = plugin.processor("z1-tiny")
plugin.constraint_factory = _factory
RequestMiddleware = middleware.RequestMiddleware
vars(plugin)["validate"] = raising("validate_params", validate, lambda params, _: params.max_tokens)
vars(middleware)["rewrite"] = raising("middleware", rewrite, lambda body, *_: body["max_tokens"])
