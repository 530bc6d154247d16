"""Server-side settings of the plug-in: kill switch, and by model the default, the ceiling and the canary share.

They are in the TOML file that Z1_VLLM_CONFIG names, which is read again when it changes:

    enabled = true                  # false: every request is vLLM's own
    [default]                       # models without a table of their own
    thinking_budget = 1024
    max_thinking_budget = 8192
    repetition = true
    canary = 0.1
    reasoning_effort_map = {low = 512, medium = 1024, high = 4096}
    [models."Qwen/Qwen3-8B"]
    thinking_budget = 2048
    tool_markers = ["<tool_call>"]

Without the file, Z1_VLLM_THINKING_BUDGET, Z1_VLLM_MAX_THINKING_BUDGET, Z1_VLLM_CANARY and Z1_VLLM_REPETITION set those
of all models.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from z1.errors import UserError

LOG = logging.getLogger(__name__)

CONFIG_VARIABLE = "Z1_VLLM_CONFIG"

VARIABLES = {
    "thinking_budget": "Z1_VLLM_THINKING_BUDGET",
    "max_thinking_budget": "Z1_VLLM_MAX_THINKING_BUDGET",
    "canary": "Z1_VLLM_CANARY",
    "repetition": "Z1_VLLM_REPETITION",
}

Tokens = Annotated[int, Field(ge=-1)]


class ModelDefaults(BaseModel):
    """What requests to one model get.

    `thinking_budget` (None: none) is for requests that ask for no budget, and `reasoning_effort_map` for those with an
    effort. No request thinks for more than `max_thinking_budget`. The share `canary` of the requests without z1's own
    keys gets this; the others are not changed. Requests with tools get a window only with `tool_markers`, the texts
    with which a tool call begins, so that none is interrupted. `repetition`, `max_nudges`, `soft_tokens` and
    `grace_tokens` are those of `WindowParams`; with `repetition` requests without a budget get a window too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    thinking_budget: Tokens | None = None
    max_thinking_budget: Annotated[int, Field(ge=0)] | None = None
    canary: Annotated[float, Field(ge=0, le=1)] = 1.0
    answer_reserve: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort_map: dict[str, Tokens] = {}
    tool_markers: tuple[str, ...] = ()
    repetition: bool = False
    max_nudges: Annotated[int, Field(ge=0)] = 0
    soft_tokens: Annotated[int, Field(ge=0)] = 0
    grace_tokens: Annotated[int, Field(ge=0)] = 0


class PluginSettings(BaseModel):
    """All settings. With `enabled` false z1 changes no request and removes its own keys from those that have them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    default: ModelDefaults = ModelDefaults()
    models: dict[str, ModelDefaults] = {}

    def for_model(self, name: object) -> tuple[str, ModelDefaults]:
        """The settings of a model, and the name under which they are: the model's, or "default"."""
        found = self.models.get(name) if isinstance(name, str) else None
        return ("default", self.default) if found is None else (str(name), found)


class SettingsFile:
    """The settings of a running server. A file that cannot be read later leaves the last ones; `on_error` is called."""

    def __init__(self, path: Path | None, settings: PluginSettings, on_error: Callable[[], None]) -> None:
        self._path, self._settings, self._on_error = path, settings, on_error
        self._version = None if path is None else _version(path)

    def current(self) -> PluginSettings:
        """The settings, read again if the file has changed."""
        if self._path is not None and (version := _version(self._path)) != self._version:
            self._version = version
            try:
                self._settings = read_settings(self._path)
                LOG.warning("z1: read %s; z1 is %s", self._path, "on" if self._settings.enabled else "off")
            except UserError as error:
                self._on_error()
                LOG.error("z1: the last settings stay: %s", error)
        return self._settings


def open_settings(environment: Mapping[str, str], on_error: Callable[[], None]) -> SettingsFile:
    """The settings that the environment names. Raises UserError if they are not valid, so that a server does not start
    with others.
    """
    if CONFIG_VARIABLE in environment:
        path = Path(environment[CONFIG_VARIABLE])
        return SettingsFile(path, read_settings(path), on_error)
    values = {field: environment[name] for field, name in VARIABLES.items() if name in environment}
    return SettingsFile(None, _checked({"default": values}, ", ".join(VARIABLES.values())), on_error)


def read_settings(path: Path) -> PluginSettings:
    """The settings in a TOML file. Raises UserError."""
    try:
        return _checked(tomllib.loads(path.read_text("utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{CONFIG_VARIABLE} {path}", error, "give a TOML file, as in docs/vllm.md") from None


def _checked(values: Mapping[str, object], source: str) -> PluginSettings:
    try:
        return PluginSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(source, f"{where}: {first['msg']}", "correct it; docs/vllm.md lists the settings") from None


def _version(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever a file is written, replaced or removed."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
