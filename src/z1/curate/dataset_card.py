"""Dataset card: the README.md of a dataset.

It holds the configuration that `datasets.load_dataset` reads
(https://huggingface.co/docs/hub/datasets-manual-configuration), sources and licences, the benchmarks compared with, the
paper's statistics, the repetition of the candidates, and the drop reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from z1.curate.dataset_statistics import DatasetStatistics
from z1.curate.plan import CuratePlan


def render_card(plan: CuratePlan, manifest: Mapping[str, Any], statistics: DatasetStatistics, *, pairs: bool) -> str:
    """The text of README.md. `pairs`: whether there are preference pairs."""
    configs = {"default": "data", "pairs": "pairs"} if pairs else {"default": "data"}
    front = "".join(f"- config_name: {name}\n  data_files: {folder}/*.parquet\n" for name, folder in configs.items())
    teacher = ""
    if plan.teacher:
        teacher = f"\nTeacher: {plan.teacher.model}, at most {plan.teacher.max_tokens:,} tokens per reply.\n"
    dropped = "".join(f"| {reason} | {count:,} |\n" for reason, count in manifest["dropped"].items())
    return (
        f"---\nconfigs:\n{front}---\n# {plan.name}\n\nMade by `z1 curate`. Sources:\n\n{_sources(plan)}{teacher}\n"
        f"{manifest['rows']:,} rows of {manifest['candidates']:,} candidates. Tokenizer: {manifest['tokenizer']}. "
        f"`dropped.jsonl` lists the other candidates with their reasons. {_compared(manifest['decontaminated'])}\n\n"
        f"{statistics.markdown()}{_repetition(manifest['repetition'])}\n"
        f"| drop reason | candidates |\n|---|---|\n{dropped}"
    )


def _sources(plan: CuratePlan) -> str:
    return "".join(
        f"- {source.origin or Path(source.path).name}, licence {source.licence or 'unknown'}, revision "
        f"{source.revision or 'unknown'}\n"
        for source in plan.source
    )


def _compared(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return "Not compared with any benchmark."
    names = [*facts["items"], *facts["by_hash"]]
    unreadable = f"; not with {', '.join(facts['unreadable'])}, which could not be read" if facts["unreadable"] else ""
    return f"Compared with {', '.join(names) or 'no benchmark'}{unreadable}: see `contamination.html`."


def _repetition(quantiles: Mapping[str, float]) -> str:
    rows = "".join(f"| {share} of the candidates | {value:.3f} |\n" for share, value in quantiles.items())
    return f"\n| repetition | at most |\n|---|---|\n{rows}" if rows else ""
