"""A server with the chat page and a slow scripted model: python -m tests.serve.paged [KEY]"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault
from z1.models import EXAMPLES
from z1.profiles import HINT, get_profile
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.app import make_app
from z1.serve.chat_ui import mount
from z1.serve.runtime.service import ChatService, ServerLimits
from z1.serve.server import Address, run

QUESTION = "a = 1\nif a:\n    print(7)"
THOUGHT = "so\n  we think " + "and think " * 600

MARKDOWN = """Some **bold** text, `code` and $x^2 + \\frac{1}{2}$:

```python
print("<b>7</b>")
```

$$\\sum_{i=1}^{n} i$$
"""

ATTACKS = {
    "attack": """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">
<a href="javascript:window.hacked = 3">press</a> [press](javascript:window.hacked=4) ![p](https://evil.example/p.png)
<iframe src="https://evil.example"></iframe><form action="/"><input name="x"></form>
<div style="position:fixed;inset:0" onclick="window.hacked=5" id="send">cover</div>""",
    "assault": """**x**<svg><script>window.hacked=6</script></svg>
<math><mtext><img src=x onerror="window.hacked=7"></mtext></math>
$\\href{javascript:window.hacked=8}{x}$ $<img src=x onerror=window.hacked=9>$ $\\htmlStyle{position:fixed}{x}$""",
}
"""Replies of a model that would run code in the reader's browser; an answer has at most 512 tokens."""

REPLIES = {
    EXAMPLES[0].strip(): "\n\nThe final answer is \\boxed{7}.",
    QUESTION: f"{THOUGHT}\n\nThe final answer is \\boxed{{7}}.",
    "show": f"think of $a$\n\nThe final answer is \\boxed{{1}}.\n\n{MARKDOWN}",
    **{
        name: f"think $a$ <img src=x onerror='window.hacked=10'>\n\nThe final answer is \\boxed{{1}}.\n\n{text}"
        for name, text in ATTACKS.items()
    },
    "שלום 🙂": "חושב\n\nThe final answer is \\boxed{🙂}.",
    **{f"turn {at}": f"a\n\nThe final answer is \\boxed{{{at}}}." for at in range(10)},
}

CLOSE = HINT + get_profile("z1-tiny").answer_prefix


def next_token(context: Sequence[int]) -> int:
    """The next character of the reply to the last prompt; after the hint, of "8}."."""
    text = "".join(map(chr, context))
    prompt = max(REPLIES, key=text.rfind)
    if prompt not in text:
        raise EngineFault("the script has no such prompt")
    so_far, hint, answer = text[text.rfind(prompt) + len(prompt) :].partition(CLOSE)
    whole, so_far = ("8}.", answer) if hint else (REPLIES[prompt], so_far)
    return ord(whole[len(so_far)]) if len(so_far) < len(whole) else 3


if __name__ == "__main__":
    key = sys.argv[1] if len(sys.argv) > 1 else None
    engine = ScriptedEngine(next_token, max_model_len=16384, token_delay_s=0.005)
    service = ChatService(engine, RequestDefaults(), ServerLimits())
    app = make_app(service, key)
    mount(app, service)
    run(app, Address(port=0), lambda url: print(url, flush=True))
