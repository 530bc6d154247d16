"""Parts of the serving benchmark (`bench/serve.py`):

arms.py      the arms: the engine alone, z1's server, vLLM's server
model.py     the model and tokenizer of all arms, and an engine pinned to one core
server.py    z1's server in a process of its own
client.py    a client of many concurrent streams, with minimal overhead
"""
