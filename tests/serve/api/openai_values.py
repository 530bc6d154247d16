"""Values of the parameters of the installed openai client, generated from its types."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal, Required, Union, get_args, get_origin, get_type_hints

from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as TextParams

SCALARS: dict[Any, tuple[Any, ...]] = {
    str: ("x",), int: (0, 1, 3), float: (0, 0.5), bool: (True, False), type(None): (None,),
}  # fmt: skip

MAX_VALUES, MAX_DEPTH = 300, 6


def parameters(kind: type) -> dict[str, list[Any]]:
    """Each parameter of a request type, with values of its type."""
    return {name: list(islice(values(hint), MAX_VALUES)) for name, hint in get_type_hints(kind).items()}


def chat_parameters() -> dict[str, list[Any]]:
    return parameters(ChatParams)


def text_parameters() -> dict[str, list[Any]]:
    return parameters(TextParams)


def values(hint: Any, depth: int = 0) -> Iterator[Any]:
    """Values of a type: each literal, each member of a union, objects with one optional field each."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in SCALARS:
        yield from SCALARS[hint]
    elif origin is Literal:
        yield from arguments
    elif origin in (Union, types.UnionType):
        for one in arguments:
            yield from values(one, depth)
    elif origin is Required:
        yield from values(arguments[0], depth)
    elif hasattr(hint, "__total__"):
        yield from _objects(hint, depth)
    elif origin in (dict, Mapping) or hint is object:
        yield from ({}, {"x": 1})
    elif origin in (list, Iterable) or "Sequence" in str(origin) or hasattr(origin, "__iter__"):
        yield []
        yield from ([one] for one in values(arguments[0], depth + 1))
    else:
        raise TypeError(f"no values for {hint}")


def _objects(hint: Any, depth: int) -> Iterator[dict[str, Any]]:
    hints = get_type_hints(hint, include_extras=True) if depth < MAX_DEPTH else {}
    fields = {name: list(islice(values(inner, depth + 1), 12)) for name, inner in hints.items()}
    required = {name: choices[0] for name, choices in fields.items() if get_origin(hints[name]) is Required}
    yield required
    for name, choices in fields.items():
        yield from ({**required, name: one} for one in choices)
