"""mini-swe-agent with its own settings and shell: a loop of many turns, each of which runs a command of the model."""

import json
import sys
from pathlib import Path

import minisweagent
import yaml
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment
from minisweagent.models.litellm_model import LitellmModel

url, model, folder, question = sys.argv[1:]
settings = yaml.safe_load((Path(minisweagent.__file__).parent / "config" / "mini.yaml").read_text())
kwargs = {**settings["model"].pop("model_kwargs"), "api_base": url, "api_key": "none"}
llm = LitellmModel(
    model_name=f"openai/{model}", model_kwargs=kwargs, cost_tracking="ignore_errors", **settings["model"]
)
agent = DefaultAgent(llm, LocalEnvironment(cwd=folder, **settings["environment"]), **settings["agent"])
result = agent.run(question)
results = [message["extra"]["raw_output"] for message in agent.messages if message["role"] == "tool"]
print(json.dumps({"answer": result["exit_status"], "outputs": results, "requests": agent.n_calls}))
