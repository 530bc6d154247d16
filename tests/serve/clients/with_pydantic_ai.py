"""pydantic-ai: an agent with the message history of the last run."""

import asyncio
import json
import sys
from importlib.metadata import version

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

url, model, variant, mode, questions = sys.argv[1:]
agent = Agent(OpenAIChatModel(model, provider=OpenAIProvider(base_url=url, api_key="none")))


async def talk():
    """The answers of a conversation."""
    history, answers = [], []
    for question in json.loads(questions):
        if mode == "streamed":
            async with agent.run_stream(question, message_history=history) as run:
                answers.append(await run.get_output())
        else:
            run = await agent.run(question, message_history=history)
            answers.append(run.output)
        history = run.all_messages()
    return answers


answers = asyncio.run(talk())
print(json.dumps({"answers": answers, "version": f"pydantic-ai {version('pydantic-ai-slim')}"}))
