"""The worker process does not import from the folder in which it is started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import z1
from z1.engines.local.worker_process import is_stopped

SOURCE = str(Path(z1.__file__).parent.parent)

START = """
from functools import partial
from z1.engines.local.worker import SubprocessEngine
from z1.engines.scripted import ScriptedEngine
SubprocessEngine(partial(ScriptedEngine, ord))
"""

RECORD = "import sys\nif 'run_worker' in ' '.join(sys.orig_argv):\n    open('ran', 'w').close()\n"


def run(command: list[str], folder: Path, path: str = SOURCE) -> str:
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=env, stdout=subprocess.PIPE, text=True, timeout=120, check=True
    ).stdout


@pytest.mark.parametrize("module", ["random", "selectors", "sitecustomize"])
def test_modules_of_the_current_folder_do_not_run(tmp_path: Path, module: str) -> None:
    """`echo ... > random.py; z1 serve` ran it in the engine's process."""
    script, folder = tmp_path / "start.py", tmp_path / "folder"
    folder.mkdir()
    script.write_text(START, "utf-8")
    (folder / f"{module}.py").write_text(RECORD, "utf-8")
    run([str(script)], folder)
    assert not (folder / "ran").exists()


def test_the_folder_that_python_adds_is_left_out_and_one_in_pythonpath_stays(tmp_path: Path) -> None:
    here = os.path.realpath(tmp_path)
    (tmp_path / "probe.py").write_text("from z1.engines.local.worker_process import *\nprint(import_path())", "utf-8")
    assert repr(here) not in run(["-m", "probe"], tmp_path)
    assert "''" not in run(["-c", "import probe"], tmp_path)
    assert repr(here) in run(["-m", "probe"], tmp_path, f"{SOURCE}:{here}")


def test_a_stopped_process_is_recognised() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            assert not is_stopped(process.pid)
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            assert is_stopped(process.pid)
        finally:
            process.kill()
    assert not is_stopped(process.pid)
