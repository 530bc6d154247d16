"""The class path `z1.vllm_plugin:PROFILE`, resolved as vLLM does it, with stand-ins for vLLM's interfaces."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import z1.vllm_plugin
from tests import command_line
from z1.engines.vllm_params import serve_flags
from z1.profiles import PROFILES

RESOLVE = """
import sys
from importlib import import_module
from types import ModuleType

RUNNERS = ("vllm.v1.sample.logits_processor", "vllm.v1.worker.gpu.sample.logits_processor")
for runner in RUNNERS[: int(sys.argv.pop(1))]:
    parts = runner.split(".") + ["interface"]
    for at in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:at]), ModuleType(".".join(parts[:at])))
    sys.modules[runner + ".interface"].LogitsProcessor = type("LogitsProcessor", (), {})

for path in sys.argv[1:]:
    module, name = path.split(":")
    processor = import_module(module)
    for attribute in name.split("."):
        processor = getattr(processor, attribute)
    assert isinstance(processor, type) and processor.profile.name == name, path
    assert processor is getattr(import_module(module), name)
"""


@pytest.mark.parametrize("runners", [1, 2])
def test_every_profile_has_a_class_path(tmp_path: Path, runners: int) -> None:
    """Releases of vLLM before 0.31 have the interface of the first runner only."""
    paths = [serve_flags(name)[1] for name in PROFILES]
    assert "z1.vllm_plugin:r1-distill" in paths
    script = tmp_path / "resolve.py"
    script.write_text(RESOLVE, encoding="utf-8")
    done = command_line.python(script, str(runners), *paths)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["qwen4", "_private", "__path"])
def test_other_names_are_attribute_errors_without_importing_vllm(name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(z1.vllm_plugin, name)
    assert not any(module.partition(".")[0] == "vllm" for module in sys.modules)
