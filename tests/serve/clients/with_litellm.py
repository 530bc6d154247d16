"""litellm: the message as it came, whole or built from the chunks; its dump; and as a model of a vLLM server."""

import json
import sys
from importlib.metadata import version

import litellm

url, model, variant, mode, questions = sys.argv[1:]
provider = "hosted_vllm" if variant == "vllm" else "openai"
settings = {"model": f"{provider}/{model}", "api_base": url, "api_key": "none", "num_retries": 0}

messages, answers = [], []
for question in json.loads(questions):
    messages.append({"role": "user", "content": question})
    reply = litellm.completion(**settings, messages=messages, stream=mode == "streamed")
    if mode == "streamed":
        reply = litellm.stream_chunk_builder(list(reply), messages=messages)
    message = reply.choices[0].message
    answers.append(message.content)
    messages.append(message.model_dump() if variant == "dump" else message)
print(json.dumps({"answers": answers, "version": f"litellm {version('litellm')}"}))
