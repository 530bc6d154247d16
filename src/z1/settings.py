"""Settings: tables of a TOML file with strict validation, and the errors of files that do not fit, with their lines.

Unknown keys are errors. Recipes, comparisons, studies and curation plans are TOML files of different kinds; `read`
reads them all and names a file of the wrong kind.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from z1.errors import UserError
from z1.toml_lines import find_line

PACKAGED = Path(__file__).parent / "recipes"
"""Folder of the recipes in the package."""

COMMANDS = {"recipe": "run", "comparison": "evaluate", "study": "study", "curation plan": "curate"}
"""The kinds of TOML files, and the command that runs each."""

KEY_TABLES = {
    "recipe": ("curate", "model", "train", "finetune", "report"),
    "comparison": ("models",),
    "study": ("arms",),
    "curation plan": ("source",),
}
"""Tables that only files of one kind have."""


class Settings(BaseModel):
    """A table of a TOML file: immutable, without unknown keys and type conversions."""

    kind: ClassVar[str] = "recipe"
    """The kind of file that this table is the root of, a key of `COMMANDS`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def kind_of(path: Path) -> str | None:
    """The kind of the TOML file at `path`, a key of `COMMANDS`; None if it cannot be read or has no clear kind."""
    try:
        return _kind(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _kind(table: Mapping[str, Any]) -> str | None:
    kinds = [kind for kind, keys in KEY_TABLES.items() if any(key in table for key in keys)]
    if not kinds and isinstance(table.get("evaluate"), dict):
        kinds = ["recipe"]
    return kinds[0] if len(kinds) == 1 else None


def read(path: Path, settings: type[S], overrides: Sequence[str] = ()) -> S:
    """The TOML file at `path` as `settings`, with `overrides` such as `train.epochs=2` in place of its values. Raises
    UserError, in one line, that names the key or the file's kind.
    """
    what = f"{settings.kind} {path}"
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(what, "a folder" if path.is_dir() else "no such file", _give(settings.kind)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(what, f"invalid TOML ({error})", "correct that line") from None
    if (kind := _kind(table)) not in (None, settings.kind):
        raise UserError(what, f"a {kind}", f"run `z1 {COMMANDS[kind]} {path}`")
    for override in overrides:
        _override(table, override)
    try:
        return settings.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise _one_line(what, text, settings, error) from None


def _override(table: dict[str, Any], override: str) -> None:
    """Set the value of `KEY=VALUE` in `table`. A value that is no TOML is a text."""
    key, is_set, written = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not is_set or not all(parts):
        raise UserError("--set", override, "give KEY=VALUE, such as train.learning_rate=1e-5")
    inner: Any = table
    for part in parts[:-1]:
        inner = inner.setdefault(part, {}) if isinstance(inner, dict) else _entry(inner, part, override)
    if isinstance(inner, dict):
        inner[parts[-1]] = _value(written.strip())
    else:
        _entry(inner, parts[-1], override)
        inner[int(parts[-1])] = _value(written.strip())


def _entry(inner: Any, part: str, override: str) -> Any:
    if isinstance(inner, list) and part.isdecimal() and int(part) < len(inner):
        return inner[int(part)]
    got = f"{override}, where {part} is not in {json.dumps(inner, default=str)}"
    raise UserError("--set", got, "give a key of a table, or the number of an entry of a list, from 0")


def _value(written: str) -> Any:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written


def _give(kind: str) -> str:
    names = ", ".join(sorted(path.stem for path in PACKAGED.glob("*.toml")))
    return "give the path of a .toml file" + (f", or a packaged recipe ({names})" if kind == "recipe" else "")


def _one_line(what: str, text: str, settings: type[Settings], error: ValidationError) -> UserError:
    fault = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")  # a misspelt key is also missing
    key = ".".join(str(part) for part in fault["loc"])
    what = f"{what}:{find_line(text, fault['loc'])}"
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(str(fault["loc"][-1]), _known(settings, fault["loc"][:-1]), 1)
        return UserError(what, f"the unknown key {key}", f"did you mean {near[0]}?" if near else "remove it")
    if fault["type"] == "missing":
        return UserError(what, f"no key {key}", "add it")
    message = fault["msg"].removeprefix("Value error, ")
    if "; " in message:
        got, do = message.split("; ")
        return UserError(what + f", table {key}" * bool(key), got, do)
    return UserError(f"{what}, key {key}", repr(fault["input"]), message[0].lower() + message[1:])


def _known(settings: Any, table: tuple[int | str, ...]) -> list[str]:
    """The keys of a table within `settings`, including tables in lists and under names of their own."""
    for part in table:
        if isinstance(settings, type) and issubclass(settings, BaseModel):
            settings = settings.model_fields[str(part)].annotation
        else:
            settings = next(iter(kind for kind in get_args(settings) if kind is not str), None)
        if NoneType in get_args(settings):
            settings = next((each for each in get_args(settings) if each is not NoneType), None)
    return list(settings.model_fields) if isinstance(settings, type) and issubclass(settings, BaseModel) else []
