"""Tests that pyproject.toml declares what z1 imports, and that its lower bounds are the releases that were tested.

`make test-oldest` installs constraints-oldest.txt, so that file pins each lower bound, and nothing else.
Libraries that only some parts use belong to the extras of those parts.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

TOOLS = frozenset({"dev", "docs", "inspect", "lm-eval"})
"""Extras for development, and harnesses, whose newest releases are tested; the oldest ones do not matter."""

NEWER = frozenset({"torch"})
"""Pinned above the lower bound, because the oldest release has no CPU-only build on the index."""

EXTRAS = {
    "z1.serve.tracing": {"trace"},
    "z1.serve.*": {"serve"},
    "z1.vllm_plugin.counters": {"serve"},  # vLLM installs it as well
    "z1.engines.remote.*": {"evaluate", "serve"},
    "z1.dataset_io": {"curate", "train"},
    "z1.dataset_rows.splits": {"curate", "train"},
    "z1.curate.parallel": {"ray"},
    "z1.curate.*": {"curate"},
    "z1.train.*": {"train"},
    "z1.benchmarks.inspect_tasks": {"inspect"},
    "z1.benchmarks.lm_eval_tasks": {"lm-eval"},
    "z1.benchmarks.*": {"evaluate"},
    "z1.results.inspect_log": {"inspect"},
    "z1.results.*": {"evaluate"},
    "z1.integrations.inspect_*": {"inspect"},
    "z1.integrations.lm_eval_*": {"lm-eval"},
    "z1.grading.math_answers": {"evaluate"},
    "z1.grading.math_comparison": {"evaluate"},
    "z1.report.*": {"report"},
    "z1.model_files.gguf_*": {"gguf"},
    "z1.model_files.adapter": {"train"},
}
"""The extras that bring what a module imports, each of them all of it; every other module imports the core only."""

OWN = frozenset({"vllm"})
"""z1 runs inside these; their users have them."""


def required(lines: Collection[str]) -> dict[str, Requirement]:
    """Requirements by name, those of the extras of z1 that they name as well."""
    found: dict[str, Requirement] = {}
    for one in map(Requirement, lines):
        if one.name == "z1":
            for extra in one.extras:
                found |= required(PROJECT["optional-dependencies"][extra])
        else:
            found[canonicalize_name(one.name)] = one
    return found


def lowest(requirement: Requirement) -> Version:
    (bound,) = (each.version for each in requirement.specifier if each.operator == ">=")
    return Version(bound)


CORE = required(PROJECT["dependencies"])
PARTS = {extra: required(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
USERS = [CORE, *(part for extra, part in PARTS.items() if extra not in TOOLS)]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_the_oldest_set_is_the_lower_bounds() -> None:
    bounds = {(name, lowest(one)) for part in USERS for name, one in part.items() if name not in NEWER}
    assert bounds == {(name, version) for name, version in pins().items() if name not in NEWER}


@pytest.mark.parametrize("name", NEWER)
def test_what_is_pinned_above_its_bound_is_admitted(name: str) -> None:
    assert pins()[name] in CORE[name].specifier


def imported(tree: ast.AST) -> Iterator[str]:
    """Libraries that are imported anywhere in a module, but for the standard one and z1 itself."""
    for node in ast.walk(tree):
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        yield from {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"z1"}


def undeclared(module: str, source: str, parts: Mapping[str, Collection[str]]) -> Iterator[str]:
    """What `module` imports and neither the core (`parts[""]`) nor an extra that should bring it declares."""
    extras = next((found for pattern, found in EXTRAS.items() if fnmatchcase(module, pattern)), {""})
    for library in sorted(set(imported(ast.parse(source))) - OWN):
        for extra in sorted(extras):
            if not _provides({*parts[""], *parts[extra]}, library):
                yield f"{module} imports {library}, which {extra or 'the core'} does not declare"


def _provides(packages: Collection[str], library: str) -> bool:
    """Whether one of `packages` is called like the library; OpenTelemetry's have its name in front."""
    name = canonicalize_name(library)
    return any(
        package == name or (package.startswith("opentelemetry-") and name == "opentelemetry") for package in packages
    )


def test_every_library_is_declared_where_it_is_used() -> None:
    folder = ROOT / "src"
    files = {".".join(path.relative_to(folder).with_suffix("").parts): path for path in folder.rglob("*.py")}
    parts = {"": CORE, **PARTS}
    assert not [line for name, path in files.items() for line in undeclared(name, path.read_text("utf-8"), parts)]


@pytest.mark.parametrize(
    ("module", "source", "count"),
    [
        ("z1.llm", "import os, numpy.linalg", 0),
        ("z1.llm", "def late():\n    from openai import OpenAI", 1),
        ("z1.serve.app", "import numpy, fastapi", 0),
        ("z1.engines.remote.engine", "import fastapi", 1),
        ("z1.vllm_plugin.batch_state", "import vllm", 0),
    ],
)
def test_the_rule_can_fail(module: str, source: str, count: int) -> None:
    parts = {"": ["numpy"], "serve": ["fastapi"], "evaluate": []}
    assert len(list(undeclared(module, source, parts))) == count
