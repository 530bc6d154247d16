"""Does this program pass this file of pytest functions?

A file of tests imports the program from a module `solution`, as in KodCode; both run in one process of the sandbox, in
modules of their own, so that neither overwrites the other's names. Each function `test*` becomes a method of a unit
test and is graded by `units`, cross-examination included; `pytest` itself is only needed where the tests use it. Tests
with fixtures, and tests whose own libraries are not there, cannot be judged and give *missing*. Where a question did
not say what the function is to be called, a program's only function also gets the name that the tests use. Sources:
https://docs.pytest.org/en/stable/explanation/goodpractices.html (what counts as a test); KodCode's
`step3.3.3_gen_unit_tests_sft.py` (the name, which it rewrites in the `def` alone, so that a recursion fails). Departs
from pytest: a name that is imported is no test, and assertions are not rewritten.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TypeGuard

from z1.grading.unit_tests import UnitTestSuite
from z1.grading.unit_tests import grade as grade_units
from z1.grading.verdict import Grade, Verdict
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault

MODULE = "solution"

LIMITS = ResourceLimits(
    wall_seconds=60.0,
    cpu_seconds=30.0,
    memory_bytes=2 << 30,
    address_space_bytes=64 << 30,
    file_bytes=64 << 20,
    max_processes=64,
)

PROGRAM = """
import sys, types
__made = types.ModuleType({module!r})
sys.modules[{module!r}] = __made
exec(compile({code!r}, __file__, "exec", dont_inherit=True), __made.__dict__)
{imports}
"""
"""Makes the module that the tests import. Its file is the program's, by which `inside/units.py` knows its lines."""

FOUND = """
import importlib.util, json, sys
print(json.dumps([name for name in {names!r} if not importlib.util.find_spec(name)]))
"""


def grade(sandbox: Sandbox, code: str, tests: str, name: str = "", limits: ResourceLimits = LIMITS) -> Grade:
    """Run the pytest functions of `tests` on `code`; `name` is what they call, where they do not import it."""
    try:
        tree = ast.parse(tests)
        wanted = imports(tree)
        name = wanted[0] if len(wanted) == 1 else name
        suite = UnitTestSuite(written(tree), name)
    except (SyntaxError, ValueError) as error:
        return Grade(Verdict.MISSING, f"tests: {error}")
    lines = [f"from {MODULE} import *", *([f"from {MODULE} import {', '.join(wanted)}"] if wanted else [])]
    program = PROGRAM.format(module=MODULE, code=also_called(code, name), imports="\n".join(lines))
    found = grade_units(sandbox, program, suite, limits)
    if found.verdict is Verdict.WRONG and (absent := missing(sandbox, tree)):
        return Grade(Verdict.MISSING, f"tests: no library {', '.join(absent)}")
    return found


def also_called(code: str, name: str) -> str:
    """`code`, whose only function is `name` too where nothing else is."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return code
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not name.isidentifier() or len(functions) != 1 or any(isinstance(node, ast.ClassDef) for node in body):
        return code
    if name in functions or re.search(rf"^{name}\b", code, re.MULTILINE):
        return code
    return f"{code}\n\n{name} = {functions[0]}\n"


def imports(tree: ast.Module) -> list[str]:
    """What the tests import from the program, as `name` or `name as other`."""
    found = [alias for node in tree.body if _of_program(node) for alias in node.names]
    return [ast.unparse(alias) for alias in found if alias.name != "*"]


def _of_program(node: ast.stmt) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and node.module == MODULE


def written(tree: ast.Module) -> str:
    """The tests as a unit test, without their imports of the program.

    Raises ValueError where there are none, or where one asks for fixtures.
    """
    body = [_case(node) for node in tree.body if not _of_program(node)]
    names = [node.name for node in body if isinstance(node, ast.FunctionDef) and _is_test(node)]
    if not names and not any(isinstance(node, ast.ClassDef) and node.bases for node in body):
        raise ValueError("no test in them")
    methods = "".join(f"    def {name}(self): {name}()\n" for name in dict.fromkeys(names))
    case = f"\nimport unittest\nclass TestFunctions(unittest.TestCase):\n{methods}" if names else ""
    return f"import unittest\n{ast.unparse(ast.Module(body, []))}\n{case}"


def _is_test(node: ast.FunctionDef) -> bool:
    if not node.name.startswith("test"):
        return False
    given = node.args
    if len(given.posonlyargs + given.args) > len(given.defaults) or node.decorator_list:
        raise ValueError(f"{node.name} asks for fixtures")
    return True


def _case(node: ast.stmt) -> ast.stmt:
    """A class of tests without a base becomes a TestCase."""
    if isinstance(node, ast.ClassDef) and node.name.startswith("Test") and not node.bases:
        node.bases = [ast.parse("unittest.TestCase", mode="eval").body]
    return node


def missing(sandbox: Sandbox, tree: ast.Module) -> list[str]:
    """Libraries that the tests import and that the sandbox's interpreter does not have."""
    nodes = list(ast.walk(tree))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    wanted = sorted({name.split(".")[0] for name in named} - {MODULE, ""})
    try:
        outcome = sandbox.run(Job("program", FOUND.format(names=wanted)))
        return [str(name) for name in json.loads(outcome.stdout)]
    except (SandboxFault, ValueError):
        return wanted
