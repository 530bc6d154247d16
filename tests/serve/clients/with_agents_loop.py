"""OpenAI's Agents SDK in a loop of many turns: each runs a program of the model in the sandbox.

The tool is a process, `python -m tests.serve.shell`, which gets one program a line and answers with its output.
"""

import asyncio
import json
import subprocess
import sys

from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI

url, model, command, question = sys.argv[1:]
set_tracing_disabled(True)
set_default_openai_client(AsyncOpenAI(base_url=url, api_key="none", max_retries=0))
shell = subprocess.Popen(json.loads(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
outputs = []


@function_tool
def run(program: str) -> str:
    """Run a Python program."""
    shell.stdin.write(json.dumps(program) + "\n")
    shell.stdin.flush()
    outputs.append(json.loads(shell.stdout.readline()))
    return outputs[-1]


agent = Agent(name="Assistant", model=model, tools=[run])
result = asyncio.run(Runner.run(agent, question, max_turns=40))
shell.stdin.close()
shell.wait()
usage = result.context_wrapper.usage
print(json.dumps({"answer": result.final_output, "outputs": outputs, "requests": usage.requests}))
