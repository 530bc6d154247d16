"""An interrupted collection ends with the same bytes as an uninterrupted one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.curate import LOG, collect, collection
from z1.errors import UserError
from z1.recipe import CurateSettings, Kind
from z1.records import TrajectorySet
from z1.runs import Log, read_lines
from z1.synthetic.program_hash import split_of
from z1.synthetic.programs import DRILLS

PROPERTY = settings(max_examples=5, deadline=None, derandomize=True)
SETTINGS = CurateSettings(problems=24, steps=(1, 6), direct_up_to=2, compact_up_to=4)
SEED = 3


def silent(_: int) -> None:
    """A progress function that does nothing."""


@cache
def undisturbed() -> bytes:
    with TemporaryDirectory() as folder:
        return collect(SETTINGS, SEED, Path(folder), silent).read_bytes()


COLLECTOR = """
import sys
from pathlib import Path
from z1.recipe import CurateSettings

from z1.curate import collection
collection.WRITE_BATCH = 3
settings = CurateSettings.model_validate_json(sys.argv[1])
collection.collect(settings, int(sys.argv[2]), Path(sys.argv[3]), lambda count: print(count, flush=True))
"""


def test_practice_programs_are_of_the_requested_kinds(tmp_path: Path) -> None:
    settings = CurateSettings(problems=12, steps=(3, 6), kinds=("letters", "words"))
    found = read_lines(collect(settings, SEED, tmp_path, silent), TrajectorySet.from_json)
    assert {item.problem.kind for item in found} == {"letters", "words"}
    assert set(get_args(Kind)) == set(DRILLS)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_collection_resumes_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", COLLECTOR, SETTINGS.model_dump_json(), str(SEED), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=env) as collector:
        assert collector.stdout is not None
        while int(collector.stdout.readline()) < 6:
            pass
        collector.kill()
    assert collector.returncode == -signal.SIGKILL
    before = (tmp_path / LOG).read_bytes()
    assert 0 < len(before) < len(undisturbed())
    counts: list[int] = []
    collect(SETTINGS, SEED, tmp_path, counts.append)
    assert counts[0] >= 6
    assert (tmp_path / LOG).read_bytes() == undisturbed()


@given(share=st.floats(0, 1))
@PROPERTY
def test_a_log_cut_at_any_byte_is_completed_to_the_same_bytes(share: float) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / LOG
        path.write_bytes(undisturbed()[: round(share * len(undisturbed()))])
        assert collect(SETTINGS, SEED, Path(folder), silent) == path
        assert path.read_bytes() == undisturbed()


def test_a_complete_collection_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(undisturbed())
    counts: list[int] = []
    collect(SETTINGS, SEED, tmp_path, counts.append)
    assert counts == [SETTINGS.problems]
    assert (tmp_path / LOG).read_bytes() == undisturbed()


def test_progress_starts_with_existing_problems_and_counts_only_written_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "WRITE_BATCH", 5)
    lines = undisturbed().splitlines(keepends=True)
    (tmp_path / LOG).write_bytes(b"".join(lines[:3]))
    told: list[tuple[int, int]] = []
    collect(SETTINGS, SEED, tmp_path, lambda n: told.append((n, (tmp_path / LOG).read_bytes().count(b"\n"))))
    assert told == [(n, n) for n in (3, 8, 13, 18, 23, 24)]


def test_collected_problems_are_of_the_training_split_and_the_requested_steps(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(undisturbed())
    found = read_lines(tmp_path / LOG, TrajectorySet.from_json)
    assert len(found) == SETTINGS.problems
    assert {item.problem.steps for item in found} == set(range(1, 7))
    assert {split_of(item.problem.id, 0.1) for item in found} == {"train"}


def test_steps_without_any_problem_are_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z1.synthetic.dataset.MIN_DRAWS", 0)
    nowhere = CurateSettings(problems=3, steps=(90, 90), direct_up_to=0, compact_up_to=0)
    with pytest.raises(UserError, match=r"none of 90 to 90 steps; widen curate\.steps"):
        collect(nowhere, SEED, tmp_path, silent)


def test_two_collections_into_one_folder_are_rejected(tmp_path: Path) -> None:
    with Log(tmp_path / LOG), pytest.raises(UserError, match="another process"):
        collect(SETTINGS, SEED, tmp_path, silent)
