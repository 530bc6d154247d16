"""Does the doctor say what is so, and what to do where something is missing?"""

from __future__ import annotations

import platform
import shutil

import pytest

from z1.cli import doctor


def test_every_fact_is_a_line_and_none_is_empty() -> None:
    facts = list(doctor.facts())
    assert all(what and finding and "\n" not in what + finding for what, finding in facts)
    assert {"threads", "torch", "isolation", "engine local", "shipped model"} <= {what for what, _ in facts}


def test_the_shipped_model_is_weighed() -> None:
    size = dict(doctor.facts())["shipped model"]
    assert size.startswith("z1-tiny, ")
    assert 0 < float(size.split()[1]) <= 10


def test_a_missing_package_comes_with_its_cure() -> None:
    assert "pip install" in doctor._version("no-such-package")


def test_isolation_is_refused_by_name_off_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert "Linux only" in doctor._isolation()


def test_a_machine_without_bubblewrap_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "apt-get install bubblewrap" in doctor._isolation()
