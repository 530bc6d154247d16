"""Logs are repaired in blocks, with incomplete lines longer than a block; a full disk is named for every writer."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from z1 import runs


@pytest.mark.parametrize("torn", ["", '{"torn', "x" * 100])
def test_an_incomplete_line_longer_than_a_block_is_dropped(
    torn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "BLOCK", 7)
    for whole in ("", '{"n": 1}\n', '{"n": 1}\n{"n": 22222222222}\n'):
        path = tmp_path / "log.jsonl"
        path.write_text(whole + torn)
        with runs.Log(path) as log:
            log.sync()
        assert path.read_text() == whole


def test_a_full_disk_under_rust_is_an_os_error_with_a_name(tmp_path: Path) -> None:
    """The texts are those that safetensors and tokenizers give."""
    with pytest.raises(OSError, match="No space") as caught, runs.disk_full_as_os_error(tmp_path):
        raise SafetensorError("I/O error: No space left on device (os error 28)")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))
    with pytest.raises(SafetensorError), runs.disk_full_as_os_error(tmp_path):
        raise SafetensorError("I/O error: (os error 5)")
