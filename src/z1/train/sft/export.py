"""What does a fine-tuned model look like to others?

A folder that transformers, vLLM and z1's engines load: weights, configuration, tokenizer with its template, `z1.json`
with all that made it, and a card in the form of the hub (README.md). LoRA's additions are merged into the weights they
belong to. Weights that were computed with in bfloat16 are kept in it.
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
from z1.train.distributed import DistributedContext, gathered
from z1.train.scratch import tokenizer as tokenizers
from z1.train.sft.load_base import loaded, with_lora
from z1.train.sft.loss import LossModel


def export(
    learner: LossModel, team: DistributedContext, recipe: Recipe, facts: Mapping[str, Any], folder: Path
) -> None:
    """Write the model folder of a training that said `facts` of itself; called by every process, written by one."""
    weights = gathered(learner.model)
    if team.is_main and recipe.finetune:
        model = _whole(learner.model, weights, recipe.finetune, facts["base"])
        with atomic_folder(folder) as temporary:
            with disk_full_as_os_error(folder):
                model.save_pretrained(temporary)
                tokenizers.of(facts["base"]).save_pretrained(temporary)
            said = manifest(recipe, facts)
            write_json(temporary / "z1.json", said)
            write_text(temporary / "README.md", card(said))
    team.barrier()


def _whole(model: Any, weights: Mapping[str, Tensor], settings: FinetuneSettings, base: str) -> Any:
    """The model that is saved, in the memory of this process alone."""
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    if settings.lora_rank:
        whole = loaded(base, dtype=torch.float32)
        wrapped = with_lora(whole, settings, 0)
        whole.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        return wrapped.merge_and_unload().to(dtype)
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(model.config, dtype=dtype)
    whole.load_state_dict({name: tensor.to(dtype) for name, tensor in weights.items()}, assign=True)
    whole.tie_weights()
    whole.generation_config = model.generation_config
    return whole


def manifest(recipe: Recipe, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a model folder says about itself; `profile` is read by the engines, `core_minutes` are the steps' alone."""
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


def card(said: Mapping[str, Any]) -> str:
    """The card of a model whose manifest is `said`, in Markdown with the hub's header."""
    base = said["base"]["name"] if isinstance(said["base"], dict) else said["base"]
    tables = [
        ("Data", said["data"]),
        ("Settings", {**said["recipe"]["finetune"], "seed": said["recipe"].get("seed", 0), "steps": said["steps"]}),
        ("Scores", said["losses"]),
    ]
    sections = [f"## {title}\n\n{_table(rows)}" for title, rows in tables if rows]
    known = "" if Path(base).is_dir() else f"base_model: {base}\n"  # the hub refuses what is no id of its own
    head = f"---\nlibrary_name: transformers\npipeline_tag: text-generation\n{known}tags:\n- z1\n---\n"
    about = (
        f"`{base}`, fine-tuned by z1 {said['z1']} to think only as long as a problem needs (arXiv 2504.00810): no "
        f"delimiters around thoughts, loss on {said['tokens']:,} ids' responses alone. Losses are means over learned "
        "ids; accuracy against thinking is what `z1 evaluate` measures.\n"
    )
    return "\n".join([head, f"# {said['name']}\n", about, *sections])


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines, ""])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).replace("|", "\\|").split())
