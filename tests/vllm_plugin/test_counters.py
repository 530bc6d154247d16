"""Counts of the engine's processes reach the registry of the server's process."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from z1.vllm_plugin.counters import EngineCounters, EngineTotals, engine_folder


def value(name: str, label: str, of: str) -> float:
    return REGISTRY.get_sample_value(name, {label: of}) or 0.0


def count_here(folder: Path, times: int) -> None:
    counters = EngineCounters(folder)
    for _ in range(times):
        counters.add("errors", "test_counters")
        counters.add("windows", "test_forced")
    os._exit(0)  # as a process that is killed: the file stays


def test_the_server_adds_what_the_engines_processes_count(tmp_path: Path) -> None:
    totals = EngineTotals()
    for times, expected in ((3, 3.0), (4, 7.0)):
        process = multiprocessing.get_context("fork").Process(target=count_here, args=(tmp_path, times))
        process.start()
        process.join()
        for _ in range(2):  # reading twice adds nothing
            totals.collect(tmp_path)
            assert value("z1_plugin_errors_total", "where", "test_counters") == expected
            assert value("z1_plugin_windows_total", "outcome", "test_forced") == expected


def test_without_a_folder_the_registry_of_the_process_is_used() -> None:
    counters = EngineCounters(None)
    counters.add("errors", "test_own")
    counters.add("unheard", "x")  # counting never raises
    assert value("z1_plugin_errors_total", "where", "test_own") == 1.0


def test_the_folder_of_an_instance_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = engine_folder("abcde")
    assert folder is not None
    assert folder == engine_folder("abcde")
    assert folder.stat().st_mode & 0o077 == 0
    assert engine_folder("") is None
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"z1-vllm-{os.getuid()}-fghij").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        engine_folder("fghij")
    (tmp_path / f"z1-vllm-{os.getuid()}-klmno").mkdir()
    with pytest.raises(PermissionError):
        engine_folder("klmno")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert engine_folder("abcde") is None


def test_a_process_that_ends_removes_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    folder.mkdir()
    counters = EngineCounters(folder)
    counters.add("errors", "x")
    assert len(list(folder.iterdir())) == 1
    counters.close()
    counters.close()
    assert not folder.exists()
