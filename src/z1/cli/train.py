"""How does a person see what a fine-tuning is about to do?

The lines of the pre-flight, and the first sample with its mask in colour: what is seen is dim, what is learned green,
and the id that ends a row stands out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from z1 import benchmarks, pipeline, profiles
from z1.prompts import chat_template
from z1.recipe import Recipe

if TYPE_CHECKING:
    from z1.train.sft.prepare import PreparedTraining

SHOWN = 400
"""Ids of each end of a long part that are shown."""


def show(prepared: PreparedTraining, recipe: Recipe) -> None:
    """Print the pre-flight; of several processes only the first does."""
    if pipeline.process_rank()[0]:
        return
    console = Console(soft_wrap=True, highlight=False)
    table = Table.grid(padding=(0, 2))
    for name, finding in [*prepared.preflight.summary(), *_warnings(prepared, recipe)]:
        table.add_row(Text(name, "bold red" if name == "beware" else "bold"), Text(finding))
    console.print(table)
    console.print(sample(prepared), soft_wrap=True)


def _warnings(prepared: PreparedTraining, recipe: Recipe) -> list[tuple[str, str]]:
    """What is not refused and is seldom meant: prompts that are not the same in training and afterwards."""
    found = []
    asked = benchmarks.get_benchmark(recipe.evaluate.benchmark).with_prompt(
        recipe.evaluate.prompt, recipe.evaluate.system
    )
    shown = profiles.get_profile(recipe.profile or "").system or ""
    if asked.system != shown:
        found.append(f"evaluate says a system prompt that training never shows: {asked.system!r}; set evaluate.system")
    if recipe.evaluate.profile not in (None, recipe.profile):
        found.append(f"evaluate.profile is {recipe.evaluate.profile}, training's {recipe.profile}")
    if "strftime_now" in chat_template(prepared.tokenizer):
        found.append("the chat template writes today's date: tomorrow's prompts are not those of training")
    return [("beware", line) for line in found]


def sample(prepared: PreparedTraining) -> Text:
    """The first row as text: dim what is seen, green what is learned, its end reversed."""
    rows = prepared.preflight.rows
    ids, learned = rows.token_ids[: rows.starts[1]], rows.loss_mask[: rows.starts[1]]
    shown = Text("the first row, what is learned in green:\n")
    begin = 0
    for at in range(1, len(ids) + 1):
        if at == len(ids) or learned[at] != learned[begin]:
            style = "green" if learned[begin] else "dim"
            part = ids[begin:at].tolist()
            end = [part.pop()] if at == len(ids) and part[-1] == prepared.preflight.end_token_id else []
            shown.append(_text(prepared, part), style)
            shown.append(_text(prepared, end), f"{style} reverse")
            begin = at
    return shown


def _text(prepared: PreparedTraining, ids: list[int]) -> str:
    if len(ids) <= 2 * SHOWN:
        return str(prepared.tokenizer.decode(ids, skip_special_tokens=False))
    left = f"\n[… {len(ids) - 2 * SHOWN:,} ids …]\n"
    return left.join(str(prepared.tokenizer.decode(part)) for part in (ids[:SHOWN], ids[-SHOWN:]))
