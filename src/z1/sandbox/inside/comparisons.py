"""Comparisons of a solution's objects, where tests share a process with it.

A class of the solution may be equal to what it likes in the solution's own code. Anywhere else, as in an assertion of
a test, its comparisons hold between objects of its own kind only, and with everything else as Python's own do. Classes
are guarded when a `class` statement makes them, and again when an object of them is a result, since `type()` makes
classes too. A comparison that cannot be guarded (a C function under another name, a callable object, a mock that was
told what to say) is tampering.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import itertools
import sys
from types import FunctionType, MethodType
from typing import Any

from z1.sandbox.inside import run_program

COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
CONTAINERS = (list, tuple, set, frozenset, dict)
MAX_DEPTH, MAX_ITEMS = 4, 1000

_get_frame = sys._getframe
_GUARDS: set[Any] = set()


def guard_class_statements() -> Any:
    """A `__build_class__` that guards the comparisons of the solution's classes."""
    build: Any = builtins.__build_class__

    def build_guarded(function: Any, name: str, *bases: Any, **named: Any) -> Any:
        made = build(function, name, *bases, **named)
        if isinstance(made, type):
            for key in COMPARISONS:
                if _is_by_solution(vars(made).get(key)):
                    setattr(made, key, _guard(vars(made)[key], made, key))
        return made

    return build_guarded


def _guard(original: Any, owner: type, key: str) -> Any:
    def compare_own_kind(self: Any, other: Any) -> Any:
        is_own_code = _get_frame(1).f_code.co_filename == run_program.PATH
        if is_own_code or any(vars(one).get(key) in _GUARDS for one in type(other).__mro__):
            return original(self, other)
        return getattr(super(owner, self), key)(other)

    _GUARDS.add(compare_own_kind)
    return compare_own_kind


def _is_by_solution(value: Any) -> bool:
    """Whether a function is of the solution's source, or of source that it executed, or calls such a function."""
    if not isinstance(value, FunctionType) or value in _GUARDS:
        return False
    origin = value.__code__.co_filename
    cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    return origin == run_program.PATH or origin.startswith("<") or any(map(_is_by_solution, cells))


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def all_classes() -> set[type]:
    """Every class that exists now."""
    found: set[type] = set()
    remaining: list[type] = [object]
    while remaining:
        kind = remaining.pop()
        if kind not in found:
            found.add(kind)
            remaining += type.__subclasses__(kind)
    return found


class ResultGuard:
    """Looks at what the solution returns. `known` are the classes that existed before it ran."""

    def __init__(self, known: set[type], tampered: list[str]) -> None:
        self._known, self._tampered = known, tampered
        self._guarded: set[type] = set()

    def check(self, value: Any) -> Any:
        """`value`, with its classes guarded; a number or text of a class of the solution as a plain one."""
        self._look(value, 0)
        kind = type(value)
        if kind in self._known or any(one.__module__ == "enum" for one in kind.__mro__):
            return value
        plain = {int: int.__int__, float: float.__float__, str: str.__str__}
        return next((convert(value) for base, convert in plain.items() if issubclass(kind, base)), value)

    def _look(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind in PLAIN or depth > MAX_DEPTH:
            return
        if kind not in self._known:
            self._guard(kind)
        if kind in CONTAINERS:
            inner = dict.values(value) if kind is dict else value
            for one in itertools.islice(inner, MAX_ITEMS):
                self._look(one, depth + 1)
            return
        if _equals_everything(value):
            self._tampered.append("a result that is equal to everything")
        if kind not in self._known and isinstance(getattr(value, "__dict__", None), dict):
            for one in itertools.islice(value.__dict__.values(), MAX_ITEMS):
                self._look(one, depth + 1)

    def _guard(self, kind: type) -> None:
        for one in type.mro(kind):
            if one in self._known or one in self._guarded:
                continue
            self._guarded.add(one)
            for key in COMPARISONS:
                value = vars(one).get(key)
                if value is None or value in _GUARDS or _is_dataclass_comparison(one, key):
                    continue
                if one.__module__ in _SOLUTION_MODULES and _is_by_solution(value):
                    setattr(one, key, _guard(value, one, key))
                elif not self._is_honest(value, key):
                    self._tampered.append(f"equality of {one.__name__}")

    def _is_honest(self, value: Any, key: str) -> bool:
        """Whether a comparison is Python's or a library's own."""
        while isinstance(value, staticmethod | classmethod | MethodType | functools.partial | functools.partialmethod):
            value = value.func if isinstance(value, functools.partial | functools.partialmethod) else value.__func__
        if isinstance(value, FunctionType):
            return not _is_by_solution(value)
        name = getattr(value, "__name__", None)
        return type(value) in self._known and name in (None, key)


_SOLUTION_MODULES = frozenset({"__test__", "__main__", "builtins", "solution"})


class _Unknown:
    """A class that is unknown to every solution; its objects are equal only to themselves."""


def _equals_everything(value: Any) -> bool:
    """Whether `value` is equal to an unknown object, as `mock.ANY` is."""
    try:
        return (value == _Unknown()) is True
    except Exception:  # a foreign comparison may raise anything
        return False


def _is_dataclass_comparison(kind: type, key: str) -> bool:
    """Whether `key` has the same instructions as the method that `dataclasses` generates for these fields."""
    if not dataclasses.is_dataclass(kind) or not isinstance(vars(kind)[key], FunctionType):
        return False
    names = [field.name for field in dataclasses.fields(kind) if field.compare]
    model = vars(dataclasses.make_dataclass("Model", names, order=True)).get(key)
    code = vars(kind)[key].__code__
    return model is not None and (code.co_code, code.co_names) == (model.__code__.co_code, model.__code__.co_names)
