"""Detection of families. The templates are short ones of the same form as the families' own."""

from __future__ import annotations

import pytest

from z1.families import PROFILES, detect_family
from z1.families.detection import SIGNATURES

LOOP = "{% for m in messages %}"
CASES = [
    # template, model type, profile
    (
        LOOP + "{% set c = m['content'].split('</think>')[-1] %}<｜Assistant｜>{{ c }}{% endfor %}",
        "qwen2",
        "r1-distill",
    ),
    (LOOP + "{{ c.split('</think>')[-1] }}{% endfor %}<｜Assistant｜><think>\n", "llama", "r1-distill"),
    (LOOP + "{{ c.split('</think>')[-1] }}{% endfor %}<｜Assistant｜><think>\n", "qwen3", "r1-distill"),
    ("{% if not thinking %}<｜Assistant｜></think>{% else %}<think>{% endif %}", "deepseek_v3", "deepseek"),
    ("<|im_start|>{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}", "qwen3", "qwen3"),
    ("<|im_start|>assistant\n{% if enable_thinking is false %}<think></think>{% else %}<think>", "qwen3_5", "qwen3"),
    ("<|im_start|>assistant\n<think>\n{{ m.reasoning_content }}</think>", "qwen3_moe", "qwen3"),
    ("<|im_start|>{{ c.split('</think>')[-1] }}{{ '\n</think>\n\n' + c }}<think>\n", "qwen2", "qwen3"),  # QwQ
    ("<|im_start|>{{ c.split('</think>')[-1] }}<think>\n", "qwen2", "think-tags"),
    ("<|im_start|>{{ m.reasoning_content }}</think>", "step3", "think-tags"),
    ("<|im_start|>{{ m.content }}<|im_end|>", "qwen3", "plain"),  # a Qwen3 that does not think
    ("<|start|>assistant<|channel|>analysis<|message|>", "gpt_oss", "gpt-oss"),
    ("[gMASK]<sop><|assistant|>\n<think></think>", "glm4_moe", "glm"),
    ("<SPECIAL_11>Assistant\n<think>\n{{ '</think>' }}", "nemotron_h", "nemotron"),
    ("<|im_start|>{{ truncate_history_thinking }}<think></think>", "nemotron_h", "nemotron"),
    ("<|start_header_id|>'<TOOLCALL>[' <think>\n\n</think>\n\n", "nemotron-nas", "nemotron"),
    ("<|im_start|>user<|im_sep|><think> Thought </think>", "phi3", "phi4-reasoning"),
    ("[SYSTEM_PROMPT][THINK]draft[/THINK][INST]", "mistral3", "magistral"),
    ("<|turn>model\n{% if not enable_thinking %}<|channel>thought\n<channel|>", "gemma4", "gemma4"),
    ("<start_of_turn>model\n", "gemma3_text", "gemma"),
    ("Reasoning Mode: {{ mode }}<|im_start|>assistant\n<think>\n\n</think>\n", "smollm3", "smollm3"),
    ("{% assistant %}<think>\n", "qwen2", "think-tags"),
    ("{{ x }}", "llama", "plain"),
    # LFM2.5, two revisions of a template for instruct and thinking models, and one that opens the thought
    ("{% if '</think>' in c %}{% set c = c.split('</think>')[-1] %}{% endif %}<|im_start|>", "lfm2", "plain"),
    ("{{ '<think>' + m.thinking + '</think>' }}{% if add_generation_prompt %}<|im_start|>", "lfm2_moe", "plain"),
    ("{{ c.split('</think>')[-1] }}{% if add_generation_prompt %}{{ '<think>' }}", "lfm2", "think-tags"),
    # Phi-4-mini-reasoning
    ("<|system|>Your name is Phi{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}<|assistant|>", "phi3", "plain"),
    # thoughts are removed from earlier turns only
    (LOOP + '{{ c.split("</think>", 1)[-1] }}<|im_start|>', "qwen2", "plain"),
    ("{% if '<think>' not in c %}{{ c | replace('<think>', '') }}{% endif %}", "llama", "plain"),
    (None, "llama", "plain"),
    (None, "qwen3_moe", "qwen3"),
]


@pytest.mark.parametrize(("template", "model_type", "profile"), CASES)
def test_the_family_is_found_by_template_and_type(template: str | None, model_type: str, profile: str) -> None:
    assert detect_family(model_type, template).profile == profile


def test_every_signature_has_a_case_and_a_profile() -> None:
    found = {profile for _, _, profile in CASES}
    assert {row.profile for row in SIGNATURES} <= found & PROFILES.keys()


def test_the_line_says_why_and_how_to_change_it() -> None:
    line = str(detect_family("llama", "{{ '</think>' + c }}"))
    assert line == "profile think-tags, because the template closes </think>; change with --profile"


def test_a_thinking_template_without_known_tags_is_said() -> None:
    family = detect_family("x", "{{ m.reasoning_content }}<seed:think>")
    assert family == ("plain", "the template mentions reasoning_content, but has no think tags that z1 knows")


def test_a_template_that_only_removes_thoughts_is_said() -> None:
    because = "the template only removes thoughts from earlier turns, as those of instruct models do"
    assert detect_family("llama", "{{ c.split('</think>') }}") == ("plain", because)


def test_of_several_templates_the_default_one_counts() -> None:
    assert detect_family("x", {"tool_use": "", "default": "</think>"}).profile == "think-tags"
    assert detect_family("x", {"tool_use": "</think>"}).profile == "think-tags"
    assert detect_family("x", {}).profile == "plain"
