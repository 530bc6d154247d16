"""The card lists sources, compared benchmarks and drop reasons."""

from __future__ import annotations

from typing import Any

from z1.curate.dataset_card import render_card
from z1.curate.dataset_statistics import DatasetStatistics
from z1.curate.plan import CuratePlan, SourceSettings, TeacherSettings

FACTS = {"items": {"gsm8k": 1319}, "by_hash": {"programs": 0}, "unreadable": {"mbpp": "why"}}


def made(**changed: Any) -> str:
    plan = CuratePlan(
        name="x",
        source=(
            SourceSettings(path="a/t.jsonl"),
            SourceSettings(path="b", origin="o", licence="MIT", revision="1" * 40),
        ),
        teacher=TeacherSettings(url="http://x", model="m"),
    )
    manifest = {
        "rows": 2,
        "candidates": 3000,
        "tokenizer": "abc",
        "dropped": {"no code": 2998},
        "decontaminated": FACTS,
        "repetition": {"50 %": 0.0, "100 %": 0.1165},
        **changed,
    }
    description = DatasetStatistics()
    description.add("R", 5)
    return render_card(plan, manifest, description, pairs=bool(changed.get("pairs")))


def test_the_card_has_sources_teacher_benchmarks_and_drop_reasons() -> None:
    text = made()
    assert text.startswith("---\nconfigs:\n- config_name: default\n  data_files: data/*.parquet\n---\n# x\n")
    for line in (
        "- t.jsonl, licence unknown, revision unknown",
        f"- o, licence MIT, revision {'1' * 40}",
        "Teacher: m, at most 8,192 tokens per reply.",
        "2 rows of 3,000 candidates. Tokenizer: abc.",
        "Compared with gsm8k, programs; not with mbpp, which could not be read: see `contamination.html`.",
        "| 100 % of the candidates | 0.117 |",
        "| no code | 2,998 |",
    ):
        assert line in text, line


def test_steps_that_did_not_run_are_stated_or_omitted() -> None:
    assert "Not compared with any benchmark." in made(decontaminated=None)
    assert "repetition" not in made(repetition={})
    assert "- config_name: pairs\n  data_files: pairs/*.parquet\n" in made(pairs=True)
