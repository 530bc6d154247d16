"""The anthropic package: the content blocks of the last reply go back as they came."""

import json
import sys

import anthropic

url, model, variant, mode, questions = sys.argv[1:]
client = anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="none", max_retries=0)
TOOL = {
    "name": "look",
    "description": "Look something up.",
    "input_schema": {"type": "object", "properties": {"n": {"type": "string"}}, "required": ["n"]},
}
THINKING = {"type": "enabled", "budget_tokens": 1024} if variant == "budget" else {"type": "adaptive"}


def ask(messages):
    """The reply to a conversation, whose tokens were counted before."""
    body = {"model": model, "messages": messages, "tools": [TOOL], "thinking": THINKING}
    counted = client.messages.count_tokens(**body).input_tokens
    if mode == "whole":
        reply = client.messages.create(**body, max_tokens=4000)
    else:
        with client.messages.stream(**body, max_tokens=4000) as stream:
            for _ in stream:
                pass
            reply = stream.get_final_message()
    assert reply.usage.input_tokens == counted
    return reply


messages, answers = [], []
for question in json.loads(questions):
    messages.append({"role": "user", "content": question})
    reply = ask(messages)
    while reply.stop_reason == "tool_use":
        calls = [block for block in reply.content if block.type == "tool_use"]
        messages.append({"role": "assistant", "content": reply.content})
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "seen"} for call in calls]
        messages.append({"role": "user", "content": results})
        reply = ask(messages)
    messages.append({"role": "assistant", "content": reply.content})
    answers.append("".join(block.text for block in reply.content if block.type == "text"))
print(json.dumps({"answers": answers, "version": f"anthropic {anthropic.__version__}"}))
