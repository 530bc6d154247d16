"""The extras of z1: what each brings, which libraries it installs, and whether they are there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from z1.errors import UserError, install_hint


class Extra(NamedTuple):
    """One extra of pyproject.toml: what it is for, and the modules that its libraries are imported as."""

    brings: str
    modules: tuple[str, ...]

    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [name for name in self.modules if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    """Whether a module, or all packages on the way to it, can be imported."""
    parts = module.split(".")
    return all(find_spec(".".join(parts[: at + 1])) is not None for at in range(len(parts)))


_EVALUATE = ("httpx2", "huggingface_hub", "math_verify", "pandas", "pyarrow")
_SERVE = ("fastapi", "httpx2", "prometheus_client", "starlette", "uvicorn")
_TRACE = ("opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.asgi", "opentelemetry.sdk")
_CURATE = ("datasketch", "httpx2", "pyarrow", "pytest")

EXTRAS = {
    "evaluate": Extra(
        "benchmarks from the Hugging Face hub, grading of mathematics, and models behind a server",
        _EVALUATE,
    ),
    "report": Extra("report pages and plots", ("matplotlib",)),
    "serve": Extra("the HTTP server, and engines on a remote server", _SERVE),
    "trace": Extra(
        "OpenTelemetry traces of the HTTP server",
        (*_SERVE, *_TRACE),
    ),
    "curate": Extra("datasets from sources and teachers, and near-duplicate removal", _CURATE),
    "lora": Extra("LoRA adapters over their base, such as --model smol", ("peft",)),
    "train": Extra(
        "fine-tuning on Parquet and hub datasets, several GPUs, LoRA, and training curves",
        ("accelerate", "huggingface_hub", "peft", "pyarrow", "tensorboard"),
    ),
    "gguf": Extra("models in GGUF files", ("gguf",)),
    "inspect": Extra(
        "z1 as a model of inspect_ai, its tasks, and its logs", (*_EVALUATE, "inspect_ai", "zipfile_zstd")
    ),
    "lm-eval": Extra("z1 as a model of lm-evaluation-harness, and its tasks", (*_EVALUATE, "lm_eval")),
    "ray": Extra("curation on a Ray cluster", (*_CURATE, "ray")),
}
"""The extras of pyproject.toml. Of several that bring a library, the first is named unless the verb has one."""


def extra_with(module: str, verb: str = "") -> str | None:
    """The extra that brings `module`; of several the one named like the `verb`, else the first. None if none does."""
    top = module.partition(".")[0]
    found = [name for name, extra in EXTRAS.items() if any(one.partition(".")[0] == top for one in extra.modules)]
    return verb if verb in found else next(iter(found), None)


def require(module: str, verb: str = "") -> None:
    """Raise UserError, with the extra to install, for a `module` that is not installed."""
    if find_spec(module) is None:
        raise missing_library(module, verb)


def missing_library(module: str, verb: str = "") -> UserError:
    """The error for a library that an extra brings. Raises ModuleNotFoundError for one that none brings."""
    extra = extra_with(module, verb)
    if extra is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    return UserError(f"library {module}", "none installed", install_hint(extra))
