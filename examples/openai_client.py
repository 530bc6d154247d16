"""The openai client against `z1 serve`: a budget per request, and the token account of the reply.

Start the server first: `z1 serve --port 8000`. The first argument is its address.
"""

import sys

from openai import OpenAI

address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
client = OpenAI(base_url=f"{address}/v1", api_key="none")
reply = client.chat.completions.create(
    model="z1-tiny",
    messages=[{"role": "user", "content": "a = 2\na = a + 5\nprint(a)"}],
    extra_body={"thinking_budget": 16},
)
print(reply.choices[0].message.content)
print(reply.usage.completion_tokens if reply.usage else None, "completion tokens")
