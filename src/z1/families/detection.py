"""Detection of a model's family from its type and chat template, with the reason.

The chat template is the evidence: a model is in a family with think tags only if its template writes them, so an
instruct model of the same type is not. That a template removes tags from earlier turns is no evidence: instruct models
share such templates with thinking ones. Signatures are tried in order, special ones before general ones.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from z1.families.rows import PROFILES


class Family(NamedTuple):
    """A row of `PROFILES`, and why it was chosen."""

    profile: str
    because: str

    def __str__(self) -> str:
        return f"profile {self.profile}, because {self.because}; change with --profile"


class Signature(NamedTuple):
    """A family whose chat templates match all of `patterns`; `model_type` is the beginning of the type, "" for any."""

    profile: str
    because: str
    patterns: tuple[str, ...]
    model_type: str = ""


_NOT_READ = r"(?!['\"](?:[),]|\s+(?:not\s+)?in\b))"
"""Not in `content.split('</think>')` or `'</think>' in content`."""

OPEN, CLOSE = f"<think>{_NOT_READ}", f"</think>{_NOT_READ}"
"""Tags that a template writes."""

_CLOSES = "the template closes </think>"

SIGNATURES = (
    Signature("gpt-oss", "the template writes harmony channels", (r"<\|channel\|>", r"<\|message\|>")),
    Signature("gemma4", "the template has Gemma's thought channel", (r"<\|channel>", "<channel\\|>")),
    Signature("magistral", "the template has [THINK]", (r"\[THINK\]",)),
    Signature(
        "deepseek",
        f"{_CLOSES} after <｜Assistant｜>, and has a setting for it",
        (CLOSE, "<｜Assistant｜>", r"if (not )?thinking\b"),
    ),
    # the template in the GGUF files of R1-Distill only removes thoughts
    Signature("r1-distill", f"{_CLOSES} after <｜Assistant｜>", ("</think>", "<｜Assistant｜>")),
    Signature("glm", f"{_CLOSES} after [gMASK]", (CLOSE, r"\[gMASK\]")),
    Signature("phi4-reasoning", f"{_CLOSES} in turns with <|im_sep|>", (CLOSE, r"<\|im_sep\|>")),
    Signature("smollm3", f"{_CLOSES} and states a reasoning mode", (CLOSE, "Reasoning Mode")),
    Signature(
        "nemotron",
        f"{_CLOSES} in Nemotron's turns",
        (CLOSE, r"<SPECIAL_1[01]>|<TOOLCALL>|truncate_history_thinking"),
    ),
    Signature("qwen3", f"{_CLOSES} in ChatML, and the model is a Qwen", (CLOSE, r"<\|im_start\|>"), "qwen"),
    Signature("think-tags", "the template ends prompts with <think>", (f"(?s)add_generation_prompt.*{OPEN}",), "lfm2"),
    Signature("plain", "instruct and thinking models of LFM2.5 share their template", ("</think>",), "lfm2"),
    Signature("think-tags", _CLOSES, (CLOSE,)),
    Signature("think-tags", "the template opens <think>", (OPEN,)),
    Signature("gemma", "the template has <start_of_turn>", ("<start_of_turn>",)),
)
"""Each profile that can be detected; the first that matches is taken."""

_MENTIONS = re.compile(r"reasoning_content|enable_thinking|thinking")


def detect_family(model_type: str, template: Any) -> Family:
    """The family of a model by its type and chat template, which may be a table of templates or missing."""
    text = _template_text(template)
    if not text and model_type.startswith("qwen3"):
        return Family("qwen3", f"the model type is {model_type} and there is no chat template")
    for row in SIGNATURES:
        if model_type.startswith(row.model_type) and all(re.search(pattern, text) for pattern in row.patterns):
            return Family(PROFILES[row.profile].name, row.because)
    if "</think>" in text:
        return Family("plain", "the template only removes thoughts from earlier turns, as those of instruct models do")
    if found := _MENTIONS.search(text):
        return Family("plain", f"the template mentions {found[0]}, but has no think tags that z1 knows")
    return Family("plain", "the template has no think tags" if text else "there is no chat template")


def _template_text(template: Any) -> str:
    """The template for a conversation without tools."""
    if isinstance(template, dict):
        return str(template.get("default") or next(iter(template.values()), ""))
    return str(template or "")
