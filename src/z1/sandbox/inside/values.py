"""Python values as JSON, for calls between the process of the tests and that of the solution.

`ValueEncoder` writes values, `ValueDecoder` makes new objects of plain types from them. What is decoded is data only:
an exact int, never an object whose `__eq__` the other process wrote. A message has `roots` and `nodes`; a node is a
container, and an item of it is an atom or the number of a node, so containers may be shared and may contain themselves.
After a call the same numbers say which of the arguments changed. What has no data form is left to a `hook`, on both
sides.
"""

from __future__ import annotations

import base64
import collections
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

FACTORIES: dict[str, Any] = {one.__name__: one for one in (int, float, str, list, dict, set, tuple, bool)}
"""What a defaultdict may make."""
NUMPY_KINDS = frozenset("biufcUSmM")

Item = Any
"""An atom: null, a boolean, a number or a text; `[number]` of a node; or `{kind: content}`."""


class NotPlainError(TypeError):
    """A value has no data form."""


class ValueEncoder:
    """Writes values. `known` are the objects of earlier messages, whose numbers they keep."""

    def __init__(self, hook: Callable[[Any], dict[str, Any]], classes: dict[type, str], known: list[Any]) -> None:
        self._hook, self._classes = hook, classes
        self.objects = list(known)
        self._numbers = {id(one): number for number, one in enumerate(self.objects)}
        self._first = len(known)
        self._waiting: list[int] = []

    def message(self, roots: list[Any]) -> dict[str, Any]:
        """The message for `roots`."""
        items = [self.item(root) for root in roots]
        return {"roots": items, "nodes": self._new_nodes()}

    def contents(self) -> list[Any]:
        """The present contents of the known objects, which may refer to new nodes."""
        return [self._node(one) for one in self.objects[: self._first]]

    def _new_nodes(self) -> list[Any]:
        nodes: dict[int, Any] = {}
        while self._waiting:
            number = self._waiting.pop()
            nodes[number] = self._node(self.objects[number])
        return [nodes[number] for number in sorted(nodes)]

    def new_nodes(self) -> list[Any]:
        """The nodes that `contents` refers to; call it last."""
        return self._new_nodes()

    def item(self, value: Any) -> Item:
        """`value` as an item."""
        if value is None or value is True or value is False:
            return value
        for kind, encode in _ENCODE_ATOMS.items():
            if isinstance(value, kind) and (kind in _WITH_SUBCLASSES or type(value) is kind):
                return encode(value)
        if _is_scalar(value):
            return {"scalar": [value.dtype.str, _text(value.tobytes())]}
        if not self._is_container(value):
            return self._hook(value)
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.objects)
            self._waiting.append(len(self.objects))
            self.objects.append(value)
        return [self._numbers[id(value)]]

    def _is_container(self, value: Any) -> bool:
        kind = type(value)
        return kind in _CONTAINERS or kind in self._classes or _is_named_tuple(value) or _is_array(value)

    def _node(self, value: Any) -> Any:
        kind, item = type(value), self.item
        if kind in self._classes:
            return ["instance", self._classes[kind], [[key, item(one)] for key, one in vars(value).items()]]
        if _is_array(value):
            return ["array", value.dtype.str, list(value.shape), _text(value.tobytes())]
        if kind is bytearray:
            return ["bytearray", _text(bytes(value))]
        if issubclass(kind, dict):
            factory = getattr(value, "default_factory", None)
            pairs = [[item(key), item(one)] for key, one in value.items()]
            return [kind.__name__, pairs, next((name for name, one in FACTORIES.items() if one is factory), None)]
        items = [item(one) for one in kind.__iter__(value)]
        if _is_named_tuple(value):
            return ["namedtuple", kind.__name__, list(kind._fields), items]
        return [kind.__name__, items, value.maxlen] if kind is collections.deque else [kind.__name__, items]


_MAPPINGS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)
_CONTAINERS = frozenset([list, tuple, set, frozenset, bytearray, collections.deque, *_MAPPINGS])
_BY_NAME = {kind.__name__: kind for kind in _CONTAINERS}
_IMMUTABLE = frozenset({"tuple", "frozenset", "namedtuple"})


def _is_named_tuple(value: Any) -> bool:
    kind = type(value)
    return issubclass(kind, tuple) and kind.__bases__ == (tuple,) and isinstance(getattr(kind, "_fields", None), tuple)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and value.dtype.kind in NUMPY_KINDS


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _is_scalar(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic) and value.dtype.kind in NUMPY_KINDS


def _encode_float(value: float) -> Item:
    if _is_scalar(value):  # numpy's float64 is a float
        return {"scalar": [value.dtype.str, _text(value.tobytes())]}  # type: ignore[attr-defined]
    number = float.__float__(value)
    return number if number - number == 0 else {"float": repr(number)}


_WITH_SUBCLASSES = frozenset({str, int, float})
"""An object of a subclass of these becomes one of the class."""

_ENCODE_ATOMS: dict[type, Callable[[Any], Item]] = {
    str: str.__str__,
    int: int.__int__,
    float: _encode_float,
    bytes: lambda value: {"bytes": _text(value)},
    complex: lambda value: {"complex": [repr(value.real), repr(value.imag)]},
    Decimal: lambda value: {"Decimal": str(value)},
    Fraction: lambda value: {"Fraction": str(value)},
    date: lambda value: {"date": value.isoformat()},
    datetime: lambda value: {"datetime": value.isoformat()},
    time: lambda value: {"time": value.isoformat()},
    timedelta: lambda value: {"timedelta": [value.days, value.seconds, value.microseconds]},
    range: lambda value: {"range": [value.start, value.stop, value.step]},
    type(Ellipsis): lambda value: {"constant": "Ellipsis"},
    type(NotImplemented): lambda value: {"constant": "NotImplemented"},
}


def _decode_scalar(content: Any) -> Any:
    import numpy

    return numpy.frombuffer(base64.b64decode(content[1]), _dtype(content[0]))[0]


def _dtype(text: str) -> Any:
    import numpy

    found = numpy.dtype(str(text))
    if found.kind not in NUMPY_KINDS:
        raise NotPlainError(f"an array of {text}")
    return found


_ATOMS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "bytes": base64.b64decode,
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "Decimal": Decimal,
    "Fraction": Fraction,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda parts: timedelta(*parts),
    "range": lambda parts: range(*parts),
    "constant": {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}.__getitem__,
    "scalar": _decode_scalar,
}


class ValueDecoder:
    """Makes the values of a message. `known` are the objects of earlier messages; new ones are appended."""

    def __init__(self, hook: Callable[[str, Any], Any], classes: dict[str, type], known: list[Any]) -> None:
        self._hook, self._classes = hook, classes
        self.objects = list(known)
        self._nodes: dict[int, Any] = {}

    def values(self, message: dict[str, Any]) -> list[Any]:
        """The roots of `message`."""
        self.add_nodes(message["nodes"])
        return [self.item(root) for root in message["roots"]]

    def add_nodes(self, nodes: list[Any]) -> None:
        """Make the objects of `nodes`: first all that can change, empty, then the others, then the contents."""
        first = len(self.objects)
        for number, node in enumerate(nodes, first):
            self._nodes[number] = node
            self.objects.append(_UNMADE if node[0] in _IMMUTABLE else self._make_empty(node))
        for number in range(first, len(self.objects)):
            self._object(number)
        for number in range(first, len(self.objects)):
            if self._nodes[number][0] not in _IMMUTABLE:
                self.fill(self.objects[number], self._nodes[number])

    def item(self, item: Item) -> Any:
        """The value of an item."""
        if isinstance(item, list):
            return self._object(item[0])
        if not isinstance(item, dict):
            return item
        [(kind, content)] = item.items()
        return _ATOMS[kind](content) if kind in _ATOMS else self._hook(kind, content)

    def _object(self, number: int) -> Any:
        if self.objects[number] is _UNMADE:
            kind, *content = self._nodes[number]
            items = [self.item(one) for one in content[-1]]
            if kind == "namedtuple":
                made = collections.namedtuple(content[0], content[1])(*items)
            else:
                made = _BY_NAME[kind](items)
            self.objects[number] = made
        return self.objects[number]

    def _make_empty(self, node: Any) -> Any:
        kind, *content = node
        if kind == "instance":
            return object.__new__(self._classes[content[0]])
        if kind == "array":
            import numpy

            return numpy.zeros(content[1], _dtype(content[0]))
        if kind == "deque":
            return collections.deque(maxlen=content[1])
        if kind == "defaultdict":
            return collections.defaultdict(FACTORIES.get(content[1]))
        return _BY_NAME[kind]()

    def fill(self, target: Any, node: Any) -> None:
        """Give `target` the contents of `node`."""
        kind, *content = node
        if kind == "instance":
            target.__dict__.clear()
            target.__dict__.update((str(key), self.item(one)) for key, one in content[1])
        elif kind == "array":
            import numpy

            target[...] = numpy.frombuffer(base64.b64decode(content[2]), target.dtype).reshape(target.shape)
        elif kind == "bytearray":
            target[:] = base64.b64decode(content[0])
        elif isinstance(target, dict):
            target.clear()
            for key, one in content[0]:
                target[self.item(key)] = self.item(one)
        else:
            items = [self.item(one) for one in content[0]]
            target.clear()
            (target.update if isinstance(target, set) else target.extend)(items)


_UNMADE: Any = object()
