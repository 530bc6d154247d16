"""The model folder of a fine-tuned model.

transformers, vLLM and z1's engines load it: weights, configuration, tokenizer with its template, `z1.json` with its
provenance, and a model card in the hub's format (README.md). Models trained in bfloat16 are saved in bfloat16. LoRA's
additions are merged into the weights, as they are stored; beside it they are a folder of their own, as peft saves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from z1.model_files import PACKAGE, is_local
from z1.model_files.plain_folder import DTYPES
from z1.recipe import FinetuneSettings, Recipe
from z1.runs import atomic_folder, disk_full_as_os_error, provenance, read_json, write_json, write_text
from z1.train.distributed import DistributedContext, gather_weights
from z1.train.sft.load_base import add_lora, load_base_tokenizer, load_model
from z1.train.sft.loss import LossModel

ADAPTER = "adapter"
"""The folder of LoRA's additions, beside the model folder."""

LORA = "lora_"
"""In the name of each addition."""


def export(
    loss_model: LossModel, context: DistributedContext, recipe: Recipe, facts: Mapping[str, Any], folder: Path
) -> None:
    """Write the model folder; `facts` describe the training. Every process calls it, the main one writes."""
    weights = gather_weights(loss_model.model)
    if context.is_main and recipe.finetune:
        settings, base, info = recipe.finetune, facts["base"], manifest(recipe, facts)
        dtype = DTYPES[settings.precision]
        if settings.lora_rank:
            stored_as = DTYPES[settings.lora_precision or settings.precision]
            adapter, additions = _with_additions(weights, settings, base, stored_as)
            with _folder(folder.with_name(ADAPTER), info, base, "peft") as temporary:
                adapter.save_pretrained(temporary, state_dict=additions, save_embedding_layers=False)
            model = adapter.merge_and_unload().to(dtype)
        else:
            model = _full_model(loss_model.model, weights, dtype)
        with _folder(folder, info, base, "transformers") as temporary:
            model.save_pretrained(temporary)
    context.barrier()


@contextmanager
def _folder(folder: Path, info: Mapping[str, Any], base: str, library: str) -> Iterator[Path]:
    """A temporary folder to save weights in, to which tokenizer, manifest and card are added; becomes `folder`."""
    with atomic_folder(folder) as temporary:
        with disk_full_as_os_error(folder):
            yield temporary
            load_base_tokenizer(base).save_pretrained(temporary)
        write_json(temporary / "z1.json", info)
        write_text(temporary / "README.md", model_card(info, library))


def _full_model(model: Any, weights: Mapping[str, Tensor], dtype: torch.dtype) -> Any:
    """The unsharded model to save, in the memory of this process."""
    with torch.device("meta"):
        full = AutoModelForCausalLM.from_config(model.config, dtype=dtype)
    full.load_state_dict({name: tensor.to(dtype) for name, tensor in weights.items()}, assign=True)
    full.tie_weights()
    full.generation_config = model.generation_config
    return full


def _with_additions(
    weights: Mapping[str, Tensor], settings: FinetuneSettings, base: str, stored_as: torch.dtype
) -> tuple[Any, dict[str, Tensor]]:
    """The base in float32 with the additions as they are stored, and these in their stored type."""
    model = load_model(base, dtype=torch.float32)
    adapter = add_lora(model, settings, 0)
    adapter.peft_config["default"].base_model_name_or_path = str(Path(base).resolve()) if is_local(base) else base
    model.load_state_dict({name: _rounded(name, tensor, stored_as).float() for name, tensor in weights.items()})
    return adapter, {name: _rounded(name, tensor, stored_as) for name, tensor in adapter.state_dict().items()}


def _rounded(name: str, tensor: Tensor, stored_as: torch.dtype) -> Tensor:
    return tensor.to(stored_as) if LORA in name else tensor


def manifest(recipe: Recipe, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The `z1.json` of a model folder; engines read `profile`, and `core_minutes` counts the steps only."""
    base = Path(facts["base"]) / "z1.json"
    return {
        "name": recipe.name,
        "profile": recipe.finetune.profile if recipe.finetune else "",
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "data": facts["data"],
        "steps": facts["steps"],
        "tokens": facts["tokens"],
        "losses": {name: facts[name] for name in ("loss", "held_out_before", "held_out") if name in facts},
        "core_minutes": round(facts["core_seconds"] / 60, 2),
        "base": read_json(base) if base.is_file() else facts["base"],
        "torch": torch.__version__,
        **provenance(),
    }


def model_card(info: Mapping[str, Any], library: str = "transformers") -> str:
    """The model card of the manifest `info`, in Markdown with the header of the hub; `library` loads the model."""
    base = info["base"]["name"] if isinstance(info["base"], dict) else info["base"]
    settings = {**info["recipe"]["finetune"], "seed": info["recipe"].get("seed", 0), "steps": info["steps"]}
    tables = [("Data", info["data"]), ("Settings", settings), ("Scores", info["losses"])]
    sections = [f"## {title}\n\n{_table(rows)}" for title, rows in tables if rows]
    known = "" if is_local(base) or base.startswith(PACKAGE) else f"base_model: {base}\n"  # the hub knows no others
    head = f"---\nlibrary_name: {library}\npipeline_tag: text-generation\n{known}tags:\n- z1\n---\n"
    about = (
        f"`{base}`, fine-tuned by z1 {info['z1']} to think only as long as a problem needs (arXiv 2504.00810): no "
        f"delimiters around thoughts, {info['tokens']:,} tokens, loss on responses only. Losses are means over learned "
        "tokens; `z1 evaluate` measures accuracy against thinking tokens.\n"
    )
    return "\n".join([head, f"# {info['name']}\n", about, *sections])


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines, ""])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).replace("|", "\\|").split())
