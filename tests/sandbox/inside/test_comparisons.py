"""Comparisons of a solution's objects: free in its own code, and guarded everywhere else."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from z1.sandbox.inside import comparisons, run_program


def run(source: str) -> tuple[types.ModuleType, comparisons.ResultGuard, list[str]]:
    """The module of a solution, and what looks at its results."""
    tampered: list[str] = []
    guard = comparisons.ResultGuard(comparisons.all_classes(), tampered)
    module = types.ModuleType("__test__")
    sys.modules["__test__"] = module  # where dataclasses look
    module.__dict__["__builtins__"] = {
        **vars(__import__("builtins")),
        "__build_class__": comparisons.guard_class_statements(),
    }
    exec(compile(source, run_program.PATH, "exec"), module.__dict__)
    return module, guard, tampered


FIVE = (
    "class Five{base}:\n    def __eq__(self, other): return True\n    __hash__ = None\n"
    "    def __lt__(self, other): return True\n"
)


def test_objects_of_a_class_statement_equal_their_own_kind_only() -> None:
    module, _, _ = run(FIVE.format(base="") + "def own(): return Five() == 7\n")
    assert module.Five() == module.Five()
    assert module.Five() != 7
    assert module.own() is True
    with pytest.raises(TypeError):
        assert module.Five() < 7


def test_classes_made_by_type_are_guarded_when_they_are_results() -> None:
    module, guard, tampered = run("T = type('T', (), {'__eq__': lambda s, o: True})\n")
    assert module.T() == 7
    guard.check([module.T()])
    assert module.T() != 7
    assert tampered == []


@pytest.mark.parametrize("base", ["int", "float", "str"])
def test_numbers_and_texts_of_a_class_become_plain(base: str) -> None:
    module, guard, _ = run(FIVE.format(base=f"({base})"))
    found = guard.check(module.Five(5))
    assert type(found).__name__ == base
    assert found == getattr(__import__("builtins"), base)(5)


SLY = {
    "a slot of another name": "class E(int):\n    __eq__ = int.__le__\n    __hash__ = None",
    "a callable": "class Y:\n    def __call__(self, *a): return True\nclass E: __eq__ = Y()",
    "a partial": "import functools\nclass E: __eq__ = functools.partial(lambda *a: True)",
    "a static method": "class E: __eq__ = staticmethod(lambda o: True)",
    "a built-in function": "import operator\nclass E: __eq__ = operator.truth",
    "a mock": (
        "from unittest.mock import MagicMock\ndef E():\n    m = MagicMock()\n    m.__eq__ = lambda s, o: True\n"
        "    return m"
    ),
    "any": "from unittest.mock import ANY\ndef E(): return ANY",
}


@pytest.mark.parametrize("name", SLY)
def test_what_cannot_be_guarded_is_tampering(name: str) -> None:
    module, guard, tampered = run(SLY[name])
    guard.check({"a": [module.E()]})
    assert tampered


HONEST = {
    "a dataclass": "from dataclasses import dataclass\n@dataclass(order=True)\nclass E:\n    x: int = 1",
    "a named tuple": "from collections import namedtuple\nN = namedtuple('N', 'x')\ndef E(): return N(1)",
    "an enum": "import enum\nclass K(enum.IntEnum):\n    A = 1\ndef E(): return K.A",
    "a mock": "from unittest.mock import MagicMock\nE = MagicMock",
    "a class without comparisons": "class E: pass",
    "an exception": "class E(ValueError): pass",
    "data": "def E(): return [1, {'a': (2.5, None)}, {3}]",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_results_are_no_tampering(name: str) -> None:
    module, guard, tampered = run(HONEST[name])
    made: Any = module.E()
    assert guard.check(made) is made
    assert tampered == []
