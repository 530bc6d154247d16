"""The openai package: plain messages, the message as it came, its dump, and the helpers that parse and stream."""

import json
import sys

import openai

url, model, variant, mode, questions = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
is_streamed = mode == "streamed"


def ask(messages):
    """The reply's text, and what the user adds to the history."""
    body = {"model": model, "messages": messages}
    if variant == "plain" and is_streamed:
        text = ""
        for chunk in client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        return text, {"role": "assistant", "content": text}
    if is_streamed:
        with client.chat.completions.stream(**body) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        method = client.chat.completions.parse if variant == "helper" else client.chat.completions.create
        message = method(**body).choices[0].message
    if variant == "plain":
        return message.content, {"role": "assistant", "content": message.content}
    return message.content, message.model_dump() if variant == "dump" else message


messages, answers = [], []
for question in json.loads(questions):
    messages.append({"role": "user", "content": question})
    answer, echo = ask(messages)
    answers.append(answer)
    messages.append(echo)
print(json.dumps({"answers": answers, "version": f"openai {openai.__version__}"}))
