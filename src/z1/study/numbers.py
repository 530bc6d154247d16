"""The numbers of a study from its finished evaluations, its criteria, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from z1 import runs
from z1.evaluate import PROBLEMS, read_attempts, scores
from z1.evaluate.scores import ModelScores
from z1.records import Problem
from z1.report import study_page, study_pictures
from z1.study.members import RECORDS, EvaluationFolders, Member, members, record
from z1.study.settings import PAIRED, Criterion, Study


def numbers(study: Study, folder: Path, done: EvaluationFolders, records: Path | None = None) -> dict[str, Any]:
    """The numbers of the study, ready for JSON; `done` are the folders of finished evaluations."""
    every = {member.arm: member for member in reversed(members(study, folder, records))}
    paths = {arm: folders for (arm, index), folders in done.items() if index == 0}
    problems = [one for folders in paths.values() for one in runs.read_lines(folders[0] / PROBLEMS, Problem.from_json)]
    steps, kinds = {one.id: one.steps for one in problems}, {one.id: one.kind for one in problems}
    scored = {arm: arm_scores(folders) for arm, folders in paths.items()}
    result: dict[str, Any] = {
        "reference": study.reference,
        "accuracy": {arm: one.accuracy() for arm, one in scored.items()},
        "comparisons": [
            {"arm": arm, "against": other, **_comparison(scored[arm], scored[other])}
            for arm, other in study.pairs()
            if arm in scored and other in scored and any(scored[other].unlimited()[1].values())
        ],
        "core_minutes": {arm: _total_minutes(every[arm]) for arm in scored},
        "seeds": {arm: [_unlimited_point(path)["accuracy"] for path in folders] for arm, folders in paths.items()},
        "by_difficulty": {arm: scores.by_group(one, steps, "steps") for arm, one in scored.items()},
        "by_budget_and_difficulty": {
            arm: [
                {"thinking_budget": budget, **row}
                for budget in scored[arm].right
                if budget is not None
                for row in scores.by_group(scored[arm], steps, "steps", budget)
            ]
            for arm in study.page.arms or scored
            if arm in scored
        },
        "by_kind": {arm: scores.by_group(one, kinds, "kind") for arm, one in scored.items() if any(kinds.values())},
        "curves": {arm: scores.points(one) for arm, one in scored.items()},
        "evaluations": [_evaluation(study, key, folders) for key, folders in done.items()],
    }
    return {**result, "criteria": criteria(study, result)}


def arm_scores(folders: Sequence[Path]) -> ModelScores:
    """The scores of an arm from the evaluation folders of its seeds."""
    return scores.model_scores(
        [sample for path in folders for sample in scores.split_samples(read_attempts(path).values())]
    )


def _comparison(ours: ModelScores, theirs: ModelScores) -> dict[str, Any]:
    return {
        "accuracy_difference": scores.difference(ours, theirs),
        "thinking_ratio": scores.ratio(ours.unlimited()[1], theirs.unlimited()[1]),
        "thinking_ratio_at_matched_accuracy": scores.at_matched_accuracy(ours, theirs),
        "thinking_ratio_within_1_point": scores.at_matched_accuracy(ours, theirs, 0.01),
    }


def _evaluation(study: Study, key: tuple[str, int], folders: Sequence[Path]) -> dict[str, Any]:
    arm, index = key
    return {
        "arm": arm,
        "benchmark": study.evaluate[index].benchmark,
        "profile": study.evaluate[index].profile,
        "runs": [f"{path.parent.name} {path.name}" for path in folders],
        "unlimited": _unlimited_point(folders[0]),
    }


def _unlimited_point(folder: Path) -> dict[str, Any]:
    point: dict[str, Any] = runs.read_json(folder / "curve.json", "points")["points"][-1]
    return point


def _total_minutes(member: Member) -> float:
    """Core-minutes of a model's training steps, including those of all its bases."""
    manifest: Any = member.manifest()
    total = 0.0
    while isinstance(manifest, dict):
        total, manifest = total + float(manifest.get("core_minutes", 0.0)), manifest.get("base")
    return total


def criteria(study: Study, numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """Each criterion with the number that was `found` and whether it `is_met`; those without a number are left out."""
    results = []
    for one in study.criteria:
        value = _measured(one, numbers)
        if value is None:
            continue
        found = value[("low", "value", "high").index(one.end)] if isinstance(value, list | tuple) else value
        is_met = found >= one.at_least if one.at_least is not None else found <= (one.at_most or 0.0)
        results.append({**one.model_dump(mode="json", exclude_none=True), "found": found, "is_met": is_met})
    return results


def _measured(one: Criterion, numbers: dict[str, Any]) -> Any:
    if one.metric not in PAIRED:
        return numbers[one.metric].get(one.arm)
    pair = (one.arm, one.against)
    return next((row[one.metric] for row in numbers["comparisons"] if (row["arm"], row["against"]) == pair), None)


def write(
    study: Study,
    folder: Path,
    numbers: dict[str, Any],
    output_dir: Path,
    done: EvaluationFolders,
    sections: Sequence[str] = (),
) -> Path:
    """Write the study into `output_dir`: its numbers beside those of other studies in results.json, its page, its
    pictures, and the records of its runs (under `folder`). `sections` are added to the page.

    Returns the file of numbers.
    """
    path = output_dir / "results.json"
    others = runs.read_json(path) if path.exists() else {}
    runs.write_json(path, {**others, study.name: numbers})
    runs.write_text(output_dir / "results.md", study_page.page(study.name, numbers, study.page, sections))
    for name, content in study_pictures.draw(numbers, study.page).items():
        runs.write_bytes(output_dir / name, content)
    record(study, folder, output_dir / RECORDS, done)
    return path
