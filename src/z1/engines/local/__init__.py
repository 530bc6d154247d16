"""The local engine: a transformers model in this process, with a KV cache and continuous batching.

engine.py                LocalEngine: continuous batching, a scheduler of prefill and decode steps
kv_cache.py              KVCache: slot allocation with prefix reuse, and eviction
kv_store.py              KVStore: the tensors of the KV cache
memory.py                what a model needs in memory
decoder.py               Decoder: the forward pass of Qwen2, Qwen3 and Llama
products.py              matrix products, and how weights are stored for them
transformers_decoder.py  TransformersDecoder: the forward pass of other decoders, by transformers' code
weights.py               Weights: weights read layer by layer, without transformers' model classes
sampler.py               the sampler: greedy, temperature, top-k, top-p; log-probabilities
worker.py                SubprocessEngine: any engine in a worker process
"""
