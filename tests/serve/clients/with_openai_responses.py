"""The openai package's Responses API: the output items of the last reply go back as they came."""

import json
import sys

import openai

url, model, variant, mode, questions = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
TOOL = {
    "type": "function",
    "name": "look",
    "description": "Look something up.",
    "parameters": {"type": "object", "properties": {"n": {"type": "string"}}, "required": ["n"]},
}
SETTINGS = {"store": False, "include": ["reasoning.encrypted_content"]} if variant == "signed" else {}


def ask(items):
    """The response to a conversation."""
    body = {"model": model, "input": items, "tools": [TOOL], **SETTINGS}
    if mode == "whole":
        return client.responses.create(**body)
    with client.responses.stream(**body) as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


items, answers = [], []
for question in json.loads(questions):
    items.append({"role": "user", "content": question})
    response = ask(items)
    while calls := [item for item in response.output if item.type == "function_call"]:
        items += response.output
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": "seen"} for call in calls]
        response = ask(items)
    items += response.output
    answers.append(response.output_text)
print(json.dumps({"answers": answers, "version": f"openai {openai.__version__}"}))
