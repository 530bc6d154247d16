"""Streams behind nginx arrive as they are generated, and outlive a thought that shows nothing."""

from __future__ import annotations

import pytest

from tests.serve.conftest import serving
from tests.serve.nginx import NGINX, behind_nginx, stream
from tests.serve.scripts import scripted
from z1.serve.runtime import response

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")


def test_content_passes_nginx_while_the_reply_is_still_running() -> None:
    """LostRuins/koboldcpp 1168, BerriAI/litellm 29557: nginx collects a stream that does not ask it not to."""
    with serving(scripted(token_delay_s=0.01)) as server, behind_nginx(server.url) as url:
        lines = stream(url)
        first = next(line for line in lines if '"content":"' in line and '"content":""' not in line)
        assert server.service.running_replies == 1, first
        assert list(lines)[-2] == "data: [DONE]"
        assert server.idle()


def test_a_hidden_thought_outlives_the_timeout_of_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    """vllm 47647, BerriAI/litellm 34819: a stream that says nothing is cut. Times are a sixtieth of the real ones."""
    monkeypatch.setattr(response, "COMMENT_INTERVAL", 10 / 60)
    fields = {"thinking_budget": 30, "separate_reasoning": True, "include_reasoning": False}
    with serving(scripted(token_delay_s=0.1)) as server, behind_nginx(server.url, "proxy_read_timeout 1s;") as url:
        lines = list(stream(url, **fields))
        assert any(line.startswith(":") for line in lines)
        assert lines[-2] == "data: [DONE]" and "error" not in "".join(lines)
