"""The fixtures of a stock vLLM server."""

from tests.vllm_server import vllm_python, vllm_server

__all__ = ["vllm_python", "vllm_server"]
