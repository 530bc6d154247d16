"""Engines on other servers: sessions on any server with OpenAI's API.

engine.py        the engine: what the upstream can do, and which sessions it opens
completions.py   sessions on /v1/completions, with token ids or text
chat.py          sessions on /v1/chat/completions, for hosts that offer nothing else
hosts.py         table of chat hosts: their budget field, and how they continue a thought
text_tokens.py   text that arrives in pieces, as tokens of the model's tokenizer
replies.py       what upstreams send: events, choices, finish reasons
connection.py    HTTP: requests, server-sent events, errors
redaction.py     words of an upstream without keys, in one short line
"""

from z1.engines.remote.connection import RemoteResponse, Upstream
from z1.engines.remote.engine import RemoteEngine, load

__all__ = ["RemoteEngine", "RemoteResponse", "Upstream", "load"]
