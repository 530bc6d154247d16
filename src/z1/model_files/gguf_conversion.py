"""Conversion of a GGUF file to a folder in transformers' format, in the cache of converted models.

All engines, training and vLLM then load it like any other folder. A tokenizer is converted without the weights where
only the tokenizer is needed.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from z1.errors import UserError, install_hint
from z1.model_files.cache import converted, say
from z1.model_files.gguf_config import make_config
from z1.model_files.gguf_header import Gguf, read_header
from z1.model_files.gguf_tokenizer import make_tokenizer, turn_ends
from z1.runs import write_json


def convert_header(path: Path) -> Path:
    """A folder with the configuration and the tokenizer of a GGUF file. Raises UserError."""
    gguf = read_header(path)
    return converted(gguf.name, "tokenizer", gguf.files, lambda folder: _write_header(gguf, folder))


def convert_model(path: Path) -> Path:
    """A folder with everything of a GGUF file. Raises UserError."""
    gguf = read_header(path)
    make_config(gguf)
    from z1.model_files.gguf_tensors import check_weights
    from z1.model_files.gguf_weights import num_parameters, storage_dtype

    dtype = storage_dtype(gguf, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    variant = str(dtype).removeprefix("torch.")

    def make(folder: Path) -> None:
        if find_spec("gguf") is None:
            raise UserError("library gguf", "none installed", install_hint("gguf"))
        check_weights(gguf)
        started, size = perf_counter(), num_parameters(gguf) * dtype.itemsize
        read = sum(file.stat().st_size for file in gguf.files)
        say(f"converting {path} ({read / 1e6:,.0f} MB) to {variant} once: {size / 1e6:,.0f} MB in {folder.parent}")
        _write_header(gguf, folder)
        _write_model(gguf, folder, dtype)
        say(f"converted in {perf_counter() - started:.0f} s")

    return converted(gguf.name, variant, gguf.files, make)


def _write_header(gguf: Gguf, folder: Path) -> None:
    tokenizer = make_tokenizer(gguf)
    tokenizer.save_pretrained(folder)
    # without a version transformers takes the tokenizer for an old Mistral's, and warns of it
    write_json(folder / "config.json", make_config(gguf) | {"transformers_version": version("transformers")})


def _write_model(gguf: Gguf, folder: Path, dtype: object) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    from z1.model_files.gguf_weights import write_weights

    config = AutoConfig.for_model(**json.loads((folder / "config.json").read_text("utf-8")))
    config.architectures = [AutoModelForCausalLM._model_mapping[type(config)].__name__]
    config.dtype = dtype
    write_weights(gguf, config, folder, dtype)  # type: ignore[arg-type]
    config.save_pretrained(folder)
    ends = {"eos_token_id": turn_ends(gguf) or None, "bos_token_id": config.bos_token_id}
    write_json(folder / "generation_config.json", {key: value for key, value in ends.items() if value is not None})
