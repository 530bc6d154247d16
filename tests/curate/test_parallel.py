"""Wherever a function is computed, its results come in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import command_line
from z1.curate import parallel
from z1.errors import UserError

ROOT = Path(__file__).parents[2]


def test_here_one_after_the_other() -> None:
    assert list(parallel.here(lambda block: [2 * x for x in block], [[1, 2], [], [3]])) == [[2, 4], [], [6]]


def test_without_ray_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--ray: got no Ray; install z1\[ray\]"):
        list(parallel.on_ray(lambda block: block, [[1]]))


def test_two_workers_make_what_one_process_makes(tmp_path: Path) -> None:
    """They count, run tests and sign; the dataset is the same to the byte. A task that fails is a fault of one line."""
    pytest.importorskip("ray", reason="Ray is not installed: z1[ray]")
    pytest.importorskip("datasketch")
    command = [sys.executable, "-m", "tests.curate.ray_workers", str(tmp_path)]
    environment = {**command_line.environment(), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    environment["RAY_worker_niceness"] = "0"  # its default, 15, starves workers beside other work
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=280)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same"] and found["left_out"]["tests failed"] == 2
    assert found["fault"].startswith("ray: TypeError") and "\n" not in found["fault"]
