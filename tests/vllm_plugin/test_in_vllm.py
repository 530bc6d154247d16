"""Loops that are planted in vLLM, and vLLM's second runner on a CPU: scripts that run in vLLM's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import z1
from bench.thinking.resident import SETTINGS

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]


def result(python: str, module: str, *arguments: str) -> dict[str, Any]:
    """The line of JSON that a script prints last."""
    paths = f"{Path(z1.__file__).parent.parent}{os.pathsep}{ROOT}"
    env = {**os.environ, **SETTINGS, "VLLM_CPU_OMP_THREADS_BIND": "nobind", "PYTHONPATH": paths}
    command = [python, "-m", f"tests.vllm_plugin.{module}", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_planted_loops_end_within_three_periods_and_64_tokens(vllm_python: str) -> None:
    found = result(vllm_python, "loops", "32")
    assert (found["ended"], found["late"]) == (32, [])


def test_the_second_runners_own_code_gives_the_tokens_of_the_driver(vllm_python: str) -> None:
    found = result(vllm_python, "triton_interpreter", "tests.vllm_plugin.runner")
    assert found["different_runs"] == 0
    assert found["accepted"] > 300 and found["rejected"] > 300
