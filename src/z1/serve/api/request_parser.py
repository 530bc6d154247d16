"""From a request body to generation requests and response options.

Unsupported settings are rejected here, before any computation.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from z1 import profiles
from z1.engines import Engine, Sampling
from z1.errors import UserError
from z1.exit_policy import ExitMinimums
from z1.families import AnswerKind
from z1.prompts import prompt_token_ids, text_token_ids, tool_prompt_token_ids
from z1.serve.api.body import Message
from z1.serve.api.budget import (
    DEFAULT_EFFORT_MAP,
    NO_POLICY,
    Budget,
    Policy,
    has_thinking_on,
    parse_hint,
    parse_thinking_budget,
    single_value,
)
from z1.serve.api.schema import ChatRequest, CompletionRequest, Request
from z1.serve.runtime.reply_runner import GenerationRequest

COMPLETION_TOKENS = 16
"""Default `max_tokens` of a text completion without thinking, as in OpenAI's API."""


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """Defaults of the settings that a request omits, and the accepted names of the model.

    `thinking_budget` is in tokens, -1 for unlimited, None for the profile's default; `model_budgets` has those of names
    that differ. No thought is longer than `max_thinking_budget` (None: no ceiling). `reasoning_effort_map` gives the
    tokens of each effort. `format_question` rewrites the last message of a conversation into the form that the model
    was trained on. `repetition` ends loops, after `max_nudges` nudges.
    """

    thinking_budget: int | None = None
    max_thinking_budget: int | None = None
    model_budgets: Mapping[str, int] = field(default_factory=dict)
    temperature: float = 1.0
    reasoning_effort_map: Mapping[str, int] = field(default_factory=lambda: DEFAULT_EFFORT_MAP)
    served_model_names: tuple[str, ...] = ()
    exit_policy: Policy = NO_POLICY
    """Of requests that think and set none."""
    format_question: Callable[[str], str] = str
    repetition: bool = False
    max_nudges: int = 0
    soft_tokens: int = 0
    grace_tokens: int = 0

    def budget_of(self, model: str) -> int | None:
        """The default thinking budget of a served name."""
        return self.model_budgets.get(model, self.thinking_budget)


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """`generations` in the order of the choices, and what the response contains, under the names of the request."""

    generations: tuple[GenerationRequest, ...]
    prompt_tokens: int
    separate_reasoning: bool = False
    include_reasoning: bool = True
    stream: bool = False
    include_usage: bool = False
    reasoning_control: bool = False
    return_token_ids: bool = False
    logprobs: bool = False
    token_ledger: bool = False


def parse_request(request: Request, engine: Engine, defaults: RequestDefaults) -> ParsedRequest:
    """Parse `request` for `engine`. Raises UserError for settings that the engine or the server does not support."""
    arrival_time = time.monotonic()
    profile = profiles.get_profile(engine.profile)
    fields = _checked_chat_fields(request, engine)
    if fields is not None or getattr(engine, "is_chat_only", False):  # a host of chats ends its thought itself
        defaults = replace(defaults, repetition=False, soft_tokens=0, grace_tokens=0)
    budget = parse_budget(request, profile, defaults)
    if fields is not None and budget.may_cut and not profile.think_end and budget.limit is None:
        budget = replace(budget, has_thinking=False, may_cut=False)  # the upstream shows no thought: all is answer
    _check_min_tokens(budget, engine, profile)
    _check_landing(budget, engine, profile)
    cuts = _cut_settings(request, budget)
    _check_chat_host(request, engine, budget, cuts)
    messages = _messages(request, defaults) if isinstance(request, ChatRequest) else ()
    prompts = _prompts(request, engine, profile, messages)
    seed = secrets.randbits(63) if request.seed is None else request.seed
    sampling: dict[str, Any] = {
        "temperature": defaults.temperature if request.temperature is None else request.temperature,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "top_k": max(0, request.top_k or 0),
        "seed": seed,
        **_logprob_settings(request, engine),
    }
    stop_ids = _stop_token_ids(request, engine, profile)
    policy = _with_loops(parse_policy(request, engine, budget, defaults.exit_policy), request, defaults)
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    generations = tuple(
        GenerationRequest(
            tuple(prompt),
            budget,
            Sampling(stop_ids, **sampling, sample=n),
            stop,
            arrival_time,
            policy,
            messages=tuple(messages),
            chat_fields=fields,
            needs_cut=bool(cuts),
        )
        for prompt in prompts
        for n in range(request.n or 1)
    )
    separate, include = _reasoning_fields(request, profile)
    options = request.stream_options
    if options and options.include_usage and not request.stream:
        raise UserError("stream_options", "a request without stream", "add stream: true")
    return ParsedRequest(
        generations,
        sum(map(len, prompts)),
        separate,
        include,
        stream=bool(request.stream),
        include_usage=bool(options and options.include_usage),
        reasoning_control=bool(request.reasoning_control),
        return_token_ids=bool(request.return_token_ids),
        logprobs=_logprobs(request, engine) is not None,
        token_ledger=bool(request.token_ledger),
    )


def count_prompt_tokens(request: ChatRequest, engine: Engine, defaults: RequestDefaults) -> int:
    """The number of tokens of a conversation, as `parse_request` would send it to the engine."""
    _checked_chat_fields(request, engine)
    messages = _messages(request, defaults)
    return sum(map(len, _prompts(request, engine, profiles.get_profile(engine.profile), messages)))


def parse_budget(request: Request, profile: profiles.Profile, defaults: RequestDefaults) -> Budget:
    """The budget of a request. Raises UserError if its settings contradict each other."""
    body = request.model_dump(exclude_none=True)
    asked, hint = parse_thinking_budget(body, defaults.reasoning_effort_map), parse_hint(body)
    thinking_budget = defaults.budget_of(request.model) if asked is None else asked
    if hint is not None and request.answer_tokens == 0:
        raise UserError("answer_tokens", "0 together with a hint", "leave one of them out")
    if hint is not None and request.answer_kind is not None:
        raise UserError("answer_kind", f"{request.answer_kind} together with a hint", "leave one of them out")
    minimum = request.min_thinking_tokens or 0
    settings = (asked, hint, request.answer_tokens, request.deadline_ms, request.policy)
    is_set = bool(minimum) or any(value is not None for value in settings)
    is_chat = isinstance(request, ChatRequest)
    thinks_by_default = thinking_budget is not None or (profile.thinks_by_default and is_chat)
    has_thinking = is_set or thinks_by_default or has_thinking_on(body)
    max_tokens = single_value(
        {"max_tokens": request.max_tokens, "max_completion_tokens": request.max_completion_tokens}
    )
    if max_tokens is None and not has_thinking and not is_chat:
        max_tokens = COMPLETION_TOKENS
    if not has_thinking and request.answer_kind is not None:
        do = "set a thinking budget as well; without one no thought is ended"
        raise UserError("answer_kind", request.answer_kind, do)
    if thinking_budget == 0 and minimum:
        raise UserError("min_thinking_tokens", minimum, "leave it out, or give a thinking budget above 0")
    if has_thinking and request.min_tokens:
        raise UserError("min_tokens", request.min_tokens, "set min_thinking_tokens for a reply with thinking")
    return Budget(
        None if thinking_budget == -1 else thinking_budget,
        request.answer_tokens,
        max_tokens,
        hint,
        None if request.deadline_ms is None else request.deadline_ms / 1000,
        has_thinking,
        minimum if has_thinking else request.min_tokens or 0,
        defaults.max_thinking_budget if has_thinking else None,
        may_cut=has_thinking and not is_set,
        max_tokens_field="max_tokens" if request.max_tokens is not None else "max_completion_tokens",
        answer_kind=request.answer_kind or AnswerKind.TEXT,
        soft_tokens=defaults.soft_tokens if request.soft_tokens is None else request.soft_tokens,
        grace_tokens=defaults.grace_tokens if request.grace_tokens is None else request.grace_tokens,
    )


def parse_policy(request: Request, engine: Engine, budget: Budget, default: Policy = NO_POLICY) -> Policy:
    """The exit policy of a request. Raises UserError if it has no effect or the engine cannot apply it."""
    given = request.policy
    can_exit = budget.has_thinking and budget.limit != 0 and budget.max_answer_tokens != 0
    if given is None:
        return default if can_exit else NO_POLICY
    minimums = ExitMinimums(given.stable, given.min_answer_probability)
    policy = Policy(
        given.every, minimums, given.answer_tokens, given.normalizer, given.repetition, anytime=given.anytime
    )
    if not (policy.has_probes or policy.repetition):
        names = "stable, min_answer_probability, anytime, repetition"
        raise UserError("policy", "no exit rule", f"set at least one of {names}")
    if not can_exit:
        raise UserError("policy", "a reply without thinking, or with answer_tokens 0", "leave one of them out")
    if policy.has_probes and not engine.capabilities.can_fork:
        do = "leave stable, min_answer_probability and anytime out"
        raise UserError("policy", f"{engine.name}, which cannot fork a session", do)
    if minimums.needs_confidence and not engine.capabilities.has_logprobs:
        got = f"{given.min_answer_probability}, and {engine.name} has no log-probabilities"
        raise UserError("policy.min_answer_probability", got, "use stable")
    return policy


def _with_loops(policy: Policy, request: Request, defaults: RequestDefaults) -> Policy:
    """`policy` with what happens to loops: what the request says, and otherwise the server."""
    given = request.policy
    repetition = defaults.repetition or policy.repetition
    nudges = None if given is None else given.max_nudges
    if given is not None and not repetition and (given.max_nudges or given.nudge or given.near_repetition):
        names = "policy.max_nudges, policy.nudge, policy.near_repetition"
        raise UserError(names, "no repetition", "set repetition to true, or leave them out")
    nudge = None if given is None else given.nudge
    loops: dict[str, Any] = {"repetition": repetition, "nudge": nudge}
    loops["near_repetition"] = given is not None and given.near_repetition
    return replace(policy, max_nudges=defaults.max_nudges if nudges is None else nudges, **loops)


def _check_landing(budget: Budget, engine: Engine, profile: profiles.Profile) -> None:
    """Check that the engine can make the end of a thought likelier, where a think end tag needs it."""
    if budget.soft_tokens and budget.has_thinking and profile.think_end and not engine.capabilities.can_bias:
        do = f"leave it out; {engine.name} cannot add a bias to its think end tag. grace_tokens works"
        raise UserError("soft_tokens", budget.soft_tokens, do)


def _check_min_tokens(budget: Budget, engine: Engine, profile: profiles.Profile) -> None:
    """Check that the engine can forbid the tokens that end a thought: stop tokens and the closing think tag."""
    has_tag = budget.has_thinking and profile.think_end
    think_end = engine.tokenizer.encode(profile.think_end, add_special_tokens=False) if has_tag else ()
    if budget.min_thinking_tokens and max(1, len(think_end)) > engine.capabilities.max_forbidden_length:
        name = "min_thinking_tokens" if budget.has_thinking else "min_tokens"
        do = f"leave it out; {engine.name} cannot forbid the tokens that end the thought or the reply"
        raise UserError(name, budget.min_thinking_tokens, do)


def _logprobs(request: Request, engine: Engine) -> int | None:
    """The number of alternatives to return beside each token; None without logprobs."""
    count: int | None = getattr(request, "logprobs", None)
    if isinstance(request, ChatRequest):
        if request.top_logprobs and not request.logprobs:
            raise UserError("top_logprobs", "a request without logprobs", "add logprobs: true")
        count = request.top_logprobs or 0 if request.logprobs else None
    if count is not None and not engine.capabilities.has_logprobs:
        raise UserError("logprobs", count, f"leave it out; the engine of {engine.name} does not return them")
    return count


def _logprob_settings(request: Request, engine: Engine) -> dict[str, Any]:
    """The log-probabilities that the engine computes: those of the request, and for a token ledger those it can."""
    count, can = _logprobs(request, engine), engine.capabilities
    if not request.token_ledger:
        return {"logprobs": count}
    if not can.has_token_ids:
        do = "leave it out; the upstream returns text, and its tokens are not known"
        raise UserError("token_ledger", True, do)
    count = 0 if count is None and can.has_logprobs else count
    return {"logprobs": count, "forced_logprobs": can.has_forced_logprobs}


def _stop_token_ids(request: Request, engine: Engine, profile: profiles.Profile) -> frozenset[int]:
    """The tokens that end the reply: the model's own unless they are ignored, and the request's."""
    if request.ignore_eos and not engine.capabilities.has_token_ids:
        raise UserError("ignore_eos", True, "leave it out; the upstream returns text, not token ids")
    own = frozenset[int]() if request.ignore_eos else profiles.stop_token_ids(engine.tokenizer, profile)
    return own | frozenset(_check_vocabulary("stop_token_ids", request.stop_token_ids or [], engine.tokenizer))


def chat_fields(request: Request) -> dict[str, Any] | None:
    """The fields of a request that only an upstream's chat route can honour, such as tools; None if it needs none."""
    if not isinstance(request, ChatRequest):
        return None
    names = {"tools", "response_format"} | ({"tool_choice", "parallel_tool_calls"} if request.tools else set())
    fields = request.model_dump(include=names, exclude_none=True)
    has_calls = any(message.tool_calls or message.role == "tool" for message in request.messages)
    return fields if fields or has_calls else None


def _checked_chat_fields(request: Request, engine: Engine) -> dict[str, Any] | None:
    """`chat_fields` of a request. Raises UserError if the engine has no such route."""
    if not isinstance(request, ChatRequest):
        return None
    if request.tool_choice not in (None, "none", "auto") and not request.tools:
        raise UserError("tool_choice", "a choice without tools", "give tools, or leave it out")
    fields = chat_fields(request)
    if fields is not None and not hasattr(engine, "open_chat"):
        name = next(iter(fields), "messages")
        do = "this server does not support it; leave it out, or use a server with --engine remote"
        got = "a setting of an upstream's chat route" if fields else "tool calls"
        raise UserError(name, got, do)
    return fields


def _cut_settings(request: Request, budget: Budget) -> list[str]:
    """The settings for which z1 has to end a reply itself."""
    names = ("deadline_ms", "answer_tokens", "policy", "reasoning_control", "session", "soft_tokens", "grace_tokens")
    return [name for name in names if getattr(request, name)] + (["hint"] if budget.hint is not None else [])


def _check_chat_host(request: Request, engine: Engine, budget: Budget, cuts: list[str]) -> None:
    """Check that an upstream's chat route can keep the settings (`engines/remote/hosts.py`)."""
    is_chat_only = getattr(engine, "is_chat_only", False)
    if is_chat_only or chat_fields(request) is not None:
        cuts = cuts if isinstance(request, ChatRequest) else [*cuts, "prompt"]
        engine.check_settings(budget.limit, cuts, has_thinking=budget.has_thinking)  # type: ignore[attr-defined]


def _messages(request: ChatRequest, defaults: RequestDefaults) -> list[dict[str, Any]]:
    """The conversation, its last message in the form that the model was trained on."""
    if not request.messages:
        raise UserError("messages", "no message", "ask something")
    last_user = max((at for at, message in enumerate(request.messages) if message.role == "user"), default=-1)
    messages = [_message(message, in_loop=at > last_user) for at, message in enumerate(request.messages)]
    if messages[-1]["role"] == "tool":
        return messages
    if messages[-1]["role"] == "assistant":
        name = f"messages.{len(messages) - 1}.role"
        raise UserError(name, "assistant in the last message", "end with a user message; no message is continued")
    if not messages[-1]["content"].strip():
        raise UserError("messages", "an empty last message", "ask something")
    messages[-1]["content"] = defaults.format_question(messages[-1]["content"])
    return messages


def _message(message: Message, *, in_loop: bool) -> dict[str, Any]:
    """A message for the chat template; `in_loop`: the tools that it called are running, so its thought is kept."""
    fields: dict[str, Any] = {"role": _role(message.role), "content": message.content}
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        fields["tool_calls"] = [call.model_dump() for call in message.tool_calls]
        if message.reasoning and in_loop:  # servers read one name or the other
            fields |= {"reasoning": message.reasoning, "reasoning_content": message.reasoning}
    return fields


def _prompts(
    request: Request, engine: Engine, profile: profiles.Profile, messages: Sequence[dict[str, Any]]
) -> Sequence[Sequence[int]]:
    """The token ids of each prompt; those of an upstream's conversation with tools are only counted."""
    if isinstance(request, ChatRequest):
        if (fields := chat_fields(request)) is not None:
            return [tool_prompt_token_ids(engine.tokenizer, profile, messages, fields.get("tools"))]
        return [prompt_token_ids(engine.tokenizer, profile, messages)]
    prompt: Any = getattr(request, "prompt", "")
    prompts = prompt if isinstance(prompt, list) and not (prompt and isinstance(prompt[0], int)) else [prompt]
    if not prompts or not all(prompts):
        raise UserError("prompt", "an empty prompt", "give text or token ids")
    encoded = [text_token_ids(engine.tokenizer, one) if isinstance(one, str) else one for one in prompts]
    return [_check_vocabulary("prompt", token_ids, engine.tokenizer) for token_ids in encoded]


def _check_vocabulary(name: str, token_ids: list[int], tokenizer: Any) -> list[int]:
    size = len(tokenizer) if hasattr(tokenizer, "__len__") else None
    wrong = next((token for token in token_ids if token < 0 or (size is not None and token >= size)), None)
    if wrong is not None:
        do = "give token ids of 0 or more" if size is None else f"give token ids from 0 to {size - 1}"
        raise UserError(name, f"token id {wrong}", do)
    return token_ids


def _role(role: str) -> str:
    return "system" if role == "developer" else role


def _reasoning_fields(request: Request, profile: profiles.Profile) -> tuple[bool, bool]:
    """Whether thought and answer are separate fields, and whether the thought is returned."""
    exclude = request.reasoning.exclude if request.reasoning else None
    display = request.thinking.display if request.thinking else None
    given = {
        "include_reasoning": request.include_reasoning,
        "reasoning.exclude": None if exclude is None else not exclude,
        "thinking.display": None if display is None else display != "omitted",
    }
    include = single_value(given)
    if isinstance(request, CompletionRequest):
        if request.separate_reasoning or include is False:
            do = "use /v1/chat/completions, or split the text at budget.offsets"
            raise UserError("separate_reasoning", "a text completion", do)
        return False, True
    separate = bool(profile.think_end) if request.separate_reasoning is None else request.separate_reasoning
    if include is False and not separate:
        name = next(name for name, value in given.items() if value is False)
        do = "add separate_reasoning: true; without it all text is content"
        raise UserError(name, "a request to leave the thought out", do)
    return separate, include is not False
