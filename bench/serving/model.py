"""The served model, and its engine pinned to one core.

`bench-2m` of `bench/thinking`, whose tokens never end a reply, with a tokenizer of its own. The engine pins the thread
that enters it, which computes; other threads of the process may run on other cores.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import torch
from transformers import PreTrainedTokenizerFast

from bench.thinking.models import SHAPES, make_model, make_tokenizer
from z1.engines.local.engine import LocalEngine, LocalSettings

SHAPE = SHAPES["bench-2m"]
LENGTH = 512


class Pinned(LocalEngine):
    """A local engine whose thread stays on one core."""

    core: int | None = None

    async def __aenter__(self) -> Self:
        if self.core is not None:
            os.sched_setaffinity(0, {self.core})
        return self


def tokenizer() -> Any:
    """The tokenizer, wrapped for transformers."""
    return PreTrainedTokenizerFast(tokenizer_object=make_tokenizer(SHAPE.vocabulary))


def engine(max_num_seqs: int, core: int | None) -> Pinned:
    """The engine over a new copy of the weights."""
    torch.set_num_threads(1)
    settings = LocalSettings(max_num_seqs=max_num_seqs, max_model_len=LENGTH)
    made = Pinned(make_model(SHAPE, "cpu", LENGTH), tokenizer(), (SHAPE.name, "plain"), settings)
    made.core = core
    return made


def save(folder: Path) -> None:
    """Write the model and tokenizer to a folder for another server."""
    make_model(SHAPE, "cpu", LENGTH).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
