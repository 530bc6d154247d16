"""What does opening the door load?

`import z1` and `z1 --help` must be there at once, so neither may load a heavy library. Each is looked at in a fresh
process.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "datasets",
    "jinja2",
    "matplotlib",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
}

DOOR = {
    "z1",
    "z1.errors",
    "z1.think",
    "z1.think.answer_detector",
    "z1.think.flow",
    "z1.think.ledger",
    "z1.think.stop_strings",
    "z1.think.window",
}
"""All that `import z1` may load of z1."""

HELP = """
import sys
from z1.cli.main import main
sys.argv = ["z1", "--help"]
try:
    status = main()
except SystemExit as exit:
    status = exit.code
assert not status, status
"""


def loaded(source: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after `source`."""
    ending = "\nimport sys\nprint('\\nLOADED', *sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", source + ending], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize("source", ["import z1", "import z1.cli.main", HELP], ids=["z1", "z1.cli.main", "help"])
def test_nothing_heavy_is_loaded(source: str) -> None:
    assert {name.split(".")[0] for name in loaded(source)} & HEAVY == set()


def test_import_z1_loads_the_heart_and_no_more() -> None:
    modules = loaded("import z1")
    assert {name for name in modules if name.split(".")[0] == "z1"} <= DOOR
    before = {name.split(".")[0] for name in loaded("")}
    assert {name.split(".")[0] for name in modules} - before - {"z1"} <= sys.stdlib_module_names


def test_the_check_can_fail() -> None:
    assert "numpy" in loaded("import numpy")
