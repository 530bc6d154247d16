"""LangChain with tools: ChatOpenAI on the Responses API or chat completions, and ChatAnthropic."""

import json
import sys
from importlib.metadata import version

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

url, model, variant, mode, questions = sys.argv[1:]


@tool
def look(n: str) -> str:
    """Look something up."""
    return "seen"


if variant == "anthropic":
    from langchain_anthropic import ChatAnthropic

    package = "langchain-anthropic"
    chat = ChatAnthropic(
        model=model, base_url=url.removesuffix("/v1"), api_key="none", max_retries=0, max_tokens=4000,
        thinking={"type": "enabled", "budget_tokens": 1024},
    )  # fmt: skip
else:
    from langchain_openai import ChatOpenAI

    package = "langchain-openai"
    settings = {"temperature": 0} if variant == "chat" else {"use_responses_api": True}
    chat = ChatOpenAI(model=model, base_url=url, api_key="none", max_retries=0, **settings)
chat = chat.bind_tools([look])


def ask(messages):
    """The reply to a conversation; the sum of its chunks if it is streamed."""
    if mode == "whole":
        return chat.invoke(messages)
    reply = None
    for chunk in chat.stream(messages):
        reply = chunk if reply is None else reply + chunk
    return reply


messages, answers = [], []
for question in json.loads(questions):
    messages.append(HumanMessage(question))
    messages.append(ask(messages))
    while calls := messages[-1].tool_calls:
        messages += [ToolMessage(look.invoke(call["args"]), tool_call_id=call["id"]) for call in calls]
        messages.append(ask(messages))
    text = messages[-1].text
    answers.append(text if isinstance(text, str) else text())
print(json.dumps({"answers": answers, "version": f"{package} {version(package)}"}))
