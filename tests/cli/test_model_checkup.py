"""`z1 doctor MODEL` says what z1 makes of a model, lets it answer, and says what is wrong with what to do."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from transformers import Qwen2Config, Qwen2ForCausalLM
from typer.testing import CliRunner

from z1.cli import doctor
from z1.cli.model_checkup import Checkup, check_model, print_checkup
from z1.models import shipped


@pytest.fixture(scope="module")
def checkup() -> Checkup:
    return check_model(str(shipped()), None)


def test_the_facts_are_those_of_the_model(checkup: Checkup) -> None:
    facts = checkup.facts
    assert facts["model"] == "z1-tiny"
    assert facts["architecture"].startswith("Qwen2ForCausalLM, 4 layers, 128 wide")
    assert facts["profile"] == "z1-tiny, because its z1.json names it"
    assert facts["stops at"] == "<|endoftext|>, <|im_end|>"
    assert "z1's own forward pass" in facts["engine"]
    assert "of weights in float32" in facts["memory"] or "GPU" in facts["memory"]
    assert float(facts["speed"].split()[0]) > 0
    assert not checkup.problems


def test_the_prompt_the_hint_and_the_reply_are_shown(checkup: Checkup) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="standard", no_color=False, highlight=False)
    print_checkup(console, checkup)
    text = stream.getvalue()
    assert checkup.reply is not None
    for part in ("print(3 + 4)", "[prompt]", "[thought, at most 48 tokens]", "[hint]", "[answer]", "no problem found"):
        assert part in text
    assert "\x1b[1;33m" in text  # the hint has a colour of its own


def test_the_profile_can_be_named_and_is_said() -> None:
    facts = check_model(str(shipped()), "plain").facts
    assert facts["profile"] == "plain, because --profile names it"


@pytest.fixture
def template_free(tmp_path: Path) -> Path:
    """A random model without a chat template, of a type that z1 computes itself."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=600, num_key_value_heads=1, **shape)).save_pretrained(tmp_path)
    shutil.copy(shipped() / "tokenizer.json", tmp_path)
    config = json.loads((shipped() / "tokenizer_config.json").read_text("utf-8"))
    config.pop("chat_template", None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return tmp_path


def test_a_model_without_a_chat_template_is_a_problem_with_what_to_do(template_free: Path) -> None:
    found = check_model(str(template_free), None)
    assert found.facts["profile"] == "plain, because there is no chat template"
    assert ("the model has no chat template, so ChatML is used, which it may not know", "use an instruct model") in (
        found.problems
    )


def test_a_thinking_template_with_unknown_tags_is_a_problem(template_free: Path) -> None:
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if enable_thinking %}<seed:think>{% endif %}"
    (template_free / "chat_template.jinja").write_text(template, "utf-8")
    problems = check_model(str(template_free), None).problems
    assert any("mentions enable_thinking" in what and "--profile" in do for what, do in problems)


def test_a_model_that_cannot_be_loaded_is_one_problem_and_status_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(doctor.app, [str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "problem: model: got no folder or file" in result.output
    found = json.loads(CliRunner().invoke(doctor.app, [str(tmp_path), "--json"]).output)
    assert found["problems"][0]["problem"].endswith("got no config.json")
    assert found["reply"] is None


def test_a_profile_needs_a_model() -> None:
    result = CliRunner().invoke(doctor.app, ["--profile", "qwen3"])
    assert "name the model to check" in str(result.exception)
