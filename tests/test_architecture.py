"""Tests of the architecture: import order, third-party imports, sizes, names, docstrings, mirrored tests.

Reads files as text and syntax trees and imports nothing of z1. Each rule is a function from modules to complaints; the
second half of this file shows on one-line sources that each rule can fail.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

from tests.shape import (
    ENGINE_AGNOSTIC,
    FOREIGN,
    FUNCTION_LINES,
    LEVELS,
    LINES,
    NO_DOCSTRING,
    NO_MIRROR,
    PARAMETERS,
    PROTOCOL,
    SHARED_NAMES,
    THIRD_PARTY,
    VAGUE,
)

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Module:
    """One file of Python under its dotted name."""

    name: str
    source: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)


Modules = Mapping[str, Module]


def part(name: str) -> str:
    """The top-level part that a module belongs to: `think` for z1.think.window, `z1` for the root."""
    return [*name.split("."), "z1"][1]


def read(folder: Path, prefix: str) -> dict[str, Module]:
    """All modules below `folder`, by dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        inner = path.relative_to(folder).with_suffix("").parts
        is_package = inner[-1] == "__init__"
        name = ".".join([prefix, *(inner[:-1] if is_package else inner)])
        found[name] = Module(name, path.read_text(encoding="utf-8"), is_package)
    return found


def imports(module: Module, known: Collection[str]) -> list[str]:
    """Dotted names of all that `module` imports, inside functions, under TYPE_CHECKING and by name too."""
    found: list[str] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            inner = [f"{origin}.{alias.name}" for alias in node.names]
            found += [name if name in known else origin for name in inner]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            found += [str(name.value) for name in node.args[:1] if isinstance(name, ast.Constant)]
    return found


def _origin(module: Module, node: ast.ImportFrom) -> str:
    parts = module.name.split(".")
    above = parts[: len(parts) - node.level + module.is_package] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def import_order(modules: Modules) -> Iterator[str]:
    """Imports that do not lead to a lower level."""
    level = {name: number for number, names in enumerate(LEVELS.split("<-")) for name in names.split()}
    for module in modules.values():
        own = part(module.name)
        if own not in level:
            yield f"{module.name} has no level; add {own} to LEVELS"
        for target in imports(module, modules):
            if target.split(".")[0] == "z1" and not _may(own, target, level):
                yield f"{module.name} imports {target}, which is not on a lower level"


def _may(own: str, target: str, level: Mapping[str, int]) -> bool:
    other = part(target)
    if own == other:
        return True
    if own in ENGINE_AGNOSTIC and other == "engines" and target not in PROTOCOL:
        return False
    return level.get(other, len(level)) < level.get(own, len(level))


def cycles(modules: Modules) -> Iterator[str]:
    """A ring of modules that import each other, however far round."""
    graph = {name: (modules.keys() & set(imports(module, modules))) - {name} for name, module in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield " imports ".join(reversed(error.args[1]))


def libraries(modules: Modules) -> Iterator[str]:
    """Imports of libraries by modules that have no business with them."""
    for module in modules.values():
        allowed = set().union(*(names for mask, names in THIRD_PARTY.items() if fnmatchcase(module.name, mask)))
        used = {target.split(".")[0] for target in imports(module, modules)} - {"z1"} - sys.stdlib_module_names
        yield from (f"{module.name} imports {name}; see THIRD_PARTY" for name in sorted(used - allowed))


def sizes(modules: Modules) -> Iterator[str]:
    """Modules and functions that are too long, functions that ask for too much."""
    for module in modules.values():
        if (lines := len(module.source.splitlines())) > LINES:
            yield f"{module.name} has {lines} lines, over {LINES}"
        functions = (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        for node in functions:
            if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES:
                yield f"{module.name}.{node.name} has {lines} lines, over {FUNCTION_LINES}"
            if (count := len(_parameters(node))) > PARAMETERS:
                yield f"{module.name}.{node.name} has {count} parameters, over {PARAMETERS}"


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    if any(".command(" in ast.unparse(mark) for mark in node.decorator_list):
        return []  # what a person can type, not what a caller has to know
    given = node.args
    every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
    names = [one.arg for one in every if one]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def names(modules: Modules, foreign: Collection[str]) -> Iterator[str]:
    """Modules called like a drawer, or like a library."""
    for module in modules.values():
        if (last := module.name.split(".")[-1]) in VAGUE:
            yield f"{module.name}: {last} says nothing about what is in it"
        elif last in foreign:
            yield f"{module.name} is named like the library {last}"


def docstrings(modules: Modules) -> Iterator[str]:
    """Modules without a one-line statement of what they are, and public names without a docstring."""
    for module in modules.values():
        first = (ast.get_docstring(module.tree, clean=False) or "").split("\n")[0].strip()
        if not first:
            yield f"{module.name} has no docstring, or an empty first line"
        elif not first.endswith((".", ":")):
            yield f"{module.name}: the first line of its docstring is not a statement that ends there"
        yield from _silent(module.name, module.tree.body)


def _silent(owner: str, body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        name = f"{owner}.{node.name}"
        marks = {ast.unparse(mark).split(".")[-1] for mark in node.decorator_list}
        if not ast.get_docstring(node) and not marks & {"overload", "override", "setter"}:
            yield f"{name} has no docstring"
        if isinstance(node, ast.ClassDef) and name not in NO_DOCSTRING:
            yield from _silent(name, node.body)


def mirror(modules: Modules, tests: Collection[str]) -> Iterator[str]:
    """Modules without a test file of their own: tests/think/test_flow.py for z1.think.flow."""
    for module in modules.values():
        if module.name in NO_MIRROR or (module.is_package and _only_hands_on(module.tree)):
            continue
        inner = module.name.split(".")[1:]
        folder = inner if module.is_package else inner[:-1]
        wanted = "/".join(["tests", *folder, f"test_{inner[-1]}.py"])
        if wanted not in tests:
            yield f"{module.name} has no {wanted}"


def _only_hands_on(tree: ast.Module) -> bool:
    quiet = (ast.Expr, ast.Import, ast.ImportFrom)
    return all(isinstance(node, quiet) or ast.unparse(node).startswith("__all__") for node in tree.body)


def tree_of(page: str, files: Iterable[str]) -> Iterator[str]:
    """Differences between the tree in a document and the repository's files.

    The tree stands in fences between `<!-- tree -->` and `<!-- /tree -->`. A line is a name, folders with a slash, and
    what it is for. Names that begin a line stand in the root (no dot files), indented ones in src/z1; `src/z1/`
    is a heading and stands for `src/`. Every entry of both folders has a line.
    """
    found = re.search(r"<!-- tree -->\n(.*?)<!-- /tree -->", page, re.DOTALL)
    said: set[str] = set()
    for line in re.findall(r"^(?!```).*\S.*$", found[1] if found else "", re.MULTILINE):
        name, _, purpose = line.strip(" │├└─").partition(" ")
        if not purpose.strip() and name != "src/z1/":
            yield f"docs/architecture.md, tree: {name} does not say what it is for"
        said.add("src/z1/" + name if line[0] in " │├└" else "src/" if name == "src/z1/" else name)
    real = set()
    for parts in (PurePosixPath(name).parts for name in files):
        real |= {parts[0] + "/" * (len(parts) > 1)} if not parts[0].startswith(".") else set()
        real |= {"src/z1/" + parts[2] + "/" * (len(parts) > 3)} if parts[:2] == ("src", "z1") else set()
    yield from (f"docs/architecture.md, tree: {name} does not exist" for name in sorted(said - real))
    yield from (f"docs/architecture.md, tree: {name} is missing" for name in sorted(real - said))


def machine_paths(name: str, content: bytes) -> Iterator[str]:
    """Traces of the machine on which a file was written."""
    for number, line in enumerate(content.split(b"\n") if b"\0" not in content else [], 1):
        if re.search(rb"(?<![\w.~-])/(work|root)/", line):
            yield f"{name}, line {number}: a path of somebody's machine"


def listed() -> list[str]:
    """Files that git tracks, or would if asked to add everything."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout: git is asked what belongs to the repository")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return sorted(name for name in out.split("\0") if name and (ROOT / name).is_file())


SOURCE = read(ROOT / "src" / "z1", "z1")
EVERYTHING = {**SOURCE, **read(ROOT / "tests", "tests"), **read(ROOT / "bench", "bench")}


def clean(complaints: Iterable[str]) -> None:
    found = sorted(complaints)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", [import_order, cycles, libraries, docstrings])
def test_the_source(rule: Callable[[Modules], Iterator[str]]) -> None:
    clean(rule(SOURCE))


def test_sizes_and_names() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("-", "_") for line in lines if "==" in line}
    clean([*sizes(EVERYTHING), *names(EVERYTHING, (pinned | FOREIGN) - SHARED_NAMES)])


def test_every_module_stands_in_a_package_and_has_its_tests() -> None:
    folders = {name.rpartition(".")[0] for name in SOURCE} - {""}
    clean(f"{name} is a folder without __init__.py" for name in folders - SOURCE.keys())
    clean(mirror(SOURCE, {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}))


def test_the_documented_tree_is_the_real_one() -> None:
    page = ROOT / "docs" / "architecture.md"
    assert page.is_file(), "there is no docs/architecture.md"
    clean(tree_of(page.read_text(encoding="utf-8"), listed()))


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    clean(complaint for name in listed() for complaint in machine_paths(name, (ROOT / name).read_bytes()))


# The rules themselves, on sources of a line or two.


def made(sources: Mapping[str, str]) -> dict[str, Module]:
    """Modules from {"think.window": "..."}; a name that ends in a dot is a package."""
    names = {key: f"z1.{key}".rstrip(".") for key in sources}
    return {names[key]: Module(names[key], source, key.endswith(".")) for key, source in sources.items()}


BESIDE = {"synthetic.": "", "profiles": "", "recipe": "", "train.": "", "curate.": ""}
"""Modules that exist beside the one under test, so that imports of them are seen as imports of modules."""

ROWS: list[tuple[Callable[[Modules], Iterator[str]], str, str, int]] = [
    (import_order, "think.window", "import math\nfrom z1.errors import UserError\nfrom .ledger import Ledger", 0),
    (import_order, "think.window", "from z1.profiles import profile", 1),
    (import_order, "think.window", "def late():\n    from z1 import profiles", 1),
    (import_order, "think.window", "if TYPE_CHECKING:\n    from z1.records import Attempt", 1),
    (import_order, "think.window", "import_module('z1.engines.local.engine')", 1),
    (import_order, "errors", "import z1.think", 1),
    (import_order, "records", "from z1 import recipe", 0),
    (import_order, "records", "from z1 import profiles", 1),
    (import_order, "runs", "from z1 import __version__", 1),
    (import_order, "grading.boxed", "from z1.synthetic import tracer", 1),
    (import_order, "grading.stdio", "from z1.sandbox import Sandbox", 0),
    (import_order, "evaluate.curve", "from z1.engines import run_flow\nfrom z1.evaluate import sweep", 0),
    (import_order, "evaluate.curve", "from z1.engines.local.engine import load", 1),
    (import_order, "evaluate.curve", "from ..curate import select", 1),
    (import_order, "evaluate.curve", "from z1 import pipeline", 1),
    (import_order, "train.packing", "from z1 import profiles, recipe", 0),
    (import_order, "train.packing", "from z1.synthetic import tracer", 1),
    (import_order, "cli.think", "from z1 import train\nfrom z1.engines.local.engine import load\nimport z1.llm", 0),
    (import_order, "novelty", "import z1.errors", 1),
    (libraries, "think.flow", "import torch", 1),
    (libraries, "report.page", "def late():\n    from matplotlib import figure", 1),
    (libraries, "engines.local.engine", "import json\nimport torch.nn", 0),
    (libraries, "cli.think", "import rich\nimport numpy", 1),
    (sizes, "runs", "\n" * LINES, 0),
    (sizes, "runs", "\n" * (LINES + 1), 1),
    (sizes, "runs", "def f():" + "\n    pass" * (FUNCTION_LINES - 1), 0),
    (sizes, "runs", "def f():" + "\n    pass" * FUNCTION_LINES, 1),
    (sizes, "runs", "def f(a, b, c, /, d, *e, f=1, **g): ...", 1),
    (sizes, "runs", "class A:\n    def f(self, a, b, c, d, e, f): ...", 0),
    (docstrings, "runs", '"""A thing.\n\nMore of it."""', 0),
    (docstrings, "runs", '"""A thing\nof two lines."""', 1),
    (docstrings, "runs", '"""What is it?"""', 1),
    (docstrings, "runs", "", 1),
    (docstrings, "runs", '"""A thing."""\ndef f(): ...', 1),
    (docstrings, "runs", '"""A thing."""\nclass A:\n    def f(self): ...', 2),
    (
        docstrings,
        "runs",
        '"""A thing."""\nclass A:\n    """A."""\n    def __len__(self): ...\n    def _f(self): ...',
        0,
    ),
    (docstrings, "runs", '"""A thing."""\nclass _A:\n    def f(self): ...\ndef _f():\n    def g(): ...', 0),
]


@pytest.mark.parametrize(("rule", "name", "source", "complaints"), ROWS)
def test_a_rule(rule: Callable[[Modules], Iterator[str]], name: str, source: str, complaints: int) -> None:
    modules = made({**BESIDE, name: source} if rule is import_order else {name: source})
    assert len(list(rule(modules))) == complaints


def test_cycles_are_found_however_far_round() -> None:
    line = {"profiles": "from z1 import runs", "runs": "from z1 import recipe", "recipe": "import json"}
    ring = {**line, "recipe": "def late():\n    import z1.profiles"}
    assert not list(cycles(made(line)))
    (found,) = cycles(made(ring))
    assert found in "z1.profiles imports z1.runs imports z1.recipe imports " * 2 + "z1.profiles"
    facade = {"think.": "from z1.think.flow import Flow", "think.flow": "from z1.think import Window"}
    assert len(list(cycles(made(facade)))) == 1


def test_names_and_mirror_complain() -> None:
    found = list(names(made({"train.utils": "", "engines.vllm": "", "engines.vllm_server": ""}), {"vllm"}))
    assert [line.split(" ")[0] for line in found] == ["z1.train.utils:", "z1.engines.vllm"]
    modules = made(
        {"think.": '"""A thing."""\nfrom z1.think.flow import Flow\n__all__ = []', "think.flow": "", "runs": ""}
    )
    assert not list(mirror(modules, {"tests/think/test_flow.py", "tests/test_runs.py"}))
    assert len(list(mirror(modules, {"tests/test_flow.py"}))) == 2
    assert list(mirror(made({"train.": "x = 1"}), ())) == ["z1.train has no tests/train/test_train.py"]


def test_the_tree_complains() -> None:
    files = [".gitignore", "README.md", "src/z1/chat.py", "src/z1/think/flow.py"]
    lines = "README.md  this\nsrc/z1/  code\n├── chat.py  talk\n  think/  heart\n"
    tree = f"<!-- tree -->\n```text\n{lines}```\n<!-- /tree -->"
    assert not list(tree_of(tree, files))
    assert len(list(tree_of("# z1", files))) == 4
    assert list(tree_of(tree, [*files, "LICENSE"])) == ["docs/architecture.md, tree: LICENSE is missing"]
    assert list(tree_of(tree, files[:-1])) == ["docs/architecture.md, tree: src/z1/think/ does not exist"]
    assert list(tree_of(tree.replace("  talk", ""), files)) == [
        "docs/architecture.md, tree: chat.py does not say what it is for"
    ]


def test_machine_paths_complains() -> None:
    assert len(list(machine_paths("a", b"ok\nin /wor" + b"k/main\n'/roo" + b"t/.cache'"))) == 2
    assert not list(machine_paths("a", b"src/wor" + b"k/x https://a.org/roo" + b"t/"))
    assert not list(machine_paths("a", b"\0/roo" + b"t/"))
