"""The openai package through a LiteLLM proxy: the message as it came."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

import openai

url, model, variant, mode, questions = sys.argv[1:]


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_ready(proxy, address):
    """Wait until the proxy answers."""
    for _ in range(600):
        try:
            return urllib.request.urlopen(address + "/health/liveliness", timeout=5).read()
        except OSError:
            if proxy.poll() is not None:
                sys.exit(f"the proxy ended with status {proxy.returncode}")
            time.sleep(0.2)
    sys.exit("the proxy did not start")


def talk(client):
    """The answers of a conversation."""
    messages, answers = [], []
    for question in json.loads(questions):
        messages.append({"role": "user", "content": question})
        body = {"model": model, "messages": messages}
        if mode == "streamed":
            with client.chat.completions.stream(**body) as stream:
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(**body).choices[0].message
        answers.append(message.content)
        messages.append(message)
    return answers


key = "sk-" + secrets.token_hex(32)
upstream = {"model": f"openai/{model}", "api_base": url, "api_key": "none"}
config = {"model_list": [{"model_name": model, "litellm_params": upstream}], "litellm_settings": {"num_retries": 0}}
config["general_settings"] = {"master_key": key}
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "config.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    command = [str(Path(sys.executable).parent / "litellm"), "--config", str(path)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    log = (Path(folder) / "log").open("w")
    proxy = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_ready(proxy, address)
        answers = talk(openai.OpenAI(base_url=address + "/v1", api_key=key, max_retries=0))
    finally:
        if proxy.poll() is None:
            os.killpg(proxy.pid, signal.SIGTERM)
        proxy.wait(30)
print(json.dumps({"answers": answers, "version": f"litellm proxy {version('litellm')}"}))
