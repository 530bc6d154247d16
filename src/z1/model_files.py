"""Model files: finding and loading weights and tokenizers, and detecting a model's family.

A model is a folder or a hub id in transformers' format, safetensors only; no code of a model repository is run. A
folder that z1 wrote names its profile in `z1.json`. For others the family is detected from configuration and chat
template; `--profile` overrides both. The tokenizer of z1's own folders is loaded as it was saved: for every `qwen2`
model transformers' AutoTokenizer makes a tokenizer with Qwen's pre-tokenizer and ignores the one in the file, which
changes all token ids.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from z1 import profiles
from z1.errors import UserError
from z1.profiles import Tokenizer

SINGLE_THREAD_PARAMETERS = 20_000_000
"""Models with fewer parameters use one thread on a CPU: their products are shorter than the synchronisation of threads,
and while another process uses a core the wait takes ten times the computation (measured, see LOG.md).
"""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on its device, its tokenizer, its display name and its profile."""

    model: Any
    tokenizer: Tokenizer
    name: str
    profile: str


def load_model(model: str, profile: str | None, weights: Any = None) -> LoadedModel:
    """Load a folder or a hub id: in float32 on a CPU, in its own dtype on an accelerator. Raises UserError.

    `weights` are those of the folder, if they have been read; transformers reads them otherwise.
    """
    import torch  # not needed for tokenizers

    folder = Path(model)
    if folder.exists() or model.startswith((".", "/", "~")):
        _check_folder(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = load_tokenizer(model)
        loaded = weights or _transformers_model(model, torch.float32 if device == "cpu" else "auto")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _unreadable(model, error) from None
    name, detected = _name_and_profile(model, profile, loaded.config.model_type, tokenizer.chat_template)
    if device == "cpu" and loaded.num_parameters() < SINGLE_THREAD_PARAMETERS:
        torch.set_num_threads(1)
    return LoadedModel(loaded.to(device), tokenizer, name, detected)


def _transformers_model(model: str, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM  # takes longer to import than torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(model, dtype=dtype, use_safetensors=True)


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a folder or a hub id; that of z1's own folders as it was saved."""
    if _z1_json(Path(model)):
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(model)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


def name_and_profile(model: str, profile: str | None) -> tuple[str, str]:
    """Display name and profile of a folder or a hub id, without loading its weights. Raises UserError."""
    if profile or _z1_json(Path(model)):
        return _name_and_profile(model, profile, "", None)
    from transformers import AutoConfig

    try:
        return _name_and_profile(
            model, None, AutoConfig.from_pretrained(model).model_type, load_tokenizer(model).chat_template
        )
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(model, error) from None


def _unreadable(model: str, error: Exception) -> UserError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(f"model {model}", first, "give a folder or a hub id in transformers' format")


def _name_and_profile(model: str, profile: str | None, kind: str, template: str | None) -> tuple[str, str]:
    own, folder = _z1_json(Path(model)), Path(model)
    detected = profile or own.get("profile") or detect_profile(kind, template)
    return own.get("name") or (folder.name if folder.exists() else model), profiles.get_profile(detected).name


def _z1_json(folder: Path) -> dict[str, Any]:
    """The contents of `z1.json`; {} for models of others."""
    path = folder / "z1.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def detect_profile(model_type: str, template: str | None) -> str:
    """The profile of a model by its type and chat template; `plain` if neither is conclusive."""
    if model_type.startswith("qwen3"):
        return "qwen3"
    return "r1-distill" if "<think>" in (template or "") else "plain"


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError("model", f"no folder {folder}", "give a model folder or a hub id")
    if not (folder / "config.json").is_file():
        raise UserError(f"model folder {folder}", "no config.json", "give a folder in transformers' format")
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"model folder {folder}", "no weights (*.safetensors)", "copy the weights there, or train the model"
        )
