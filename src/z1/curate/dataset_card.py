"""What does a person read first of a dataset?

The card: what `datasets.load_dataset` needs (https://huggingface.co/docs/hub/datasets-manual-configuration), where rows
come from, what they were compared with, the paper's statistics, how repetitive the candidates were, and what was left
out. Decides and counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from z1.curate.dataset_statistics import Description
from z1.curate.plan import CuratePlan


def card(plan: CuratePlan, manifest: Mapping[str, Any], description: Description, *, pairs: bool) -> str:
    """The text of README.md. `pairs` says whether there are preference pairs."""
    configs = {"default": "data", "pairs": "pairs"} if pairs else {"default": "data"}
    front = "".join(f"- config_name: {name}\n  data_files: {folder}/*.parquet\n" for name, folder in configs.items())
    teacher = f"\nTeacher: {plan.teacher.model}, cut at {plan.teacher.max_tokens:,} tokens.\n" if plan.teacher else ""
    left = "".join(f"| {why} | {count:,} |\n" for why, count in manifest["left_out"].items())
    return (
        f"---\nconfigs:\n{front}---\n# {plan.name}\n\nMade by `z1 curate`. Sources:\n\n{_sources(plan)}{teacher}\n"
        f"{manifest['rows']:,} rows of {manifest['candidates']:,} candidates. Tokenizer: {manifest['tokenizer']}. "
        f"`left_out.jsonl` says why each of the others is not here. {_compared(manifest['decontaminated'])}\n\n"
        f"{description.markdown()}{_repetition(manifest['repetition'])}\n"
        f"| left out | candidates |\n|---|---|\n{left}"
    )


def _sources(plan: CuratePlan) -> str:
    return "".join(
        f"- {one.origin or Path(one.path).name}, licence {one.licence or 'not said'}, revision "
        f"{one.revision or 'not said'}\n"
        for one in plan.source
    )


def _compared(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return "Not compared with any benchmark."
    names = [*facts["items"], *facts["by_identity"]]
    unread = f"; not with {', '.join(facts['not_read'])}, which could not be read" if facts["not_read"] else ""
    return f"Compared with {', '.join(names) or 'no benchmark'}{unread}: see `contamination.html`."


def _repetition(quantiles: Mapping[str, float]) -> str:
    rows = "".join(f"| {share} of the candidates | {value:.3f} |\n" for share, value in quantiles.items())
    return f"\n| repetition | at most |\n|---|---|\n{rows}" if rows else ""
