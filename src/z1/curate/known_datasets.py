"""Known datasets on the Hugging Face Hub: files at a pinned revision, columns and licence, one entry per dataset.

A plan names an entry (`hub = "leetcode"`) and may override any key. To add a dataset, add its entry. Rows without a
problem id are joined by the text of the question, which links the published Z1-Code-Reasoning-107K (one response per
question, no labels, no licence stated) to the datasets it was made from. Rows are read in `sources.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from z1.benchmarks.hub import HubFiles, download_dataset
from z1.curate.plan import CuratePlan, SourceSettings
from z1.errors import UserError


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """One dataset: its files, columns and licence, and further settings of its source."""

    hub: HubFiles
    columns: Mapping[str, str]
    licence: str
    settings: Mapping[str, Any] = field(default_factory=dict)


BY_TEXT = {"join": "text"}

KODCODE: dict[str, str] = {
    "id": "conversation_id",
    "question": "question",
    "difficulty": "gpt_difficulty",
    "tests": "test_code",
    "entry": "test_entry_point",
}

CATALOGUE: dict[str, KnownDataset] = {
    "evol-codealpaca-v1": KnownDataset(
        HubFiles("theblackcat102/evol-codealpaca-v1", "c75242318519b5470635e84064baed7c78594020", ("train.jsonl",)),
        {"question": "instruction", "response": "output"},
        "Apache-2.0",
        BY_TEXT,
    ),
    "magicoder-evol-instruct-110k": KnownDataset(
        HubFiles(
            "ise-uiuc/Magicoder-Evol-Instruct-110K",
            "b0079beaa0361d82412520b873715bee59cc7dd4",
            ("data-evol_instruct-decontaminated.jsonl",),
        ),
        {"question": "instruction", "response": "response"},
        "Apache-2.0",
        BY_TEXT,
    ),
    "leetcode": KnownDataset(
        HubFiles(
            "newfacade/LeetCodeDataset", "215604aeed660029df7de2fea5a4d7b6ed476a08", ("LeetCodeDataset-train.jsonl",)
        ),
        {
            "id": "task_id",
            "question": "query",
            "response": "response",
            "difficulty": "difficulty",
            "tests": "test",
            "entry": "entry_point",
            "setup": "prompt",
        },
        "Apache-2.0",
    ),
    "kodcode-v1": KnownDataset(
        HubFiles("KodCode/KodCode-V1", "9e74e1678085dff7f6dcc34b665454d9a8b802e8", ("data/train-*.parquet",)),
        KODCODE,
        "CC BY-NC 4.0",
    ),
    "kodcode-v1-r1": KnownDataset(
        HubFiles("KodCode/KodCode-V1-SFT-R1", "1cd720c5fcd5f8393b86cc412a42260274773f8c", ("data/train-*.parquet",)),
        {**KODCODE, "response": "conversations.1.value"},
        "CC BY-NC 4.0",
    ),
    "z1-107k": KnownDataset(
        HubFiles(
            "efficientscaling/Z1-Code-Reasoning-107K",
            "b1094ba6f6087a7d5764a2e42bd01d0dd5ab13f2",
            ("data/train-*.parquet",),
        ),
        {"id": "id", "question": "question", "response": "response", "tokens": "token_num_qwen"},
        "",
        {**BY_TEXT, "derive": {"direct": 50, "brief": 300}},
    ),
}


def resolve(plan: CuratePlan) -> CuratePlan:
    """`plan` with the settings of its known datasets filled in, and each source in a local folder. Raises UserError for
    a source that is neither local nor downloadable.
    """
    return plan.model_copy(update={"source": tuple(_resolve_source(source) for source in plan.source)})


def download(plan: CuratePlan) -> Iterator[Path]:
    """The local files of the plan's Hub sources, downloaded where necessary."""
    for source in resolve(plan).source:
        if source.hub:
            yield from source.table_files().train


def _resolve_source(source: SourceSettings) -> SourceSettings:
    if source.synthetic:
        return source.model_copy(update={"origin": f"z1.synthetic, {source.synthetic}", "licence": "MIT"})
    if not source.hub:
        return source
    if source.hub not in CATALOGUE:
        raise UserError(
            "source.hub", source.hub, f"choose one of {', '.join(CATALOGUE)}, or download it and set source.path"
        )
    known = CATALOGUE[source.hub]
    (files,) = known.hub.files
    defaults = {
        "columns": dict(known.columns),
        "origin": known.hub.id,
        "licence": known.licence,
        "revision": known.hub.revision,
        "files": files,
        **known.settings,
        **{name: getattr(source, name) for name in source.model_fields_set},
    }
    return source.model_copy(update={**defaults, "path": source.path or str(download_dataset(known.hub))})
