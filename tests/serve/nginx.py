"""Debian's nginx in front of a server, with its default settings.

    python -m tests.serve.nginx 90

prints the seconds to the first content of a stream and to the end of a hidden thought of 90 seconds.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.serve.conftest import serving
from tests.serve.scripts import ASK, THOUGHT, scripted

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

SETTINGS = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on; tcp_nopush on; types_hash_max_size 2048; default_type application/octet-stream; gzip on;
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {url}; {more} }} }}
}}
"""
"""The settings of Debian's nginx.conf that matter here; the rest are places for its files."""


@contextmanager
def behind_nginx(url: str, more: str = "") -> Iterator[str]:
    """The URL of an nginx that passes requests to `url`; `more` are settings of its location."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "nginx.conf")
        settings.write_text(SETTINGS.format(folder=folder, port=port, url=url, more=more))
        command = [str(NGINX), "-p", folder, "-c", str(settings), "-e", f"{folder}/error.log"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as nginx:
            try:
                for _ in range(2000):
                    with socket.socket() as attempt:
                        if attempt.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.005)
                yield f"http://127.0.0.1:{port}"
            finally:
                nginx.terminate()


def stream(url: str, **fields: Any) -> Iterator[str]:
    """The lines of a streamed reply."""
    body = {**ASK, "stream": True, **fields}
    with (
        httpx.Client(base_url=url, timeout=600) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        yield from response.iter_lines()


def measure(seconds: float) -> tuple[float, float, str]:
    """Seconds to the first content, seconds of a hidden thought that lasts about `seconds`, and its last line."""
    with serving(scripted(token_delay_s=0.02)) as server, behind_nginx(server.url) as url:
        list(stream(url, thinking_budget=3))
        started = time.monotonic()
        next(line for line in stream(url) if '"content":"' in line and '"content":""' not in line)
        first = time.monotonic() - started
    delay = seconds / len(THOUGHT)
    with serving(scripted(token_delay_s=delay)) as server, behind_nginx(server.url) as url:
        started, hidden = time.monotonic(), {"separate_reasoning": True, "include_reasoning": False}
        lines = [line for line in stream(url, thinking_budget=len(THOUGHT) - 1, answer_tokens=3, **hidden) if line]
        return first, time.monotonic() - started, lines[-1]


if __name__ == "__main__":
    print(measure(float(sys.argv[1])))
