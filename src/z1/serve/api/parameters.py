"""The table of parameters and message fields that z1 knows and does not implement.

A parameter that describes or labels a request, or concerns only speed, is ignored. One that would change the reply is
accepted at the values that ask for nothing, which are mostly the defaults of the server that has it, and rejected at
any other value. Sources: the types of the openai package 3.52; the requests of vLLM 0.32, SGLang 0.5, llama.cpp,
LM Studio, Ollama, OpenRouter and LiteLLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = tuple[Any, ...]
"""Accepted values of a parameter, beside the empty ones; () if there are none but null."""

EMPTY: Values = ("", [], {})
"""Values that ask for nothing, as null does."""

IGNORED = frozenset(
    {
        *("metadata", "moderation", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "store", "user"),
        *("prediction",),  # text that is probably generated: it makes the reply faster, not another
        *("cache_salt", "priority", "request_id", "rid", "session_id", "stream_interval"),
        *("cache_prompt", "id_slot", "keep_alive", "n_keep", "slot_id", "timings_per_token", "ttl"),
        *("litellm_call_id", "litellm_metadata", "litellm_session_id", "litellm_trace_id"),
        *("chat_id", "conversation_id", "interaction_id", "tags", "thread_id", "trace", "trace_id"),
    }
)
"""Parameters that label a request or concern only speed."""

_FLAG: Values = (True, False)
_OFF: Values = (False,)
_ZERO: Values = (0,)
_ONE: Values = (1,)

NO_OP_VALUES: Mapping[str, Values] = {
    # OpenAI
    **dict.fromkeys(["audio", "web_search_options"], ()),  # an empty object asks for them
    **dict.fromkeys(["frequency_penalty", "presence_penalty"], _ZERO),
    "best_of": _ONE,
    "echo": _OFF,
    "function_call": ("none", "auto"),
    **dict.fromkeys(["functions", "logit_bias", "suffix", "tools"], EMPTY),
    "modalities": (["text"],),
    "parallel_tool_calls": _FLAG,
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "verbosity": ("medium",),
    # samplers of vLLM, SGLang and llama.cpp
    **dict.fromkeys(["dry_multiplier", "dynatemp_range", "min_p", "mirostat", "top_a", "xtc_probability"], _ZERO),
    **dict.fromkeys(["length_penalty", "repeat_penalty", "repetition_penalty", "tfs_z", "typical_p"], _ONE),
    **dict.fromkeys(["bad_words", "samplers"], EMPTY),
    "use_beam_search": _OFF,
    # what a reply contains, and how a prompt becomes tokens
    **dict.fromkeys(["skip_special_tokens", "spaces_between_special_tokens"], _FLAG),
    **dict.fromkeys(["continue_final_message", "include_stop_str_in_output", "no_stop_trim"], _OFF),
    **dict.fromkeys(["return_hidden_states", "return_progress", "return_token_offsets"], _OFF),
    **dict.fromkeys(["return_prompt_text", "return_tokens_as_token_ids", "watermarking"], _OFF),
    **dict.fromkeys(["add_generation_prompt", "stream_reasoning"], (True,)),
    "add_special_tokens": _OFF,
    "n_predict": (-1,),
    "n_probs": _ZERO,
    "prompt_logprobs": (),
    "mm_payload": ("tensors",),
    "routed_experts_prompt_start": _ZERO,
    "truncate_prompt_tokens": (-1,),
    "reasoning_format": ("auto",),
}
"""Parameters of a request that would change the reply."""

TEXT_COMPLETION_VALUES: Mapping[str, Values] = {"add_special_tokens": (True,)}
"""Values that differ in a text completion, which begins with the tokens that the tokenizer adds."""

UNSET_VALUES: Mapping[str, Values] = {
    **dict.fromkeys(["max_completion_tokens", "max_tokens"], (-1,)),
    **dict.fromkeys(["reasoning_effort", "stop", "think"], ("",)),
}
"""Values that mean *not set* in parameters that z1 implements."""

STREAM_OPTION_VALUES: Mapping[str, Values] = {"continuous_usage_stats": _OFF, "include_obfuscation": _OFF}
"""Members of `stream_options` that z1 does not implement."""

ASSISTANT_VALUES: Mapping[str, Values] = {
    "audio": (),
    "continue_final_message": _OFF,
    "function_call": (),
    "partial": _OFF,
    "prefix": _OFF,
    "tool_calls": (),
}
"""Fields of an assistant message that would change the prompt. Every other field is an echo of some server's reply
(`refusal`, `annotations`, `parsed`, `provider_specific_fields`, the thought under any name) and is left out."""

MESSAGE_LABELS = frozenset(
    {
        *("additional_kwargs", "annotations", "cache_control", "created", "createdAt", "created_at", "id", "metadata"),
        *("name", "prompt_cache_breakpoint", "providerMetadata", "providerOptions", "provider_options"),
        *("provider_specific_fields", "response_metadata", "status", "timestamp", "type", "uuid"),
    }
)
"""Fields of any message and of its parts that label it."""

TEXT_PARTS: Mapping[str, str] = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Types of parts that are text, and the field that holds it."""

THOUGHT_PARTS = frozenset({"reasoning", "reasoning_text", "redacted_thinking", "summary_text", "thinking"})
"""Types of parts of an assistant message that are a thought, which is left out of the prompt."""
