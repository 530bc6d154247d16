"""The table of extras agrees with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from z1.cli.extras import EXTRAS, extra_with, missing_library, require
from z1.errors import UserError

PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"

MODULES = {
    "opentelemetry_exporter_otlp_proto_http": "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry_instrumentation_asgi": "opentelemetry.instrumentation.asgi",
    "opentelemetry_sdk": "opentelemetry.sdk",
}
"""Modules that are not called like their package."""


def declared(extra: str) -> set[str]:
    """Modules of the packages that pyproject.toml declares for an extra; an extra of z1 stands for its packages."""
    found = set()
    for line in tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"][extra]:
        name = re.split(r"[\[<>=~!; ]", line)[0]
        if name == "z1":
            (others,) = re.findall(r"\[([\w,]+)\]", line)
            found |= set().union(*(declared(other) for other in others.split(",")))
        else:
            found.add(MODULES.get(module := name.replace("-", "_"), module))
    return found


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_has_the_packages_of_pyproject(extra: str) -> None:
    assert set(EXTRAS[extra].modules) == declared(extra)


def test_every_extra_for_users_is_in_the_table() -> None:
    assert set(EXTRAS) == set(tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]) - {"dev", "docs"}


@pytest.mark.parametrize(
    ("module", "verb", "extra"),
    [
        ("pyarrow.parquet", "curate", "curate"),
        ("pyarrow", "evaluate", "evaluate"),
        ("pyarrow", "run", "evaluate"),
        ("pyarrow", "train", "train"),
        ("matplotlib", "report", "report"),
        ("matplotlib.axes", "study", "report"),
        ("httpx2", "curate", "curate"),
        ("httpx2", "serve", "serve"),
        ("httpx2", "evaluate", "evaluate"),
        ("starlette.responses", "serve", "serve"),
        ("ray", "curate", "ray"),
        ("z1.nowhere", "run", None),
    ],
)
def test_the_extra_of_a_module_depends_on_the_verb(module: str, verb: str, extra: str | None) -> None:
    assert extra_with(module, verb) == extra


def test_a_module_that_is_not_installed_is_missing() -> None:
    extra = EXTRAS["report"]._replace(modules=("matplotlib", "no_such_module"))
    assert extra.missing() == ["no_such_module"]


def test_a_library_is_required_before_work_starts() -> None:
    require("json")
    with pytest.raises(UserError, match=r"library ray\.none: got none installed; install the extra ray: pip install"):
        raise missing_library("ray.none")
    with pytest.raises(ModuleNotFoundError):
        require("no_such_module")
