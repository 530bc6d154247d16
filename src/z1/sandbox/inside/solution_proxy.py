"""The solution as the tests see it, where both run in processes of their own.

Results are data, decoded here (`values.py`), so whatever compares them is the tests' own. An object without a data form
is a `Remote`, whose attributes and methods are asked for in the solution's process. A `Remote` equals no data: what the
tests expect is never sent to the solution in order to be compared there.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import importlib
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from z1.sandbox.inside.channel import Channel
from z1.sandbox.inside.outcomes import NotSeparableError
from z1.sandbox.inside.solution_server import setup_classes
from z1.sandbox.inside.values import ValueDecoder, ValueEncoder

UNTRUSTED_ERRORS = ("unittest", "pytest", "_pytest", "z1", "solution", "__test__", "__main__")
"""Packages whose exceptions mean something to those who run tests, which a solution cannot raise; and its own names."""


class Solution:
    """The process of the solution. `setup` is the module that both processes have; `end` is called, and does not
    return, if that process ends before the tests.
    """

    def __init__(self, channel: Channel, setup: types.ModuleType, end: Callable[[], NoReturn]) -> None:
        self._channel, self._end = channel, end
        self._setup = setup_classes(setup)
        self._names = {kind: name for name, kind in self._setup.items()}
        self._remotes: dict[int, Any] = {}
        self._numbers: dict[Any, int] = {}
        self._callbacks: list[Callable[..., Any]] = []
        self._raised: list[BaseException] = []
        self._lock = threading.RLock()

    def wait(self) -> None:
        """Wait until the solution was run."""
        try:
            self._channel.receive()
        except (EOFError, OSError):
            self._end()

    def get(self, name: str) -> Any:
        """The value of a global name; raises KeyError if there is none."""
        return self.ask("get", name)

    def ask(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """The result of `operation` in the solution's process, or the exception that it raised there."""
        with self._lock:
            encoder = ValueEncoder(self._encode, self._names, [])
            request = {"op": operation, "message": encoder.message([list(arguments), named])}
            try:
                self._channel.send(request)
                while "callback" in (answer := self._channel.receive()):
                    self._channel.send(self._call(answer))
            except (EOFError, OSError):
                self._end()
            decoder = ValueDecoder(self._decode, self._setup, encoder.objects)
            message = answer["value" if "value" in answer else "raised"]
            decoder.add_nodes(message["nodes"])
            for number, node in message["changed"]:
                decoder.fill(encoder.objects[number], node)
            values = [decoder.item(root) for root in message["roots"]]
        if "value" in answer:
            return values[0]
        raise self._error(*values)

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call a function of the tests for the solution."""
        arguments, named = ValueDecoder(self._decode, self._setup, []).values(request["message"])
        value, raised = None, None
        try:
            value = self._callbacks[request["callback"]](*arguments, **named)
        except Exception as error:
            self._raised.append(error)
            raised = [type(error).__name__, str(error), len(self._raised) - 1]
        return {"returned": ValueEncoder(self._encode, self._names, []).message([value, raised])}

    def _error(self, kinds: list[Any], text: str, number: Any, kind: Any, arguments: Any, attributes: Any) -> Any:
        """The exception here for one that was raised in the solution's process."""
        if number is not None:
            return self._raised[number]
        found = _find_error(kinds)
        is_own = [found.__module__, found.__qualname__] != kinds[0]
        if is_own and isinstance(kind, type) and issubclass(kind, BaseException):  # a class of the solution
            found = kind
        error = _make_error(found, arguments)
        if _text_of(error) != text:
            error = _make_error(type(found.__name__, (found,), {"__str__": lambda _: text}), arguments)
        error.__dict__.update({str(key): value for key, value in attributes.items()})
        return error

    def _encode(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Remote):
            return {"object": object.__getattribute__(value, "_number")}
        if isinstance(value, type) and value in self._numbers:
            return {"object": self._numbers[value]}
        if isinstance(value, type) and value in self._names:
            return {"setup": self._names[value]}
        name = getattr(value, "__name__", "")
        if name and getattr(builtins, name, None) is value:
            return {"builtin": name}
        if isinstance(value, type) or not callable(value) or not isinstance(value, _FUNCTIONS):
            raise NotSeparableError(f"an argument of type {type(value).__name__}")
        if value not in self._callbacks:
            self._callbacks.append(value)
        return {"callback": self._callbacks.index(value)}

    def _decode(self, kind: str, content: Any) -> Any:
        if kind == "callback":
            return self._callbacks[content]
        if kind == "setup":
            return self._setup[content]
        if kind == "builtin":
            found = getattr(builtins, content)
            if not isinstance(found, type):
                raise TypeError(f"a result that is {content}")
            return found
        number, what, name, more = content
        if number not in self._remotes:
            self._remotes[number] = self._make(number, what, str(name), more)
        return self._remotes[number]

    def _make(self, number: int, what: str, name: str, more: Any) -> Any:
        if what == "module" and name.partition(".")[0] in {*sys.stdlib_module_names, "numpy"} - {*UNTRUSTED_ERRORS}:
            return importlib.import_module(name)
        if what == "exception":
            kind = type(name, (_find_error(more[1:]),), {"__module__": "solution"})
            self._numbers[kind] = number
            return kind
        makers: dict[str, type[Remote]] = {"class": RemoteClass, "function": RemoteFunction}
        return makers.get(what, Remote)(self, number, name, more if isinstance(more, str) else None)


_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)


def _find_error(kinds: list[Any]) -> type[BaseException]:
    """The first of `kinds` (module and name) that is an exception of Python or of a library here."""
    for module, name in kinds:
        found = getattr(sys.modules.get(str(module)), str(name), None)
        is_trusted = str(module).partition(".")[0] not in UNTRUSTED_ERRORS
        if is_trusted and isinstance(found, type) and issubclass(found, BaseException):
            return found
    return Exception


def _make_error(kind: type[BaseException], arguments: Any) -> BaseException:
    """An exception of `kind`; one whose constructor wants other arguments is made without it."""
    with contextlib.suppress(Exception):
        return kind(*arguments)
    with contextlib.suppress(Exception):
        error = kind.__new__(kind)
        error.args = tuple(arguments)
        return error
    return Exception(*arguments)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except Exception:  # an exception that was made without its constructor may lack what its text is made of
        return ""


class Remote:
    """An object of the solution's process; an operator does there what it does here."""

    def __init__(self, solution: Solution, number: int, name: str, text: str | None) -> None:
        for key, value in (("_solution", solution), ("_number", number), ("__name__", name), ("__doc__", text)):
            object.__setattr__(self, key, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._solution.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._solution.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._solution.ask("delattr", self, name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it in the solution's process."""
        return self._solution.ask("call", self, *arguments, **named)

    def __eq__(self, other: object) -> Any:
        return bool(self._solution.ask("eq", self, other)) if isinstance(other, Remote) else NotImplemented

    def __hash__(self) -> int:
        return int(self._solution.ask("hash", self))

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, Remote):
            return bool(self._solution.ask("contains", self, value))
        return any(one is value or one == value for one in self)

    def __iter__(self) -> Iterator[Any]:
        return self._solution.ask("iter", self)  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: Any) -> Any:
        return self._solution.ask("deepcopy", self)

    def __exit__(self, *_: object) -> None:
        self._solution.ask("exit", self)

    def __format__(self, text: str) -> str:
        return str(self._solution.ask("format", self, text))

    def __reduce__(self) -> Any:
        raise NotSeparableError("pickling")

    def __mro_entries__(self, bases: Any) -> Any:
        raise NotSeparableError("a class of the tests with a base of the solution")

    def __await__(self) -> Any:
        raise NotSeparableError("awaiting")


def _forward(operation: str, convert: Callable[[Any], Any]) -> Any:
    def method(self: Remote, *arguments: Any) -> Any:
        return convert(self._solution.ask(operation, self, *arguments))

    return method


def _forward_pair(operation: str, *, is_reflected: bool, is_comparison: bool) -> Any:
    """Between two objects of the solution it may say anything; with data, only give a further object of its own."""

    def method(self: Remote, other: Any) -> Any:
        if is_comparison and not isinstance(other, Remote):
            return NotImplemented
        result = self._solution.ask(operation, *((other, self) if is_reflected else (self, other)))
        return result if isinstance(other, Remote) or isinstance(result, Remote) else NotImplemented

    return method


for _name, _convert in {"len": int, "bool": bool, "int": int, "float": float, "index": int, "str": str}.items():
    setattr(Remote, f"__{_name}__", _forward(_name, _convert))
for _name in (
    "next",
    "repr",
    "getitem",
    "setitem",
    "delitem",
    "enter",
    "reversed",
    "neg",
    "pos",
    "abs",
    "round",
    "copy",
):
    setattr(Remote, f"__{_name}__", _forward(_name, lambda result: result))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Remote, f"__{_name}__", _forward_pair(_name, is_reflected=False, is_comparison=True))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    setattr(Remote, f"__{_name.rstrip('_')}__", _forward_pair(_name, is_reflected=False, is_comparison=False))
    setattr(Remote, f"__r{_name.rstrip('_')}__", _forward_pair(_name, is_reflected=True, is_comparison=False))


class RemoteFunction(Remote):
    """A function, a method or another callable object of the solution."""


class RemoteClass(Remote):
    """A class of the solution. `isinstance` asks there; data is an instance of none of its classes."""

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and bool(self._solution.ask("isinstance", value, self))

    def __subclasscheck__(self, kind: Any) -> bool:
        return isinstance(kind, Remote) and bool(self._solution.ask("issubclass", kind, self))
