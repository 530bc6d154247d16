"""Settings of the plug-in are read from a file or the environment, and again when the file changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from z1.errors import UserError
from z1.vllm_plugin.settings import PluginSettings, open_settings, read_settings

TEXT = """
[default]
thinking_budget = 1024
max_thinking_budget = 8192
canary = 0.1
reasoning_effort_map = {low = 512, max = -1}
[models."Qwen/Qwen3-8B"]
thinking_budget = 2048
tool_markers = ["<tool_call>"]
"""


def test_a_file_has_settings_by_model(tmp_path: Path) -> None:
    path = tmp_path / "z1.toml"
    path.write_text(TEXT, "utf-8")
    settings = read_settings(path)
    assert settings.enabled
    name, qwen = settings.for_model("Qwen/Qwen3-8B")
    assert (name, qwen.thinking_budget, qwen.canary, qwen.tool_markers) == (
        "Qwen/Qwen3-8B",
        2048,
        1.0,
        ("<tool_call>",),
    )
    for other in ("other", None, 7, ["x"]):
        name, default = settings.for_model(other)
        assert (name, default.thinking_budget, default.canary) == ("default", 1024, 0.1)
    assert default.reasoning_effort_map == {"low": 512, "max": -1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("enabled = maybe", "give a TOML file"),
        ("[default]\nthinking_budgt = 3", "default.thinking_budgt: Extra inputs are not permitted"),
        ("[default]\nthinking_budget = -2", "default.thinking_budget: Input should be greater than or equal to -1"),
        ("[default]\ncanary = 10", "default.canary: Input should be less than or equal to 1"),
        ("[default]\nmax_thinking_budget = -1", "default.max_thinking_budget"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "z1.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as refused:
        open_settings({"Z1_VLLM_CONFIG": str(path)}, lambda: None)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="give a TOML file"):
        read_settings(tmp_path / "nowhere.toml")


def test_a_changed_file_is_read_again_and_a_broken_one_leaves_the_last_settings(tmp_path: Path) -> None:
    path, errors = tmp_path / "z1.toml", []
    path.write_text(TEXT, "utf-8")
    file = open_settings({"Z1_VLLM_CONFIG": str(path)}, lambda: errors.append(1))
    assert file.current() is file.current()
    path.write_text("enabled = false\n" + TEXT, "utf-8")
    assert not file.current().enabled
    path.write_text("enabled = fal", "utf-8")
    assert [file.current().enabled for _ in range(3)] == [False] * 3
    assert len(errors) == 1
    path.unlink()
    assert [file.current().enabled for _ in range(3)] == [False] * 3
    assert len(errors) == 2
    other = tmp_path / "other"
    other.write_text("enabled = true", "utf-8")
    os.replace(other, path)
    assert file.current() == PluginSettings()


def test_without_a_file_the_environment_sets_the_defaults() -> None:
    assert open_settings({}, lambda: None).current() == PluginSettings()
    found = open_settings({"Z1_VLLM_THINKING_BUDGET": "300", "Z1_VLLM_CANARY": "0.5"}, lambda: None).current().default
    assert (found.thinking_budget, found.canary, found.max_thinking_budget) == (300, 0.5, None)
    assert open_settings({"Z1_VLLM_REPETITION": "1"}, lambda: None).current().default.repetition
    with pytest.raises(UserError, match=r"Z1_VLLM_THINKING_BUDGET.*thinking_budget"):
        open_settings({"Z1_VLLM_THINKING_BUDGET": "many"}, lambda: None)
