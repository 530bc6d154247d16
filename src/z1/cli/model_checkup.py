"""`z1 doctor MODEL`: what z1 makes of a model, and whether it answers.

Files, architecture, engine, profile and why, stops, memory; the prompt of one question and the hint, as text; then a
reply to that question with a small budget, and its speed. What is wrong comes with what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from z1 import profiles
from z1.errors import UserError
from z1.families import AnswerKind, Profile
from z1.model_files import display_name, find_family, find_model
from z1.prompts import render_prompt

if TYPE_CHECKING:
    from rich.console import Console

    from z1.generation import Reply
    from z1.llm import LLM

QUESTION, BUILTIN_QUESTION = "A box holds 17 red and 25 blue balls. How many balls are in it?", "print(3 + 4)"
KIND = AnswerKind.NUMBER
BUDGET, ANSWER, CONTEXT = 48, 48, 2048
"""Tokens of the probe, and of its context."""

Problem = tuple[str, str]
"""What is wrong, and what to do."""


@dataclass(slots=True)
class Checkup:
    """What was found; a model that cannot be loaded has facts and a problem only."""

    facts: dict[str, str]
    problems: list[Problem] = field(default_factory=list)
    prompt: str = ""
    hint: str = ""
    reply: Reply | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        problems = [{"problem": what, "do": do} for what, do in self.problems]
        reply = None if self.reply is None else self.reply.as_json()
        return {**self.facts, "prompt": self.prompt, "hint": self.hint, "reply": reply, "problems": problems}


def check_model(model: str, profile: str | None) -> Checkup:
    """Load `model` on the local engine and let it answer one question."""
    checkup = Checkup({"model": display_name(model)})
    try:
        folder = find_model(model)
        checkup.facts["files"] = _files(model, folder)
        config = _config(folder)
        checkup.facts["architecture"] = _architecture(config)
        checkup.facts["memory"] = _memory(folder)
        _check_loaded(checkup, model, profile, config)
    except UserError as error:
        checkup.problems.append((f"{error.what}: got {error.got}", str(error.do)))
    return checkup


def _check_loaded(checkup: Checkup, model: str, profile: str | None, config: Any) -> None:
    from z1.llm import LLM

    with LLM(model, profile=profile, max_num_seqs=1, max_model_len=CONTEXT) as llm:
        engine = llm.engine
        row = profiles.get_profile(engine.profile)
        family = find_family(model, profile, config.model_type, engine.tokenizer.chat_template)
        question = BUILTIN_QUESTION if row.name.startswith("z1-tiny") else QUESTION
        hint = profiles.hint_for(row, KIND)
        checkup.facts["engine"] = _engine(llm)
        checkup.facts["profile"] = f"{row.name}, because {family.because}"
        checkup.facts["stops at"] = _stops(engine.tokenizer, row)
        checkup.prompt = render_prompt(engine.tokenizer, row, question)
        checkup.hint = hint.text + hint.answer_prefix
        reply = llm.generate(question, thinking_budget=BUDGET, max_answer_tokens=ANSWER, answer_kind=KIND)
        checkup.reply = reply
        tokens = reply.ledger.completion_tokens - reply.ledger.hint
        checkup.facts["speed"] = f"{tokens / max(reply.seconds, 1e-9):.0f} tokens a second, one reply at a time"
        checkup.problems += _problems(engine.tokenizer, row, family.because, reply)


def _files(model: str, folder: Path) -> str:
    if not folder.is_dir():
        return f"hub id {model}"
    path, size = Path(model).expanduser(), _size(folder)
    if path.is_file():
        return f"GGUF, {path.stat().st_size / 1e6:,.0f} MB; read as {folder} ({size / 1e6:,.0f} MB)"
    return f"{folder}, {size / 1e6:,.0f} MB of weights"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"config.json of {folder}", first, "give a folder or a hub id in transformers' format"
        ) from None


def _architecture(config: Any) -> str:
    text = config.get_text_config()
    name = (config.architectures or [config.model_type])[0]
    facts = (
        ("layers", getattr(text, "num_hidden_layers", None)),
        ("wide", getattr(text, "hidden_size", None)),
        ("tokens in the vocabulary", getattr(text, "vocab_size", None)),
        ("tokens of context", getattr(text, "max_position_embeddings", None)),
    )
    return ", ".join([name, *(f"{value:,} {unit}" for unit, value in facts if value is not None)])


def _memory(folder: Path) -> str:
    """What one context takes on a CPU. Raises UserError if it does not fit."""
    import torch

    from z1.engines.local.engine import LocalSettings, fit_memory
    from z1.engines.local.memory import context_length, describe, free_memory, memory_need

    if torch.cuda.is_available() or not folder.is_dir():
        return "that of the GPU" if torch.cuda.is_available() else "not known before the model is loaded"
    settings = LocalSettings(max_num_seqs=1, max_model_len=CONTEXT)
    dtype, _ = fit_memory(folder, settings)
    length = context_length(folder, CONTEXT)
    need = memory_need(folder, str(dtype).removeprefix("torch."), length, settings.max_num_batched_tokens)
    return describe(need, 1, 1, length, free_memory()).removeprefix("memory: ")


def _engine(llm: LLM) -> str:
    decoder = type(getattr(llm.engine, "decoder", None)).__name__
    own = "z1's own forward pass" if decoder == "Decoder" else "transformers' forward pass, which is slower"
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"local, {own}, {processors} processors"


def _stops(tokenizer: Any, row: Profile) -> str:
    return ", ".join(profiles.decode(tokenizer, [token]) for token in sorted(profiles.stop_token_ids(tokenizer, row)))


def _problems(tokenizer: Any, row: Profile, because: str, reply: Reply) -> Iterator[Problem]:
    if not tokenizer.chat_template:
        yield "the model has no chat template, so ChatML is used, which it may not know", "use an instruct model"
    if "no think tags that z1 knows" in because:
        yield (
            f"{because}, so the thought cannot be told from the answer",
            "name the closest --profile (docs/profiles.md)",
        )
    if not profiles.stop_token_ids(tokenizer, row):
        yield "no token ends a reply, so every answer runs to its maximum", "set eos_token in tokenizer_config.json"
    if row.think_start and reply.thinking.lstrip().startswith(row.think_start.strip()):
        yield f"the model opened a second {row.think_start.strip()} after the prompt's", "try --profile plain"
    if not reply.answer.strip():
        yield "the model wrote no answer after the hint", "try another --profile, or an instruct model"
    if "\ufffd" in reply.text:
        yield "the reply has broken characters", "check tokenizer.json: it may be another model's"


def print_checkup(console: Console, checkup: Checkup) -> None:
    """Print the facts, then prompt and reply with their parts in colour, then the problems."""
    width = max(map(len, checkup.facts))
    for name, finding in checkup.facts.items():
        console.print(f"{name:<{width}}  {finding}", markup=False)
    if checkup.prompt:
        _print_part(console, "prompt", checkup.prompt, "cyan")
    if (reply := checkup.reply) is not None:
        _print_part(console, f"thought, at most {BUDGET} tokens", reply.thinking, "dim")
        _print_part(console, "hint", reply.hint or f"(not needed: {checkup.hint!r})", "bold yellow")
        _print_part(console, "answer", reply.answer, "bold green")
        console.print(f"\nthinking stopped: {reply.shift}; the answer ended: {reply.end}", markup=False)
    for what, do in checkup.problems:
        console.print(f"\nproblem: {what}; {do}", style="bold red", markup=False)
    if not checkup.problems:
        console.print("\nno problem found", style="bold", markup=False)


def _print_part(console: Console, title: str, text: str, style: str) -> None:
    console.print(f"\n[{title}]", markup=False)
    console.print(text, style=style, markup=False)
