"""Model files: finding and loading weights and tokenizers, and detecting a model's family.

    find.py             what a user names -> a local folder in transformers' format
    hub.py              a hub id -> a local folder
    adapter.py          a LoRA adapter and its base -> a folder in the cache
    plain_folder.py     a model of any kind -> a folder of safetensors that its owner keeps
    tokenizer.py        the tokenizer, as its file defines it
    turn_ends.py        the tokens that end a turn
    cache.py            the cache of converted models
    gguf_conversion.py  a GGUF file -> a folder in the cache
    gguf_header.py      metadata and tensors of a GGUF file
    gguf_config.py      its configuration
    gguf_tokenizer.py   its tokenizer
    gguf_tensors.py     its tensors
    gguf_weights.py     its weights as safetensors

Weights are safetensors or GGUF; no code of a model repository is run. A folder that z1 wrote names its profile in
`z1.json`. For others the family is detected from configuration and chat template; `--profile` overrides both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from z1 import profiles
from z1.errors import UserError
from z1.families import Family, detect_family
from z1.model_files.adapter import has_tokenizer, is_adapter
from z1.model_files.cache import say, source_name
from z1.model_files.find import PACKAGE, find_model, hub_id_or_folder, is_local, is_shipped, own_path
from z1.model_files.gguf_header import is_gguf
from z1.model_files.tokenizer import read_tokenizer
from z1.models import NAMED
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


def load_model(model: str, profile: str | None, weights: Any = None, dtype: Any = None) -> LoadedModel:
    """Load a model: in `dtype`, else in float32 on a CPU and in its own dtype on an accelerator. Raises UserError.

    `weights` are those of the folder, if they have been read; transformers reads them otherwise.
    """
    import torch  # not needed for tokenizers

    folder = str(find_model(model))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = read_tokenizer(folder)
        loaded = weights or _transformers_model(folder, dtype or (torch.float32 if device == "cpu" else "auto"))
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
    """The tokenizer of a folder, a GGUF file or a hub id. Raises UserError."""
    return read_tokenizer(str(_tokenizer_folder(model)))


def _tokenizer_folder(model: str) -> Path:
    path = own_path(model)
    return path if is_adapter(path) and has_tokenizer(path) else find_model(model, weights=False)


def name_and_profile(model: str, profile: str | None) -> tuple[str, str]:
    """Display name and profile of a folder or a hub id, without loading its weights. Raises UserError."""
    if profile or _z1_json(model):
        return _name_and_profile(model, profile, "", None)
    from transformers import AutoConfig

    folder = str(find_model(model, weights=False))
    try:
        kind = AutoConfig.from_pretrained(folder).model_type
        return _name_and_profile(model, None, kind, load_tokenizer(model).chat_template)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(model, error) from None


def _unreadable(model: str, error: Exception) -> UserError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(f"model {model}", first, "give a folder or a hub id in transformers' format")


def _name_and_profile(model: str, profile: str | None, kind: str, template: str | None) -> tuple[str, str]:
    family, own = find_family(model, profile, kind, template), _z1_json(model)
    if profile is None and "profile" not in own:
        say(str(family))
    name = None if is_shipped(model) else own.get("name")
    return name or display_name(model), family.profile


def find_family(model: str, profile: str | None, model_type: str, template: Any) -> Family:
    """The family of a model: named by `profile` or by its z1.json, else detected. Raises UserError for a wrong name."""
    named = profile or _z1_json(model).get("profile")
    if named is None:
        return detect_family(model_type, template)
    return Family(profiles.get_profile(named).name, "--profile names it" if profile else "its z1.json names it")


def display_name(model: str) -> str:
    """The name of a model: a folder's, a GGUF file's without its ending, that of the package, or the hub id."""
    if is_shipped(model):
        return NAMED[model]
    if not is_local(model):
        return model
    path = Path(model).expanduser()
    return source_name(path) or path.name.removesuffix(".gguf") or str(path.resolve().name)


def _z1_json(model: str) -> dict[str, Any]:
    """The contents of `z1.json`; {} for models of others."""
    path = own_path(model) / "z1.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


__all__ = [
    "PACKAGE",
    "LoadedModel",
    "display_name",
    "find_family",
    "find_model",
    "hub_id_or_folder",
    "is_gguf",
    "is_local",
    "load_model",
    "load_tokenizer",
    "name_and_profile",
]
