"""LangChain: the message as it came, or the sum of its chunks."""

import functools
import json
import operator
import sys
from importlib.metadata import version

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

url, model, variant, mode, questions = sys.argv[1:]
chat = ChatOpenAI(base_url=url, api_key="none", model=model, max_retries=0)

messages, answers = [], []
for question in json.loads(questions):
    messages.append(HumanMessage(question, name="user", id=f"run-{len(messages)}"))
    is_streamed = mode == "streamed"
    message = functools.reduce(operator.add, chat.stream(messages)) if is_streamed else chat.invoke(messages)
    answers.append(message.content)
    messages.append(message)
print(json.dumps({"answers": answers, "version": f"langchain-openai {version('langchain-openai')}"}))
