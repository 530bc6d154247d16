"""Parameters that a mode does not use are refused, pair by pair, and none is ignored."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner

from z1.cli import curate, evaluate, options, serve, train
from z1.cli.engine_factory import ENGINES
from z1.errors import UserError

PLAN, COMPARISON, RECIPE = "plan.toml", "comparison.toml", "recipe.toml"

MODES: dict[ModuleType, dict[str, tuple[list[str], frozenset[str]]]] = {
    curate: {
        "--describe": (["--describe", "rows.jsonl"], curate.USED["--describe"]),
        "--download-only": ([PLAN, "--download-only"], curate.USED["--download-only"]),
        "--shard": ([PLAN, "--shard", "1/4"], curate.USED["--shard"]),
        "--merge": ([PLAN, "--merge"], curate.USED["--merge"]),
        "--no-teacher": ([PLAN, "--no-teacher"], curate.USED["--no-teacher"]),
        "PLAN": ([PLAN], curate.USED["PLAN"]),
        "RECIPE": ([RECIPE], curate.USED["RECIPE"]),
    },
    evaluate: {
        "RECIPE": ([RECIPE], evaluate.USED["RECIPE"]),
        "COMPARISON": ([COMPARISON], evaluate.USED["COMPARISON"]),
        "RECIPE --download-only": ([RECIPE, "--download-only"], evaluate.USED["RECIPE --download-only"]),
        "COMPARISON --download-only": ([COMPARISON, "--download-only"], evaluate.USED["COMPARISON --download-only"]),
    },
    train: {"without --preflight": ([RECIPE], frozenset({"recipe", "runs", "preflight", "overrides"}))},
    serve: {
        "--print-vllm-flags": (["--print-vllm-flags"], serve.USED["--print-vllm-flags"]),
        **{f"--engine {name}": (["--engine", name], serve.USED[f"--engine {name}"]) for name in ENGINES},
    },
}


SELECTS = {
    (curate, "PLAN"): frozenset({"describe", "download_only", "shard", "merge", "no_teacher"}),
    (curate, "RECIPE"): frozenset({"describe", "download_only"}),
    (evaluate, "RECIPE"): frozenset({"download_only"}),
    (evaluate, "COMPARISON"): frozenset({"download_only"}),
    **{(serve, f"--engine {name}"): frozenset({"print_vllm_flags"}) for name in ENGINES},
}
"""Parameters that select another mode, whose own pairs are tested."""


def commands(module: ModuleType) -> list[object]:
    return list(typer.main.get_command(module.app).params)


CHOICES = {"--api": "chat", "--set": "seed=1"}
"""A valid value of each parameter for which 1 is none."""


def typed(parameter: object) -> list[str]:
    """A parameter as a user types it, with a value that is valid for every type."""
    flag = max(parameter.opts, key=len)  # type: ignore[attr-defined]
    if not flag.startswith("-"):
        return [RECIPE]
    return [flag] if parameter.is_flag else [flag, CHOICES.get(flag, "1")]  # type: ignore[attr-defined]


def pairs() -> list[object]:
    found: list[object] = []
    for module, modes in MODES.items():
        for mode, (arguments, used) in modes.items():
            for parameter in commands(module):
                name = parameter.name  # type: ignore[attr-defined]
                if name not in used | SELECTS.get((module, mode), frozenset()) | {"help"}:
                    case = f"{module.__name__.rpartition('.')[2]} {mode} {name}"
                    found.append(pytest.param(module, mode, arguments, parameter, id=case))
    return found


@pytest.mark.parametrize(("module", "mode", "arguments", "parameter"), pairs())
def test_a_parameter_that_a_mode_does_not_use_is_refused(
    module: ModuleType,
    mode: str,
    arguments: list[str],
    parameter: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(PLAN).write_text('name = "x"\n[[source]]\npath = "rows.jsonl"\n')
    Path(COMPARISON).write_text('name = "x"\n[models]\n')
    Path(RECIPE).write_text('name = "x"\n')
    found = CliRunner().invoke(module.app, [*arguments, *typed(parameter)]).exception
    assert isinstance(found, UserError), found
    assert str(found).count("which it does not use") == 1
    flags = {typed(parameter)[0], str(parameter.metavar).upper()}  # type: ignore[attr-defined]
    named = {found.do.removeprefix("omit "), mode, next(iter(arguments[-2:]))}
    assert flags & named or any(flag in found.what + str(found.got) for flag in flags)
    assert list(Path().glob("runs")) == []


def test_every_mode_uses_parameters_that_exist() -> None:
    for module, modes in MODES.items():
        known = {parameter.name for parameter in commands(module)}  # type: ignore[attr-defined]
        for _, used in modes.values():
            assert used <= known


def test_json_is_one_document_and_a_line_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    options.print_json({"name": "é[bold]", "values": [1, 2]})
    assert json.loads(capsys.readouterr().out) == {"name": "é[bold]", "values": [1, 2]}
    options.print_line("x" * 500 + " [bold]")
    assert capsys.readouterr().out == "x" * 500 + " [bold]\n"
