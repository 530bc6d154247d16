"""What is loaded by `import z1`, by help, and by the version: each in a fresh process, by an allow-list."""

from __future__ import annotations

import subprocess
import sys

import pytest

from z1.cli.main import VERBS

PACKAGE = {
    "z1",
    "z1.errors",
    "z1.think",
    "z1.think.answer_detector",
    "z1.think.flow",
    "z1.think.ledger",
    "z1.think.stop_strings",
    "z1.think.window",
}
"""All modules of z1 that `import z1` may load."""

COMMAND_LINE = {"z1", "z1.cli", "z1.cli.main", "z1.cli.options", "z1.cli.threads", "z1.errors"}
"""All modules of z1 that the help of a verb may load, besides the verb's own."""

HELPED_BY = {
    "chat": {"z1.cli.think"},
    "serve": {"z1.cli.engine_factory", "z1.cli.serve_options"},
    "import": {"z1.cli.import_log"},
}
"""Further modules of z1 that the help of a verb may load."""

TYPER = {"annotated_doc", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer", "typing_extensions"}
PYDANTIC = {"annotated_types", "attr", "pydantic", "pydantic_core", "typing_inspection"}
LIBRARIES = TYPER | PYDANTIC
"""All libraries that help may load: typer's, which converts parameters with pydantic."""

RUN = """
import sys
from z1.cli.main import main
sys.argv = ["z1", *{arguments}]
try:
    status = main()
except SystemExit as exit:
    status = exit.code
assert not status, status
"""


def loaded(source: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after `source`."""
    ending = "\nimport sys\nprint('\\nLOADED', *sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", source + ending], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED ")[2].split())


def own(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] == "z1"}


def libraries(modules: set[str]) -> set[str]:
    """Top-level names that are neither of z1, nor of the standard library, nor of an interpreter's start."""
    start = {name.split(".")[0] for name in loaded("")}
    found = {name.split(".")[0] for name in modules} - start - {"z1"} - sys.stdlib_module_names
    return {name for name in found if not name.startswith("_sysconfigdata")}


def test_import_z1_loads_the_core_only() -> None:
    modules = loaded("import z1")
    assert own(modules) <= PACKAGE
    assert libraries(modules) == set()


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_loads_the_verb_only(verb: str) -> None:
    modules = loaded(RUN.format(arguments=[verb, "--help"]))
    assert own(modules) <= COMMAND_LINE | {f"z1.cli.{verb}"} | HELPED_BY.get(verb, set())
    assert libraries(modules) <= LIBRARIES


def test_help_loads_the_verbs_only() -> None:
    modules = loaded(RUN.format(arguments=["-h"]))
    assert own(modules) <= COMMAND_LINE | {f"z1.cli.{verb}" for verb in VERBS} | set().union(*HELPED_BY.values())
    assert libraries(modules) <= LIBRARIES


def test_the_version_loads_no_verb() -> None:
    modules = loaded(RUN.format(arguments=["--version"]))
    assert own(modules) <= {"z1", "z1.cli", "z1.cli.main", "z1.cli.threads", "z1.errors"}
    assert libraries(modules) <= TYPER | {"attr"}


def test_a_reply_of_the_shipped_model_loads_no_model_class() -> None:
    """They take longer to import than torch; what they load depends on what is installed."""
    modules = loaded(RUN.format(arguments=["think", "print(3 + 4)"]))
    assert {"torch", "z1.engines.local.weights"} <= modules
    heavy = {"transformers.modeling_utils", "transformers.generation", "transformers.models", "torch._dynamo"}
    assert modules & heavy == set()
    assert libraries(modules).isdisjoint({"accelerate", "pandas", "peft", "scipy", "sklearn"})


def test_the_tokenizer_of_a_remote_model_loads_without_torch() -> None:
    source = (
        "from z1.model_files import load_tokenizer, name_and_profile; from z1.models import shipped; f = str(shipped())"
    )
    modules = loaded(f"import z1.engines.remote; {source}; load_tokenizer(f), name_and_profile(f, None)")
    assert "transformers" in modules
    assert libraries(modules).isdisjoint({"torch", "pandas", "scipy", "sklearn"})


def test_the_check_can_fail() -> None:
    assert "numpy" in libraries(loaded("import numpy"))
