"""Which replies does a request order?

From a request's body to orders for the room, and how the client wants to be told. Everything that the server cannot do
is refused here, before anything is computed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from z1 import profiles
from z1.engines import Engine, Sampling
from z1.errors import UserError
from z1.serve.api.budget import EFFORT_TOKENS, Budget, asked_hint, asked_thinking
from z1.serve.api.policy import NONE, Policy
from z1.serve.api.schema import ChatRequest, CompletionRequest, Request
from z1.serve.runtime.reply_runner import GenerationRequest

COMPLETION = 16
"""Ids that continue a text where nothing is said: what OpenAI's route does."""


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """What a request gets where it says nothing. `thinking_budget` in ids, -1 free, None the family's own way.

    `format_question` is given what the last turn of a conversation asks, and says how the model wants to hear it.
    """

    thinking_budget: int | None = None
    temperature: float = 1.0
    reasoning_effort_map: Mapping[str, int] = field(default_factory=lambda: EFFORT_TOKENS)
    served_model_names: tuple[str, ...] = ()
    format_question: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """`generations` in the order of the choices; `split` puts thought and answer in fields of their own, and `thoughts`
    says whether the thought is shown; `usage` asks for a stream's last chunk, and `control` allows "answer now";
    `token_ids` asks for the reply's ids, `logprobs` for theirs.
    """

    generations: tuple[GenerationRequest, ...]
    prompt_tokens: int
    split: bool = False
    thoughts: bool = True
    stream: bool = False
    usage: bool = False
    control: bool = False
    token_ids: bool = False
    logprobs: bool = False


def read(request: Request, engine: Engine, defaults: RequestDefaults) -> ParsedRequest:
    """What `request` wants of `engine`. Raises UserError with the reason where it wants what cannot be."""
    arrived = time.monotonic()
    profile = profiles.profile(engine.profile)
    budget = asked_budget(request, profile, defaults)
    _check_least(budget, engine, profile)
    prompts = _prompts(request, engine, profile, defaults)
    seed = secrets.randbits(63) if request.seed is None else request.seed
    draws: dict[str, Any] = {
        "temperature": defaults.temperature if request.temperature is None else request.temperature,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "top_k": max(0, request.top_k or 0),
        "seed": seed,
        "logprobs": _logprobs(request, engine),
    }
    stops, policy = _stops(request, engine, profile), asked_policy(request, engine, budget)
    orders = tuple(
        GenerationRequest(
            tuple(prompt), budget, Sampling(stops, **draws, sample=sample), request.stops, arrived, policy
        )
        for prompt in prompts
        for sample in range(request.n or 1)
    )
    split, thoughts = _shown(request, profile)
    options = request.stream_options
    if options is not None and not request.stream:
        raise UserError("stream_options", "a request without stream", "add stream: true")
    return ParsedRequest(
        orders,
        sum(map(len, prompts)),
        split,
        thoughts,
        stream=bool(request.stream),
        usage=bool(options and options.include_usage),
        control=bool(request.reasoning_control),
        token_ids=bool(request.return_token_ids),
        logprobs=draws["logprobs"] is not None,
    )


def asked_budget(request: Request, profile: profiles.Profile, defaults: RequestDefaults) -> Budget:
    """The budget of a request. Raises UserError where it contradicts itself."""
    said = request.model_dump(exclude_none=True)
    thinking, hint = asked_thinking(said, defaults.reasoning_effort_map), asked_hint(said)
    if thinking is None:
        thinking = defaults.thinking_budget
    if hint is not None and request.answer_tokens == 0:
        raise UserError("answer_tokens", "0 beside a hint", "leave one of them out")
    least = request.min_thinking_tokens or 0
    spoken = bool(least) or any(one is not None for one in (thinking, hint, request.answer_tokens, request.deadline_ms))
    thinks = spoken or (profile.thinks_by_default and isinstance(request, ChatRequest))
    total = _same(max_tokens=request.max_tokens, max_completion_tokens=request.max_completion_tokens)
    if total is None and not thinks and isinstance(request, CompletionRequest):
        total = COMPLETION
    if thinking == 0 and least:
        raise UserError("min_thinking_tokens", least, "leave it out, or let it think")
    if thinks and request.min_tokens:
        raise UserError("min_tokens", request.min_tokens, "for a reply that thinks give min_thinking_tokens")
    deadline = None if request.deadline_ms is None else request.deadline_ms / 1000
    limit = None if thinking == -1 else thinking
    return Budget(
        limit, request.answer_tokens, total, hint, deadline, thinks, least if thinks else request.min_tokens or 0
    )


def asked_policy(request: Request, engine: Engine, budget: Budget) -> Policy:
    """When the request lets its thoughts end early. Raises UserError where nothing could."""
    asked = request.policy
    if asked is None:
        return NONE
    policy = Policy(
        asked.every, asked.stable, asked.answer_tokens, asked.normalizer, asked.repetition, tell=asked.anytime
    )
    if not (policy.probes or policy.repetition):
        raise UserError("policy", "nothing that ends or tells", "give stable, anytime or repetition")
    if not budget.thinks or budget.thinking_budget == 0 or budget.max_answer_tokens == 0:
        raise UserError("policy", "a reply without a thought, or without an answer of its own", "leave one of them out")
    if policy.probes and not engine.capabilities.can_fork:
        raise UserError("policy", f"{engine.name}, which cannot fork", "leave stable and anytime out")
    return policy


def _check_least(budget: Budget, engine: Engine, profile: profiles.Profile) -> None:
    """Whether the engine can keep the model from ending: by its stop ids, and by its fence, which may be several."""
    fence = (
        engine.tokenizer.encode(profile.think_end, add_special_tokens=False)
        if budget.thinks and profile.think_end
        else ()
    )
    if budget.min_thinking_tokens and max(1, len(fence)) > engine.capabilities.max_forbidden_length:
        name = "min_thinking_tokens" if budget.thinks else "min_tokens"
        raise UserError(name, budget.min_thinking_tokens, f"leave it out; {engine.name} cannot be kept from ending")


def _logprobs(request: Request, engine: Engine) -> int | None:
    """How many of the best are told beside each token; None where nothing is asked for."""
    count: int | None = getattr(request, "logprobs", None)
    if isinstance(request, ChatRequest):
        if request.top_logprobs is not None and not request.logprobs:
            raise UserError("top_logprobs", "a request without logprobs", "add logprobs: true")
        count = request.top_logprobs or 0 if request.logprobs else None
    if count is not None and not engine.capabilities.has_logprobs:
        raise UserError("logprobs", count, f"leave it out; the engine of {engine.name} gives none")
    return count


def _stops(request: Request, engine: Engine, profile: profiles.Profile) -> frozenset[int]:
    """The ids that end the reply: the model's own unless they are ignored, and the request's."""
    if request.ignore_eos and not engine.capabilities.has_token_ids:
        raise UserError("ignore_eos", True, f"leave it out; {engine.name} stands behind an upstream that speaks text")
    own = frozenset[int]() if request.ignore_eos else profiles.stop_ids(engine.tokenizer, profile)
    return own | frozenset(_in_vocabulary("stop_token_ids", request.stop_token_ids or [], engine.tokenizer))


def _prompts(
    request: Request, engine: Engine, profile: profiles.Profile, defaults: RequestDefaults
) -> Sequence[Sequence[int]]:
    if isinstance(request, ChatRequest):
        turns = [{"role": _role(turn.role), "content": turn.text} for turn in request.messages]
        turns[-1]["content"] = defaults.format_question(turns[-1]["content"])
        return [profiles.prompt_ids(engine.tokenizer, profile, turns)]
    prompt: Any = getattr(request, "prompt", "")
    many = prompt if isinstance(prompt, list) and not (prompt and isinstance(prompt[0], int)) else [prompt]
    if not many or not all(many):
        raise UserError("prompt", "nothing", "give a text, or ids")
    made = [engine.tokenizer.encode(one) if isinstance(one, str) else one for one in many]
    return [_in_vocabulary("prompt", ids, engine.tokenizer) for ids in made]


def _in_vocabulary(name: str, ids: list[int], tokenizer: Any) -> list[int]:
    size = len(tokenizer) if hasattr(tokenizer, "__len__") else None
    wrong = next((token for token in ids if token < 0 or (size is not None and token >= size)), None)
    if wrong is not None:
        raise UserError(name, f"id {wrong}", f"give ids from 0 to {'' if size is None else size - 1}")
    return ids


def _role(role: str) -> str:
    return "system" if role == "developer" else role


def _shown(request: Request, profile: profiles.Profile) -> tuple[bool, bool]:
    """Whether thought and answer stand apart, and whether the thought is shown."""
    exclude = request.reasoning.exclude if request.reasoning else None
    hidden = _same(include_reasoning=request.include_reasoning, exclude=None if exclude is None else not exclude)
    if isinstance(request, CompletionRequest):
        if request.separate_reasoning or hidden is False:
            raise UserError("separate_reasoning", "a text completion", "ask /v1/chat/completions, or read the offsets")
        return False, True
    split = bool(profile.think_end) if request.separate_reasoning is None else request.separate_reasoning
    if hidden is False and not split:
        raise UserError("include_reasoning", False, "add separate_reasoning: true; without it all text is content")
    return split, hidden is not False


def _same(**names: Any) -> Any:
    """The one value that was given under these names; None where none was."""
    given = {name: value for name, value in names.items() if value is not None}
    if len(set(given.values())) > 1:
        both = ", ".join(f"{name} {value}" for name, value in given.items())
        raise UserError("names of one setting", both, "give one of them")
    return next(iter(given.values()), None)
