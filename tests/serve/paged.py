"""A server with the chat page and a slow scripted model: python -m tests.serve.paged"""

from __future__ import annotations

from z1.engines.scripted import Script, ScriptedEngine
from z1.profiles import HINT, get_profile
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.app import make_app
from z1.serve.chat_ui import mount
from z1.serve.runtime.service import ChatService, ServerLimits
from z1.serve.server import Address, run

QUESTION = "a = 1\nif a:\n    print(7)"
THOUGHT = "so\n  we think " + "and think " * 600
SCRIPT = Script(
    {QUESTION: f"{THOUGHT}\n\nThe final answer is \\boxed{{7}}."},
    {QUESTION: "8}."},
    HINT + get_profile("z1-tiny").answer_prefix,
)

if __name__ == "__main__":
    service = ChatService(
        ScriptedEngine(SCRIPT, max_model_len=16384, token_delay_s=0.01),
        RequestDefaults(temperature=0.0),
        ServerLimits(),
    )
    run(
        mount(make_app(service), service.served_model_names[0], service.count_tokens, 8192),
        Address(port=0),
        lambda url: print(url, flush=True),
    )
