"""`z1 doctor` prints facts of the machine and the state of every extra, with what to do if something is missing."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from z1.cli import doctor
from z1.cli.extras import EXTRAS, Extra


def test_every_fact_is_a_line_and_none_is_empty() -> None:
    facts = doctor.facts()
    assert all(what and finding and "\n" not in what + finding for what, finding in facts.items())
    assert {"processors", "torch", "sandbox", "transformers", "shipped model"} <= facts.keys()
    text = CliRunner().invoke(doctor.app, []).output
    assert len(text.splitlines()) == len(facts) + len(EXTRAS)
    assert "bubblewrap" not in text and "bwrap" not in text


def test_the_size_of_the_shipped_model_is_given() -> None:
    size = doctor.facts()["shipped model"]
    assert size.startswith("z1-tiny, ")
    assert 0 < float(size.split()[1]) <= 10


def test_a_missing_extra_comes_with_what_it_brings_and_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "serve", Extra("the HTTP server", ("fastapi", "no_such_module")))
    text = CliRunner().invoke(doctor.app, []).output
    assert (
        "extra serve     not installed (no_such_module): would bring the HTTP server; install the extra serve: "
        "pip install '.[serve]' in a checkout, or pip install 'z1-….whl[serve]'"
    ) in text
    found = json.loads(CliRunner().invoke(doctor.app, ["--json"]).output)
    (serve,) = [one for one in found["extras"] if one["name"] == "serve"]
    assert (serve["is_installed"], serve["missing"]) == (False, ["no_such_module"])
    assert "pip install '.[serve]'" in serve["install"]
    assert found["torch"] == doctor.facts()["torch"]


def test_a_missing_package_is_named() -> None:
    assert doctor._version("no-such-package") == "not installed; install z1 again"


def test_the_sandbox_is_not_available_off_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (
        doctor._sandbox() == "not available: the sandbox: got darwin; grade on Linux; other systems have no namespaces"
    )


def test_the_sandbox_is_tried_as_grading_starts_it() -> None:
    assert doctor._sandbox().startswith("available: ran a program (isolated True")
