"""Does the source keep the shape that DESIGN and CONTRIBUTING promise?

Reads files as text and syntax trees; imports nothing of z1. Each rule is a function from modules to complaints, so that
`Rules` below can show, on sources of a line or two, that each of them is able to complain.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"think"}),
    frozenset({"records", "runs", "recipe", "chat"}),
    frozenset({"engines", "grading", "world"}),
    frozenset({"benchmarks"}),
    frozenset({"curate", "evaluate", "serve"}),
    frozenset({"report"}),
    frozenset({"z1", "cli", "doctor", "ask", "story"}),  # the door; z1 is the root's __init__, cli also cli_*
)
"""From the ground up. A module imports from lower floors and from its own package."""

GROUND, DOOR = FLOORS[2], FLOORS[-1]
"""The two floors on which parts may import each other."""

TRAIN = FLOORS[0] | FLOORS[1] | GROUND
"""What `train` may import. It meets the others on disk, and only the door imports it."""

PROTOCOL = frozenset({"z1.engines", "z1.engines.protocol", "z1.engines.drive"})
"""What everybody may know of the engines; the rest is the door's."""

HEAVY = frozenset({"torch", "transformers", "tokenizers", "safetensors", "numpy"})

THIRD_PARTY: dict[str, frozenset[str]] = {
    "z1.runs": frozenset({"filelock"}),
    "z1.recipe": frozenset({"pydantic"}),
    "z1.train": HEAVY,
    "z1.train.*": HEAVY,
    "z1.engines.local*": HEAVY,
    "z1.engines.choose": HEAVY,  # these three are parts of local
    "z1.engines.slots": HEAVY,
    "z1.engines.weights": HEAVY,
    "z1.report.figures": frozenset({"matplotlib"}),
    "z1.doctor": HEAVY,
    "z1.cli*": frozenset({"typer", "rich"}),
}
"""Which modules may import which libraries; every other module only the standard library."""

DRAWERS = frozenset({"utils", "util", "common", "helpers", "helper", "base", "misc"})

FOREIGN = frozenset({"vllm", "openai", "datasets", "accelerate", "trl", "fastapi", "uvicorn", "gradio", "ray", "pandas"})
"""Libraries that z1 may meet and does not pin; constraints.txt names the others."""

NO_QUESTION = frozenset({"z1", "z1.cli"})

NO_DOCSTRING = {"z1.chat.Tokenizer": "the methods of a foreign class, which transformers documents"}
"""Classes whose methods need none, and why."""

NO_MIRROR = {"z1": "tests/test_imports.py holds what the door may load"}
"""Modules without a test file of their own, and why."""

LINES, FUNCTION_LINES, PARAMETERS = 400, 59, 6


@dataclass(frozen=True)
class Module:
    """One file of Python under its dotted name."""

    name: str
    source: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def part(self) -> str:
        """The stone of the building that it belongs to: `think` for z1.think.window, `z1` for the root."""
        return part(self.name)


Modules = Mapping[str, Module]


def part(name: str) -> str:
    second = (name.split(".") + ["z1"])[1] if name != "z1" else "z1"
    return "cli" if second.startswith("cli") else second


def read(folder: Path, prefix: str = "") -> dict[str, Module]:
    """All modules below `folder`, by dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        inner = path.relative_to(folder).with_suffix("").parts
        is_package = inner[-1] == "__init__"
        name = ".".join((*([prefix] if prefix else []), *(inner[:-1] if is_package else inner)))
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
            found += [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return found


def _origin(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    above = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*above, *([node.module] if node.module else [])])


def directions(modules: Modules) -> Iterator[str]:
    """Imports that do not lead downwards."""
    floor = {stone: level for level, stones in enumerate(FLOORS) for stone in stones}
    for module in modules.values():
        if module.part not in floor and module.part != "train":
            yield f"{module.name} stands on no floor; give {module.part} a place in FLOORS"
            continue
        for target in imports(module, modules):
            if target.split(".")[0] == "z1" and not _may(module.part, target, floor):
                yield f"{module.name} imports {target}, which does not stand below it"


def _may(source: str, target: str, floor: Mapping[str, int]) -> bool:
    stone = part(target)
    if source == stone:
        return True
    if source == "train":
        return stone in TRAIN
    if source in DOOR:
        return True
    if stone == "engines" and target not in PROTOCOL:
        return False
    if stone not in floor:  # train, or nothing that exists
        return False
    return floor[stone] < floor[source] or (source in GROUND and stone in GROUND)


def knots(modules: Modules) -> Iterator[str]:
    """Modules that import each other, however far round."""
    graph = {name: {target for target in imports(module, modules) if target in modules} for name, module in modules.items()}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield " imports ".join((*path[path.index(name) :], name))
        elif name not in done:
            for target in sorted(graph[name] - ({name} if modules[name].is_package else set())):
                yield from walk(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, ())


def libraries(modules: Modules) -> Iterator[str]:
    """Imports of libraries by modules that have no business with them."""
    for module in modules.values():
        allowed = {name for pattern, names in THIRD_PARTY.items() if fnmatchcase(module.name, pattern) for name in names}
        used = {target.split(".")[0] for target in imports(module, modules)} - {"z1"} - sys.stdlib_module_names
        yield from (f"{module.name} imports {name}; see THIRD_PARTY" for name in sorted(used - allowed))


def sizes(modules: Modules) -> Iterator[str]:
    """Modules and functions that are too long, functions that ask for too much."""
    for module in modules.values():
        if (lines := len(module.source.splitlines())) > LINES:
            yield f"{module.name} has {lines} lines, over {LINES}"
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES:
                yield f"{module.name}.{node.name} has {lines} lines, over {FUNCTION_LINES}"
            if (count := len(_parameters(node))) > PARAMETERS:
                yield f"{module.name}.{node.name} has {count} parameters, over {PARAMETERS}"


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = node.args
    rest = [one for one in (given.vararg, given.kwarg) if one]
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, *rest)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def names(modules: Modules, foreign: Collection[str]) -> Iterator[str]:
    """Modules called like a drawer, or like a library."""
    for module in modules.values():
        last = module.name.split(".")[-1]
        if last in DRAWERS:
            yield f"{module.name}: {last} says nothing about what is in it"
        if last in foreign:
            yield f"{module.name} is named like the library {last}"


def docstrings(modules: Modules) -> Iterator[str]:
    """Modules that do not say which question they answer, and public names that say nothing."""
    for module in modules.values():
        text = ast.get_docstring(module.tree, clean=False) or ""
        if not text.split("\n")[0].strip():
            yield f"{module.name} has no docstring, or an empty first line"
        elif module.name not in NO_QUESTION and "?" not in re.split(r"\n\s*\n", text)[0]:
            yield f"{module.name}: the first paragraph of its docstring asks no question"
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


def tree_of(readme: str, files: Iterable[str]) -> Iterator[str]:
    """Differences between the tree in a README and the repository's files.

    The tree stands between `<!-- tree -->` and `<!-- /tree -->` in a fence. A line is a name, folders with a slash, and what
    it is for. Names that begin a line stand in the root (no dot files; `src/z1/` stands for `src/`), indented ones in src/z1.
    """
    found = re.search(r"<!-- tree -->\s*```\w*\n(.*?)```\s*<!-- /tree -->", readme, re.DOTALL)
    if not found:
        yield "README.md has no tree: a fenced block between <!-- tree --> and <!-- /tree -->"
        return
    said: set[str] = set()
    for line in filter(str.strip, found[1].splitlines()):
        name, _, purpose = line.strip(" │├└─").partition(" ")
        if not purpose.strip():
            yield f"README.md, tree: {name} does not say what it is for"
        said.add("src/z1/" + name if line[0] in " │├└" else "src/" if name == "src/z1/" else name)
    real = set()
    for parts in (PurePosixPath(name).parts for name in files):
        real |= {parts[0] + "/" * (len(parts) > 1)} if not parts[0].startswith(".") else set()
        real |= {"src/z1/" + parts[2] + "/" * (len(parts) > 3)} if parts[:2] == ("src", "z1") else set()
    yield from (f"README.md, tree: {name} does not exist" for name in sorted(said - real))
    yield from (f"README.md, tree: {name} is missing" for name in sorted(real - said))


def machine_paths(name: str, content: bytes) -> Iterator[str]:
    """Traces of the machine on which a file was written."""
    if b"\0" in content:
        return
    for number, line in enumerate(content.split(b"\n"), 1):
        if re.search(rb"(?<![\w.~-])/(work|root)/", line):
            yield f"{name}, line {number}: a path of somebody's machine"


def listed() -> list[str]:
    """Files that git tracks, or would if asked to add everything."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout: what belongs to the repository is asked of git")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return sorted(name for name in out.split("\0") if name and (ROOT / name).is_file())


SOURCE = read(ROOT / "src" / "z1", "z1")
EVERYTHING = {**SOURCE, **read(ROOT / "tests", "tests"), **read(ROOT / "bench", "bench")}


def pinned() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {line.split("==")[0].lower().replace("-", "_") for line in lines if "==" in line}


def clean(complaints: Iterable[str]) -> None:
    found = sorted(complaints)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", [directions, knots, libraries, docstrings])
def test_the_source(rule: Callable[[Modules], Iterator[str]]) -> None:
    clean(rule(SOURCE))


def test_sizes() -> None:
    clean(sizes(EVERYTHING))


def test_names() -> None:
    clean(names(EVERYTHING, pinned() | FOREIGN))


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "src" / "z1").rglob("*.py")}
    clean(f"{folder} has no __init__.py" for folder in folders if not (folder / "__init__.py").is_file())


def test_every_module_has_its_tests() -> None:
    clean(mirror(SOURCE, {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}))


def test_the_readme_draws_the_tree_that_exists() -> None:
    files = listed()
    readme = ROOT / "README.md"
    assert readme.is_file(), "there is no README.md"
    clean(tree_of(readme.read_text(encoding="utf-8"), files))


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    clean(complaint for name in listed() for complaint in machine_paths(name, (ROOT / name).read_bytes()))
