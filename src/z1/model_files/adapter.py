"""LoRA adapters: a folder with low-rank additions to a base model, as peft saves them.

The base is named in `adapter_config.json`. Both are merged once, in float32, into a folder in the cache of converted
models, which every engine loads like any other; the base must be loaded in full for that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from z1.errors import UserError, install_hint
from z1.model_files.cache import check_space, converted, say

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether `folder` is an adapter and not a whole model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def has_tokenizer(folder: Path) -> bool:
    """Whether an adapter has a tokenizer of its own; it replaces that of the base."""
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model"))


def merge_adapter(folder: Path, find_base: Callable[[str], Path]) -> Path:
    """The folder of the merged model; `find_base` finds the base by its name. Raises UserError."""
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"adapter {folder}", f"no {WEIGHTS}", "save the adapter as safetensors")
    base = base_folder(folder, find_base)
    sources = [folder / CONFIG, folder / WEIGHTS, *sorted(base.glob("*.safetensors"))]
    return converted(folder.resolve().name, "merged", sources, lambda target: _merge(folder, base, target))


def base_folder(folder: Path, find_base: Callable[[str], Path]) -> Path:
    """The folder of an adapter's base. Raises UserError."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        name, kind = config["base_model_name_or_path"], config["peft_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"adapter {folder}", f"an invalid {CONFIG} ({error!r})", "save it again with peft") from None
    if kind != "LORA":
        raise UserError(f"adapter {folder}", f"an adapter of type {kind}", "give a LoRA adapter, or merge it with peft")
    if not name:
        do = f"write the base's folder or hub id to base_model_name_or_path in {CONFIG}"
        raise UserError(f"adapter {folder}", "no name of its base model", do)
    try:
        return find_base(str(folder / name) if (folder / name).exists() else str(name))
    except UserError as error:
        do = f"get it, or correct base_model_name_or_path in {CONFIG}"
        do = error.do if str(name).startswith("package:") else do
        raise UserError(f"base {name} of adapter {folder}", f"{error.got}", do) from None


def _merge(folder: Path, base: Path, target: Path) -> None:
    try:
        from peft import PeftModel
    except ImportError:
        raise UserError("library peft", "none installed", install_hint("lora")) from None
    import torch
    from transformers import AutoModelForCausalLM

    from z1.model_files.tokenizer import read_tokenizer

    started = perf_counter()
    say(f"merging the adapter {folder} into {base} once, in {target.parent}")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, use_safetensors=True)
    check_space(target, 4 * model.num_parameters(), folder.name)
    try:
        merged = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (ValueError, RuntimeError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"adapter {folder}", f"additions that do not fit {base} ({first})", "check the base") from None
    merged.save_pretrained(target)
    read_tokenizer(str(folder if has_tokenizer(folder) else base)).save_pretrained(target)
    say(f"merged in {perf_counter() - started:.0f} s")
