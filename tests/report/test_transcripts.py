"""The choice of transcripts is a deterministic mix."""

from dataclasses import replace
from itertools import product
from pathlib import Path

from z1.report.load import Evaluation, read
from z1.report.transcripts import choose


def test_the_choice_is_a_mix_and_always_the_same(evaluations: tuple[Evaluation, ...]) -> None:
    chosen = choose(evaluations, 4)
    assert len(chosen) == 4
    assert {one.attempt.verdict == "right" for one in chosen} == {True, False}
    assert {one.attempt.shift == "natural" for one in chosen} == {True, False}
    assert {(one.problem.steps or 0) > 2 for one in chosen} == {True, False}
    assert len({one.problem.id for one in chosen}) == 4
    (one,) = evaluations
    assert choose([replace(one, attempts=one.attempts[::-1])], 4) == tuple(
        replace(shown, evaluation=replace(one, attempts=one.attempts[::-1])) for shown in chosen
    )


def test_no_model_is_shown_by_its_failures_only(folder: Path, other: Path) -> None:
    chosen = choose(read([folder, other]), 8)
    found = {(one.evaluation.label, one.attempt.verdict == "right") for one in chosen}
    assert found == set(product(("tiny", "other <model>"), (True, False)))


def test_every_reply_that_is_not_missing_can_be_shown(evaluations: tuple[Evaluation, ...]) -> None:
    chosen = choose(evaluations, 1000)
    given = [one for one in evaluations[0].attempts if one.verdict != "missing"]
    assert len(chosen) == len(given) and all(one.attempt in given for one in chosen)
    assert choose(evaluations, 0) == ()
