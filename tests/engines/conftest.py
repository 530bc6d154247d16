"""The fixtures of real servers."""

from tests.chat_servers import chat_gguf, llama_server, vllm_chat_server
from tests.vllm_server import vllm_python, vllm_server

__all__ = ["chat_gguf", "llama_server", "vllm_chat_server", "vllm_python", "vllm_server"]
