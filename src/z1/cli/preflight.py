"""Shows the pre-flight of a fine-tuning: what it would do, warnings, and the first sample with its loss mask.

Tokens without loss are dim, tokens with loss green, and the token that ends the row is reversed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from z1 import benchmarks, pipeline, profiles
from z1.cli.options import print_json
from z1.prompts import chat_template
from z1.recipe import Recipe

if TYPE_CHECKING:
    from z1.train.sft.prepare import PreparedTraining

SHOWN = 400
"""Tokens of each end of a long part that are shown."""


def show(prepared: PreparedTraining, recipe: Recipe, *, as_json: bool = False) -> None:
    """Print the pre-flight; of several processes only the first does."""
    if pipeline.process_rank()[0]:
        return
    findings = list(prepared.preflight.summary())
    warnings = _warnings(prepared, recipe)
    if as_json:
        print_json({"recipe": recipe.name, **dict(findings), "warnings": warnings})
        return
    _print([*findings, *(("warning", line) for line in warnings)], sample(prepared))


def _print(findings: list[tuple[str, str]], first_row: Text) -> None:
    console = Console(soft_wrap=True, highlight=False)
    width = max(len(name) for name, _ in findings)
    for name, finding in findings:
        style = "bold red" if name == "warning" else "bold"
        console.print(Text.assemble((f"{name:<{width}}  ", style), finding))
    console.print(first_row)


def _warnings(prepared: PreparedTraining, recipe: Recipe) -> list[str]:
    """Settings that are allowed and seldom meant: prompts that differ between training and evaluation."""
    found = []
    settings = recipe.evaluate
    evaluated = benchmarks.get_benchmark(settings.benchmark).with_prompt(settings.prompt, settings.system)
    if evaluated.system != (profiles.get_profile(recipe.profile or "").system or ""):
        found.append(f"evaluation has a system prompt that training lacks: {evaluated.system!r}; set evaluate.system")
    if settings.profile not in (None, recipe.profile):
        found.append(f"evaluate.profile is {settings.profile}, training's is {recipe.profile}")
    if "strftime_now" in chat_template(prepared.tokenizer):
        found.append("the chat template writes today's date: tomorrow's prompts differ from those of training")
    return found


def sample(prepared: PreparedTraining) -> Text:
    """The first row as text: dim without loss, green with loss, the end token reversed."""
    rows = prepared.preflight.rows
    token_ids, loss_mask = rows.token_ids[: rows.starts[1]], rows.loss_mask[: rows.starts[1]]
    shown = Text("first row, tokens with loss in green:\n")
    begin = 0
    for at in range(1, len(token_ids) + 1):
        if at == len(token_ids) or loss_mask[at] != loss_mask[begin]:
            style = "green" if loss_mask[begin] else "dim"
            part = token_ids[begin:at].tolist()
            is_end = at == len(token_ids) and part[-1] == prepared.preflight.end_token_id
            end = [part.pop()] if is_end else []
            shown.append(_text(prepared, part), style)
            shown.append(_text(prepared, end), f"{style} reverse")
            begin = at
    return shown


def _text(prepared: PreparedTraining, token_ids: list[int]) -> str:
    decode: Any = prepared.tokenizer.decode
    if len(token_ids) <= 2 * SHOWN:
        return str(decode(token_ids, skip_special_tokens=False))
    left = f"\n[… {len(token_ids) - 2 * SHOWN:,} tokens …]\n"
    return left.join(str(decode(part)) for part in (token_ids[:SHOWN], token_ids[-SHOWN:]))
