"""The process of a solution: makes the calls that the process of the tests asks for.

It has neither the tests nor the descriptor of the report. Results are sent as data (`values.py`); objects without a
data form stay here and are named by a number. What the tests see of such an object is what this process says, but it
never learns what they compare it with.
"""

from __future__ import annotations

import builtins
import copy
import importlib
import operator
import types
from collections.abc import Callable
from typing import Any

from z1.sandbox.inside.channel import Channel
from z1.sandbox.inside.values import ValueDecoder, ValueEncoder

OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, *arguments, **named: function(*arguments, **named),
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "enter": lambda manager: manager.__enter__(),
    "exit": lambda manager: manager.__exit__(None, None, None),
    "contains": operator.contains,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{name: getattr(builtins, name) for name in ("len", "iter", "next", "reversed", "str", "repr", "bool", "float")},
    **{name: getattr(builtins, name) for name in ("int", "hash", "isinstance", "issubclass", "round", "dir", "format")},
    **{name: getattr(operator, name) for name in ("getitem", "setitem", "delitem", "eq", "lt", "le", "gt", "ge")},
    **{name: getattr(operator, name) for name in ("neg", "pos", "abs", "invert", "index")},
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")},
    **{name: getattr(operator, name) for name in ("and_", "or_", "xor", "lshift", "rshift")},
}
"""What the tests may ask for."""


class Callback:
    """A function of the tests, as the solution sees it."""

    def __init__(self, server: SolutionServer, number: int) -> None:
        self._server, self.number = server, number

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Have the tests' process call it."""
        return self._server.call_back(self.number, arguments, named)


class SolutionServer:
    """Serves the names of `module`; `setup` is the module that the tests' process has too."""

    def __init__(self, channel: Channel, module: types.ModuleType, setup: types.ModuleType) -> None:
        self._channel, self._module = channel, module
        self._setup = setup_classes(setup)
        self._names = {kind: name for name, kind in self._setup.items()}
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def serve(self) -> None:
        """Answer requests until the other end is closed."""
        while True:
            try:
                self._channel.send(self._answer(self._channel.receive()))
            except (EOFError, OSError):
                return

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        message = request["message"]
        decoder = ValueDecoder(self._decode, self._setup, [])
        try:
            arguments, named = decoder.values(message)
            if request["op"] == "get":
                result = vars(self._module)[arguments[0]]
            else:
                result = OPERATIONS[request["op"]](*arguments, **named)
            return self._reply("value", [result], decoder.objects, message["nodes"])
        except BaseException as error:
            return self._raise(error, decoder.objects, message["nodes"])

    def _reply(self, kind: str, roots: list[Any], known: list[Any], before: list[Any]) -> dict[str, Any]:
        encoder = ValueEncoder(self._encode, self._names, known)
        items = [encoder.item(root) for root in roots]
        now = encoder.contents() if len(known) == len(before) else []
        changed = [[number, node] for number, node in enumerate(now) if node != before[number]]
        return {kind: {"roots": items, "changed": changed, "nodes": encoder.new_nodes()}}

    def _raise(self, error: BaseException, known: list[Any], before: list[Any]) -> dict[str, Any]:
        facts = [[[kind.__module__, kind.__qualname__] for kind in type(error).__mro__[:-1]], _text(error)]
        number = getattr(error, "z1_raised_by_tests", None)
        try:
            roots = [*facts, number, type(error), list(error.args), dict(vars(error))]
            return self._reply("raised", roots, known, before)
        except Exception:  # arguments or attributes that cannot be written
            return self._reply("raised", [*facts, None, None, [], {}], known, before)

    def call_back(self, number: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Have the tests' process call one of its functions."""
        message = ValueEncoder(self._encode, self._names, []).message([list(arguments), named])
        self._channel.send({"callback": number, "message": message})
        while "returned" not in (answer := self._channel.receive()):
            self._channel.send(self._answer(answer))
        message = answer["returned"]
        value, raised = ValueDecoder(self._decode, self._setup, []).values(message)
        if raised is not None:
            error: Any = getattr(builtins, raised[0], RuntimeError)(raised[1])
            error.z1_raised_by_tests = raised[2]
            raise error
        return value

    def _encode(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Callback):
            return {"callback": value.number}
        if isinstance(value, type):
            name = value.__name__
            if vars(builtins).get(name) is value:
                return {"builtin": name}
            if value in self._names:
                return {"setup": self._names[value]}
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return {"object": [self._numbers[id(value)], *_describe(value)]}

    def _decode(self, kind: str, content: Any) -> Any:
        if kind == "object":
            return self._objects[content]
        if kind == "callback":
            return Callback(self, content)
        if kind == "builtin":
            return getattr(builtins, content)
        if kind == "setup":
            return self._setup[content]
        found: Any = importlib.import_module(content[0])
        for part in content[1].split("."):
            found = getattr(found, part)
        return found


def setup_classes(module: types.ModuleType) -> dict[str, type]:
    """The classes that the setup defines itself, and whose objects have nothing but attributes."""
    found = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    return {
        name: kind
        for name, kind in found.items()
        if kind.__module__ == module.__name__ and kind.__bases__ == (object,) and "__slots__" not in vars(kind)
    }


def _describe(value: Any) -> list[Any]:
    """Kind, name and documentation of an object that stays here."""
    if isinstance(value, types.ModuleType):
        return ["module", str(value.__name__), None]
    if isinstance(value, type):
        bases = [[kind.__module__, kind.__qualname__] for kind in value.__mro__[:-1]]
        return ["exception" if issubclass(value, BaseException) else "class", value.__name__, bases]
    name, text = getattr(value, "__name__", None), getattr(value, "__doc__", None)
    kind = "function" if callable(value) else "object"
    return [kind, name if isinstance(name, str) else type(value).__name__, text if isinstance(text, str) else None]


def _text(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except Exception:  # an error of the solution may not have a text
        return ""
