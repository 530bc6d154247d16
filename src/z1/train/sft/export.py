"""The model folder of a fine-tuned model.

transformers, vLLM and z1's engines load it: weights, configuration, tokenizer with its template, `z1.json` with its
provenance, and a model card in the hub's format (README.md). LoRA's additions are merged into the weights. Models
trained in bfloat16 are saved in bfloat16.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from z1.recipe import FinetuneSettings, Recipe
from z1.runs import atomic_folder, disk_full_as_os_error, provenance, read_json, write_json, write_text
from z1.train.distributed import DistributedContext, gather_weights
from z1.train.sft.load_base import add_lora, load_base_tokenizer, load_model
from z1.train.sft.loss import LossModel


def export(
    loss_model: LossModel, context: DistributedContext, recipe: Recipe, facts: Mapping[str, Any], folder: Path
) -> None:
    """Write the model folder; `facts` describe the training. Every process calls it, the main one writes."""
    weights = gather_weights(loss_model.model)
    if context.is_main and recipe.finetune:
        model = _full_model(loss_model.model, weights, recipe.finetune, facts["base"])
        with atomic_folder(folder) as temporary:
            with disk_full_as_os_error(folder):
                model.save_pretrained(temporary)
                load_base_tokenizer(facts["base"]).save_pretrained(temporary)
            info = manifest(recipe, facts)
            write_json(temporary / "z1.json", info)
            write_text(temporary / "README.md", model_card(info))
    context.barrier()


def _full_model(model: Any, weights: Mapping[str, Tensor], settings: FinetuneSettings, base: str) -> Any:
    """The unsharded model to save, in the memory of this process."""
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    if settings.lora_rank:
        full = load_model(base, dtype=torch.float32)
        wrapped = add_lora(full, settings, 0)
        full.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        return wrapped.merge_and_unload().to(dtype)
    with torch.device("meta"):
        full = AutoModelForCausalLM.from_config(model.config, dtype=dtype)
    full.load_state_dict({name: tensor.to(dtype) for name, tensor in weights.items()}, assign=True)
    full.tie_weights()
    full.generation_config = model.generation_config
    return full


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


def model_card(info: Mapping[str, Any]) -> str:
    """The model card of the manifest `info`, in Markdown with the hub's header."""
    base = info["base"]["name"] if isinstance(info["base"], dict) else info["base"]
    settings = {**info["recipe"]["finetune"], "seed": info["recipe"].get("seed", 0), "steps": info["steps"]}
    tables = [("Data", info["data"]), ("Settings", settings), ("Scores", info["losses"])]
    sections = [f"## {title}\n\n{_table(rows)}" for title, rows in tables if rows]
    known = "" if Path(base).is_dir() else f"base_model: {base}\n"  # the hub rejects a local path
    head = f"---\nlibrary_name: transformers\npipeline_tag: text-generation\n{known}tags:\n- z1\n---\n"
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
