"""Finish reasons: the words of servers and datasets for why a reply ended, as one word each.

OpenAI says stop, length and content_filter; Anthropic end_turn, stop_sequence, max_tokens and refusal; Google STOP,
MAX_TOKENS and SAFETY; Hugging Face's servers eos_token. Datasets hold these words, or whether the reply is complete.
"""

from __future__ import annotations

from typing import Any

STOP, LENGTH, REFUSAL = "stop", "length", "refusal"

WORDS = {
    STOP: ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed", "end", "finished", "true"),
    LENGTH: ("length", "max_tokens", "max_output_tokens", "model_length", "max_new_tokens", "incomplete", "false"),
    REFUSAL: ("refusal", "content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
}

_MEANING = {word: reason for reason, words in WORDS.items() for word in words}


def finish_reason(value: Any) -> str:
    """stop, length or refusal; "" if it is unknown, and an unknown word as it is."""
    word = "" if value is None else str(value).strip().lower()
    return _MEANING.get(word, word)
