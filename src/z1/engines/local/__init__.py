"""The local engine: a transformers model in this process, with a KV cache and continuous batching."""
