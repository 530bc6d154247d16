"""Every error of the input is one line with status 2; help, version and completion are fast and complete."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import z1
from tests import command_line
from z1.cli import main
from z1.errors import EngineFault, UserError
from z1.models import shipped


def one_line(done: object, status: int = 2) -> str:
    returncode, stderr = done.returncode, done.stderr  # type: ignore[attr-defined]
    assert returncode == status, stderr
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("z1: ")
    assert "; " in lines[0]
    return str(lines[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nowhere.toml"), "recipe nowhere.toml: got no such file"),
        (("think", "print(3)", "--thinking-budget", "-2"), "thinking_budget: got -2"),
        (("think", "print(3)", "--max-answer-tokens", "0"), "max_answer_tokens: got 0"),
        (("think", "no/such/file.txt"), "no such file: no/such/file.txt"),
        (("think", ""), "got nothing"),
        (("think", "print(3)", "--model", "./nowhere"), "no folder or file nowhere"),
        (("think", "print(3)", "--profile", "zz"), "profile: got zz"),
        (("think", "why is the sky blue?"), "ask what a small program prints"),
    ],
)
def test_bad_input_is_one_line_with_what_got_and_do_this(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    assert words in one_line(command_line.z1(*arguments, cwd=tmp_path))


FILES = {
    "recipe": "[curate]\n[evaluate]\n",
    "comparison": "[models]\n[[evaluate]]\n",
    "study": "[arms]\n[[evaluate]]\n",
    "curation plan": "[[source]]\n",
}


@pytest.mark.parametrize(
    ("verb", "kind", "command"),
    [
        ("run", "comparison", "evaluate"),
        ("train", "study", "study"),
        ("report", "curation plan", "curate"),
        ("evaluate", "study", "study"),
        ("evaluate", "curation plan", "curate"),
        ("curate", "comparison", "evaluate"),
        ("curate", "study", "study"),
        ("study", "recipe", "run"),
        ("study", "comparison", "evaluate"),
    ],
)
def test_a_file_of_another_kind_is_named_with_its_verb(verb: str, kind: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(FILES[kind])
    assert f"x.toml: got a {kind}; run `z1 {command} x.toml`" in one_line(command_line.z1(verb, "x.toml", cwd=tmp_path))


@pytest.mark.parametrize(
    "verb", ["run", "train", "report", "evaluate", "curate", "study", "compare", "calibrate", "replay"]
)
def test_a_missing_file_is_no_such_file(verb: str, tmp_path: Path) -> None:
    line = one_line(command_line.z1(verb, "nowhere", *["other"] * (verb == "compare"), cwd=tmp_path))
    assert "no such f" in line and "nowhere" in line
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_key_is_named_with_what_was_meant(tmp_path: Path) -> None:
    path = command_line.recipe(tmp_path, command_line.MICRO.replace("hint_share", "hint_shar"))
    line = one_line(command_line.z1("curate", path, cwd=tmp_path))
    assert "train.hint_shar" in line
    assert "did you mean hint_share" in line
    assert not (tmp_path / "runs").exists()


def test_a_model_folder_without_weights_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert "no weights (*.safetensors)" in one_line(command_line.z1("think", "print(3)", "--model", folder))


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    """Without programs of so many steps there is nothing to train on."""
    text = command_line.MICRO.replace("steps = [1, 6]", "steps = [400, 401]").replace("problems = 80", "problems = 3")
    line = one_line(command_line.z1("train", command_line.recipe(tmp_path, text), cwd=tmp_path))
    assert "synthetic problems" in line


def test_a_full_disk_is_one_line_and_nothing_is_half_written(tmp_path: Path) -> None:
    import resource

    path = command_line.recipe(tmp_path, command_line.MICRO.replace("problems = 80", "problems = 400"))

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))

    line = one_line(command_line.z1_alone("curate", path, cwd=tmp_path, preexec_fn=small_disk))
    assert "writing " in line and "finished work is kept" in line
    log = next((tmp_path / "runs").rglob("trajectories.jsonl"))
    kept = log.read_bytes()
    assert kept.endswith(b"\n")
    assert all(json.loads(row) for row in kept.splitlines())
    again = command_line.z1("curate", path, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert log.read_bytes().startswith(kept)
    assert not [p for p in log.parent.iterdir() if p.name.startswith(".") and not p.name.endswith(".lock")]


@pytest.mark.parametrize(("name", "extra"), [("matplotlib.axes", "report"), ("ray", "ray"), ("uvicorn", "serve")])
def test_a_missing_library_is_named_with_its_extra(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(main, "app", missing)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert (ended.value.code, capsys.readouterr().err) == (
        2,
        f"z1: library {name}: got none installed; install the extra {extra}: "
        f"pip install '.[{extra}]' in a checkout, or pip install 'z1-….whl[{extra}]'\n",
    )


def test_a_missing_library_of_no_extra_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'z1.nowhere'", name="z1.nowhere")

    monkeypatch.setattr(main, "app", missing)
    with pytest.raises(ModuleNotFoundError):
        main.main()


@pytest.mark.parametrize(
    ("inner", "status", "words"),
    [
        ([ValueError("x"), UserError("prompt", "9 tokens", "give fewer")], 2, "z1: prompt: got 9 tokens; give fewer"),
        ([ExceptionGroup("in", [EngineFault("gone")])], 1, "z1: gone"),
        ([OSError(errno.ENOSPC, "No space left on device", "a.jsonl")], 2, "z1: writing a.jsonl: "),
        ([ValueError("a\nb"), KeyError("k")], 1, "z1: internal error: ValueError: a b; please report it"),
        ([KeyboardInterrupt()], 130, "\nstopped; run the same command again to continue"),
    ],
)
def test_a_group_of_errors_is_one_line(
    inner: list[Exception], status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> None:
        raise BaseExceptionGroup("unhandled errors in a TaskGroup", inner)

    monkeypatch.setattr(main, "app", failing)
    monkeypatch.setattr(sys, "argv", ["z1", "replay"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    shown = capsys.readouterr().err
    assert ended.value.code == status
    assert shown.startswith(words)
    assert len(shown.strip().splitlines()) == 1


def test_an_unexpected_error_alone_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(main, "app", failing)
    with pytest.raises(ValueError, match="a bug"):
        main.main()


def test_help_names_every_verb() -> None:
    text = command_line.z1_alone("-h").stdout
    assert len(main.VERBS) == 18 and all(f"│ {verb} " in text for verb in main.VERBS)


def test_a_reply_to_stdin_as_json() -> None:
    done = command_line.z1(
        "think", "-", "--json", "--thinking-budget", "4", input="a = 3\nb = a + 4\nc = b - 2\nprint(c)\n"
    )
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["ledger"]["thought"] <= 4
    assert reply["model"] == "z1-tiny"


def test_a_reply_without_a_terminal_has_plain_marks(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("n = 7\nwhile n > 2:\n    n = n - 2\nprint(n)\n")
    done = command_line.z1("think", program, "--thinking-budget", "6")
    assert done.returncode == 0, done.stderr
    assert "[thinking]" in done.stdout
    assert "[hint]" in done.stdout
    assert "[answer]" in done.stdout
    assert "\x1b" not in done.stdout
    assert "its budget was used up" in done.stdout


def test_another_folder_with_the_same_model_gives_the_same_reply(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shipped(), copy)
    replies = [command_line.z1("think", "print(3 + 4)", "--json", *extra) for extra in ((), ("--model", str(copy)))]
    first, second = (json.loads(done.stdout) for done in replies)
    assert first["answer"] == second["answer"]


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_short_and_long_help_in_whole_phrases(verb: str) -> None:
    command = typer.main.get_command(main.app).get_command(None, verb)  # type: ignore[attr-defined]
    for flag in ("-h", "--help"):
        found = CliRunner().invoke(main.app, [verb, flag])
        assert found.exit_code == 0 and f"z1 {verb}" in found.output.replace("root", "z1")
    for text in (command.help, *(parameter.help for parameter in command.params if parameter.help)):
        assert text[0].isupper() or text.startswith(("z1", "local")), text
        assert text.endswith((".", ")")), text


def test_the_version_is_printed_by_the_script_and_by_python_m(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('a file of the current folder was imported')")
    command = [sys.executable, "-m", "z1", "--version"]
    done = subprocess.run(
        command, cwd=tmp_path, env=command_line.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == (f"z1 {z1.__version__}\n", 0), done.stderr
    assert command_line.z1_alone("--version").stdout == done.stdout


def test_completion_offers_the_verbs_and_their_flags() -> None:
    def complete(line: str, word: int) -> list[str]:
        variables = {"_Z1_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(word)}
        source = "import sys; sys.argv = ['z1']; from z1.cli.main import app; app(prog_name='z1')"
        command, environment = [sys.executable, "-c", source], {**command_line.environment(), **variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.split()

    assert complete("z1 ca", 1) == ["calibrate"]
    assert set(complete("z1 ", 1)) == set(main.VERBS)
    assert complete("z1 think --thinking", 2) == ["--thinking-budget"]
    names = {parameter.name for parameter in typer.main.get_command(main.app).params}
    assert {"install_completion", "show_completion"} <= names


def test_only_a_verb_that_continues_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        sys.exit(130)

    monkeypatch.setattr(main, "app", interrupted)
    for verb, text in (("train", "stopped; run the same command again to continue"), ("think", "stopped")):
        monkeypatch.setattr(sys, "argv", ["z1", verb])
        with pytest.raises(SystemExit):
            main.main()
        assert capsys.readouterr().err.strip() == text
