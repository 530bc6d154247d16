"""OpenAI's Agents SDK with its defaults, which are the Responses API, and a tool."""

import asyncio
import json
import sys
from importlib.metadata import version

from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI

url, model, variant, mode, questions = sys.argv[1:]
set_tracing_disabled(True)
set_default_openai_client(AsyncOpenAI(base_url=url, api_key="none", max_retries=0))


@function_tool
def look(n: str) -> str:
    """Look something up."""
    return "seen"


agent = Agent(name="Assistant", model=model, tools=[look])


async def talk():
    """The answers of a conversation."""
    history, answers = [], []
    for question in json.loads(questions):
        history = [*history, {"role": "user", "content": question}]
        if mode == "streamed":
            run = Runner.run_streamed(agent, history)
            async for _ in run.stream_events():
                pass
        else:
            run = await Runner.run(agent, history)
        answers.append(run.final_output)
        history = run.to_input_list()
    return answers


answers = asyncio.run(talk())
print(json.dumps({"answers": answers, "version": f"openai-agents {version('openai-agents')}"}))
