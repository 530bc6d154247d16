"""Calls a function with inputs and reports the results.

The source is run as a module; then the function, or for each input the method of a new `Solution`, is called. Each
result is written immediately, as a line of JSON on descriptor 3, so that a later crash or timeout does not lose it. The
expected results are not in this process; the grader compares. `prelude` is source to run first, such as the imports
that a contest provides.
"""

from __future__ import annotations

import json
import numbers
import os
import sys
import traceback
from decimal import Decimal
from typing import Any

from z1.sandbox.inside import run_program

RAISED = "raised"


def run(job: dict[str, Any]) -> None:
    """Call `job["name"]` of `job["code"]` with each of `job["inputs"]` (lists of arguments, or maps by name)."""
    module = run_program.main_module("solution")
    sys.modules["__main__"] = module
    status = run_program.execute(job["prelude"], module) or run_program.execute(job["code"], module)
    if status:
        run_program.exit_process(status)
    namespace = module.__dict__
    for number, case in enumerate(job["inputs"]):
        try:
            arguments = eval(case, namespace) if isinstance(case, str) else case
            value = to_json_value(_call(namespace, job["name"], arguments))
            line = json.dumps({"number": number, "value": value})
        except BaseException as error:
            traceback.print_exc()
            line = json.dumps({"number": number, RAISED: f"{type(error).__name__}: {error}"[:200]})
        os.write(3, line.encode() + b"\n")
    run_program.exit_process(0)


def _call(namespace: dict[str, Any], name: str, arguments: Any) -> Any:
    function = getattr(namespace["Solution"](), name) if "Solution" in namespace else namespace[name]
    return function(**arguments) if isinstance(arguments, dict) else function(*arguments)


def to_json_value(value: Any, depth: int = 0) -> Any:
    """`value` as a JSON value; dicts, sets and values without a JSON form become objects with one key each.

    A number of another type, such as a Fraction or a number of numpy, becomes the int or float that it is equal to.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if (number := _plain_number(value)) is not None:
        return number
    if isinstance(value, list | tuple) and depth < 60:
        return [to_json_value(one, depth + 1) for one in value]
    if isinstance(value, dict) and depth < 60:
        pairs = [[to_json_value(key, depth + 1), to_json_value(one, depth + 1)] for key, one in value.items()]
        return {"pairs": sorted(pairs, key=lambda pair: repr(pair[0]))}
    if isinstance(value, set | frozenset) and depth < 60:
        return {"set": sorted((to_json_value(one, depth + 1) for one in value), key=repr)}
    return {"repr": repr(value)[:2000]}


def _plain_number(value: Any) -> int | float | None:
    """The finite int or float that `value` is or is equal to; None if there is none."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()
    elif not isinstance(value, numbers.Real | Decimal):
        return None
    for plain in (int, float):
        try:
            if (number := plain(value)) == value and number - number == 0:
                return number
        except (ValueError, OverflowError):
            continue
    return None
