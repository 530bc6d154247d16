"""Where do a model's weights come from, and which family is it?

A folder or a hub id in the format of transformers, safetensors only; no code of a model repository is run. A folder
that z1 made says its profile in `z1.json`; of others the family is told from configuration and chat template, and
`--profile` overrules both. Such a folder's tokenizer is read as it was saved: for every `qwen2` model transformers'
AutoTokenizer makes a tokenizer with Qwen's own pre-tokenizer and drops the one in the file, and all ids with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

from z1 import profiles
from z1.errors import UserError
from z1.profiles import Tokenizer

SMALL = 20_000_000
"""Models of fewer parameters are computed by one thread on a CPU: their matrices are done before threads have met, and
where another process holds a core the waiting costs ten times what is computed (measured, see LOG.md).
"""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on its device, its tokenizer, and what a person calls both."""

    model: Any
    tokenizer: Tokenizer
    name: str
    profile: str


def load_model(model: str, profile: str | None) -> LoadedModel:
    """Load a folder or a hub id: float32 on a CPU, as it was saved on an accelerator. Raises UserError, in one line."""
    folder = Path(model)
    if folder.exists() or model.startswith((".", "/", "~")):
        _check_folder(folder)
    logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float32 if device == "cpu" else "auto"
    try:
        tokenizer = load_tokenizer(model)
        weights = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _unreadable(model, error) from None
    name, found = _names(model, profile, weights.config.model_type, tokenizer.chat_template)
    if device == "cpu" and weights.num_parameters() < SMALL:
        torch.set_num_threads(1)
    return LoadedModel(weights.to(device), tokenizer, name, found)


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a folder or a hub id, read as it was saved where the folder is z1's own."""
    return (PreTrainedTokenizerFast if _own(Path(model)) else AutoTokenizer).from_pretrained(model)


def names(model: str, profile: str | None) -> tuple[str, str]:
    """What a person calls the model of a folder or a hub id, and its profile, without its weights. Raises UserError."""
    if profile or _own(Path(model)):
        return _names(model, profile, "", None)
    try:
        return _names(model, None, AutoConfig.from_pretrained(model).model_type, load_tokenizer(model).chat_template)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(model, error) from None


def _unreadable(model: str, error: Exception) -> UserError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(f"model {model}", first, "give a folder or a hub id in the format of transformers")


def _names(model: str, profile: str | None, kind: str, template: str | None) -> tuple[str, str]:
    own, folder = _own(Path(model)), Path(model)
    found = profile or own.get("profile") or family(kind, template)
    return own.get("name") or (folder.name if folder.exists() else model), profiles.get_profile(found).name


def _own(folder: Path) -> dict[str, Any]:
    """What z1 wrote about a model that it made; nothing for others."""
    path = folder / "z1.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def family(model_type: str, template: str | None) -> str:
    """The profile that a model's configuration and chat template speak for; `plain` where neither tells."""
    if model_type.startswith("qwen3"):
        return "qwen3"
    return "r1-distill" if "<think>" in (template or "") else "plain"


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError("model", f"no folder {folder}", "give a model folder or a hub id")
    if not (folder / "config.json").is_file():
        raise UserError(f"model folder {folder}", "no config.json", "give a folder in the format of transformers")
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"model folder {folder}", "no weights (*.safetensors)", "copy the weights there, or train the model"
        )
