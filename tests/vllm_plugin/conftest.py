"""The fixtures of stock vLLM servers."""

from tests.chat_servers import chat_gguf, vllm_chat_server
from tests.vllm_server import vllm_python, vllm_server

__all__ = ["chat_gguf", "vllm_chat_server", "vllm_python", "vllm_server"]
