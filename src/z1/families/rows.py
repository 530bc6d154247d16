"""Model families: chat template, think tags and hints of each, one row a family in `PROFILES`.

Each row names the source of its texts. Only the rows of z1's own models, and `plain` with SmolLM2-135M, have been run
on weights; the texts of the others were checked against the family's chat template and card, and nothing else.
`detection.py` finds the row of a model; `z1.profiles` turns a row and a tokenizer into token ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from z1.families.hints import AnswerKind, Hint, hints_by_kind

HINT = "\n\nI overthought it, the final answer should be:\n\n"
"""The paper's hint (figure 2); `eval/general_evaluation/reasoning.py` of its code adds the blank lines."""

EARLY_STOP = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now."
)
"""Qwen3's own words before a forced `</think>`, in the documentation of its thinking budget."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One model family.

    `think_start` is the text with which every prompt ends, and which is added where the template does not write it.
    `think_end` is the text with which the model ends its thought. Both are "" for families without think tags. `hint`
    shifts a thought to an answer in free text, `no_thinking_hint` does so before any thought; `answer_prefix` begins
    every forced answer. `hints` has the hints of the other kinds of answer; a kind without one has that of free text.
    An open code block is closed before the hint if `closes_code`, and a half sentence ends with `sentence_end`.

    `markers` are texts that begin an answer in a family without think tags; () if their precision was not measured. A
    family without `thinks_by_default` thinks only in requests to a server that set a budget. `template_settings` are
    passed to the chat template. With `merges_system` a system message becomes the beginning of the first user message.
    """

    name: str
    system: str | None = None
    think_start: str = ""
    think_end: str = ""
    hint: str = HINT
    no_thinking_hint: str = HINT
    answer_prefix: str = ""
    hints: tuple[tuple[AnswerKind, Hint], ...] = ()
    closes_code: bool = True
    sentence_end: str = "..."
    markers: tuple[str, ...] = ()
    stop_tokens: tuple[str, ...] = ("<|im_end|>", "<|endoftext|>")
    thinks_by_default: bool = True
    template_settings: tuple[tuple[str, Any], ...] = ()
    merges_system: bool = False


def _tiny(name: str, **texts: Any) -> Profile:
    """A row for z1-tiny, which was trained on its hint after a thought that was cut anywhere."""
    return Profile(name, closes_code=False, sentence_end="", **texts)


def _tagged(name: str, start: str, end: str, close: str, **more: Any) -> Profile:
    """A row for a family with think tags; `close` is the text that closes an empty or an unfinished thought."""
    texts = {"hint": close, "no_thinking_hint": close, "hints": hints_by_kind(close, close)}
    settings = (("enable_thinking", True), ("thinking", True))  # for templates that do not think otherwise
    return Profile(name, think_start=start, think_end=end, template_settings=settings, **{**texts, **more})


def _plain(name: str, *stop_tokens: str) -> Profile:
    """A row for a family without think tags that answers a question as it likes."""
    lead = "The final answer is:\n\n"
    return Profile(
        name,
        hint="\n\n" + lead,
        no_thinking_hint=lead,
        hints=hints_by_kind("\n\n", ""),
        stop_tokens=stop_tokens,
        thinks_by_default=False,
    )


PROFILES: dict[str, Profile] = {
    row.name: row
    for row in (
        _tiny(
            "z1-tiny",
            no_thinking_hint="",
            answer_prefix="The final answer is \\boxed{",
            markers=("The final answer is",),
        ),
        _tiny(
            "z1-tiny-tags",
            think_start="<think>\n",
            think_end="</think>\n",
            hint="\n\n</think>\n",
            no_thinking_hint="</think>\n",
            answer_prefix="The final answer is \\boxed{",
        ),
        # three other ways to end the thought of z1-tiny, for comparison
        _tiny("z1-tiny-bare", hint="", no_thinking_hint=""),
        _tiny("z1-tiny-tag", hint="\n\n</think>\n", no_thinking_hint="</think>\n"),
        _tiny("z1-tiny-hint", no_thinking_hint=HINT),
        # SmolLM2 fine-tuned by experiments/smol: z1-tiny's way of ending a thought, in any chat template
        _tiny(
            "z1-smol",
            no_thinking_hint="",
            answer_prefix="The final answer is \\boxed{",
            markers=("\n\nThe final answer is",),
        ),
        # arXiv 2504.00810, section 2.2 and figure 2: one hint for every kind of answer, after a thought cut anywhere
        Profile("z1", sentence_end=""),
        # families without think tags; the turn ends are those of ChatML, Llama 3, Phi and Gemma
        _plain("plain", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<turn|>"),
        # Gemma 2 and 3: google/gemma-3-1b-it, chat template and generation_config.json
        _plain("gemma", "<end_of_turn>", "<eos>"),
        # any template that closes </think>
        _tagged("think-tags", "<think>\n", "</think>", "\n</think>\n\n"),
        # deepseek-ai/DeepSeek-R1, "Usage Recommendations": begin with "<think>\n", no system prompt
        _tagged(
            "r1-distill",
            "<think>\n",
            "</think>",
            "\n</think>\n\n",
            hint="\n</think>\n\nThe final answer is:",
            no_thinking_hint="\n</think>\n\nThe final answer is:",
            stop_tokens=("<｜end▁of▁sentence｜>",),
            merges_system=True,
        ),
        # deepseek-ai/DeepSeek-V3.1 and later, chat template: thinking is off unless it is asked for
        _tagged(
            "deepseek",
            "<think>",
            "</think>",
            "</think>",
            stop_tokens=("<｜end▁of▁sentence｜>",),
        ),
        # Qwen/Qwen3-8B and Qwen/Qwen3.5-4B, chat template (hybrid, thinking); Qwen's documentation for the hint
        _tagged(
            "qwen3",
            "<think>\n",
            "</think>",
            "\n</think>\n\n",
            hint=EARLY_STOP + "\n</think>\n\n",
            hints=hints_by_kind(EARLY_STOP + "\n</think>\n\n", "\n</think>\n\n"),
            sentence_end="",
        ),
        # openai/gpt-oss-120b, chat template, and openai-harmony's documentation of channels
        _tagged(
            "gpt-oss",
            "<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            stop_tokens=("<|return|>", "<|call|>", "<|endoftext|>"),
        ),
        # zai-org/GLM-4.5 to 4.7, chat template
        _tagged(
            "glm",
            "\n<think>",
            "</think>",
            "</think>\n",
            stop_tokens=("<|endoftext|>", "<|user|>", "<|observation|>"),
        ),
        # nvidia/NVIDIA-Nemotron-Nano-9B-v2, NVIDIA-Nemotron-3-Nano-30B-A3B and Llama-3.3-Nemotron-Super-49B-v1.5, chat
        # templates
        _tagged(
            "nemotron",
            "<think>\n",
            "</think>",
            "\n</think>\n\n",
            stop_tokens=("<SPECIAL_12>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>"),
        ),
        # microsoft/Phi-4-reasoning, card: "<think> {Thought section} </think> {Solution section}"
        _tagged("phi4-reasoning", "<think>", "</think>", "</think>\n\n", stop_tokens=("<|im_end|>", "<|endoftext|>")),
        # mistralai/Magistral-Small-2507 and Ministral-3-14B-Reasoning-2512, chat template
        _tagged("magistral", "[THINK]", "[/THINK]", "[/THINK]", stop_tokens=("</s>",)),
        # google/gemma-4-31B-it, chat template: thinking is off unless it is asked for
        _tagged(
            "gemma4",
            "<|channel>thought\n",
            "<channel|>",
            "\n<channel|>",
            no_thinking_hint="<channel|>",
            hints=hints_by_kind("\n<channel|>", "<channel|>"),
            stop_tokens=("<turn|>", "<eos>"),
        ),
        # HuggingFaceTB/SmolLM3-3B, chat template
        _tagged(
            "smollm3",
            "<think>\n",
            "</think>",
            "\n</think>\n",
        ),
        # simplescaling/s1: its delimiters and "Final Answer:", after a thought cut anywhere
        Profile(
            "s1",
            think_start="<|im_start|>think\n",
            think_end="<|im_start|>answer",
            hint="<|im_start|>answer\nFinal Answer:",
            no_thinking_hint="<|im_start|>answer\nFinal Answer:",
            sentence_end="",
        ),
    )
}
