"""The header of a GGUF file: its metadata, and where each tensor is.

A small reader, because that of the gguf library takes 18 s for Gemma 3's header (262,144 tokens; this one 0.4 s), and
rejects a file whose tensors are not there, which still has a tokenizer. Format: docs/gguf.md of ggml-org/ggml, versions
2 and 3. A file in several parts (`…-00001-of-00003.gguf`) has its metadata in the first.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from z1.errors import UserError

MAGIC = b"GGUF"

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"""Formats of struct by GGUF's number of a type."""

_STRING, _ARRAY = 8, 9
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor of `file`: shape in torch's order, ggml's number of its type, and the offset of its first byte."""

    file: Path
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        """The number of its values."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Gguf:
    """A GGUF file, or all parts of one: the files, metadata by key, and tensors by name."""

    files: tuple[Path, ...]
    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]

    @property
    def architecture(self) -> str:
        """The model's architecture, in ggml's name."""
        return str(self.metadata["general.architecture"])

    @property
    def name(self) -> str:
        """The name of the file, without its ending and the number of its part."""
        part = _PART.fullmatch(self.files[0].name)
        return part[1] if part else self.files[0].name.removesuffix(".gguf")


def is_gguf(path: Path) -> bool:
    """Whether the file `path` begins like a GGUF file; Ollama's blobs have no ending."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def read_header(path: Path) -> Gguf:
    """The header of a GGUF file and, if it is the first of several parts, of the others. Raises UserError."""
    part = _PART.fullmatch(path.name)
    files = [path]
    if part:
        files = [path.with_name(f"{part[1]}-{i:05}-of-{part[3]}.gguf") for i in range(1, int(part[3]) + 1)]
    metadata: dict[str, Any] = {}
    tensors: dict[str, GgufTensor] = {}
    for file in files:
        if not file.is_file():
            raise UserError(f"GGUF file {path}", f"no part {file.name}", f"put all {len(files)} parts into one folder")
        found, there = _read_file(file)
        metadata = metadata or found
        tensors |= there
    if "general.architecture" not in metadata:
        raise UserError(f"GGUF file {path}", "no architecture", "give a file that holds a language model")
    return Gguf(tuple(files), metadata, tensors)


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise UserError(f"GGUF file {path}", "other contents", "give a file in GGUF format")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(data)
            try:
                version, num_tensors, num_values = reader.unpack("<IQQ")
                if version not in (2, 3):
                    raise UserError(f"GGUF file {path}", f"format version {version}", "convert it to version 3")
                metadata = dict(reader.item() for _ in range(num_values))
                entries = [reader.tensor() for _ in range(num_tensors)]
            except (struct.error, KeyError, IndexError, ValueError, MemoryError):
                got = f"a header that is damaged or cut ({len(data):,} bytes in all)"
                raise UserError(f"GGUF file {path}", got, "download it again") from None
    alignment = int(metadata.get("general.alignment", 32))
    start = -(-reader.at // alignment) * alignment
    return metadata, {n: GgufTensor(path, n, shape, kind, start + offset) for n, shape, kind, offset in entries}


class _Reader:
    """Reads values one after another from the bytes after the magic number."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self.at = data, len(MAGIC)

    def unpack(self, format_: str) -> tuple[Any, ...]:
        """The values of a struct format."""
        values = struct.unpack_from(format_, self._data, self.at)
        self.at += struct.calcsize(format_)
        return values

    def item(self) -> tuple[str, Any]:
        """A key and its value."""
        return self._string(), self._value(*self.unpack("<I"))

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape, type and offset of a tensor; ggml has the fastest dimension first."""
        name = self._string()
        shape = self.unpack(f"<{self.unpack('<I')[0]}Q")
        return name, shape[::-1], *self.unpack("<IQ")

    def _string(self) -> str:
        (length,) = self.unpack("<Q")
        if self.at + length > len(self._data):
            raise IndexError(length)
        self.at += length
        return self._data[self.at - length : self.at].decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self.unpack(_SCALARS[kind])[0]
        element, count = self.unpack("<IQ")
        if element in (_STRING, _ARRAY):
            if count > len(self._data):
                raise IndexError(count)
            return [self._value(element) for _ in range(count)]
        values = np.frombuffer(self._data, _SCALARS[element], count, self.at)
        self.at += values.nbytes
        return values.tolist()
