"""What do the arms of `bench/serve.py` consist of?

model.py     the model and the tokenizer that all arms have, and the engine that is pinned to one core
server.py    our server in a process of its own
client.py    many streams at once, with as little work as possible
"""
