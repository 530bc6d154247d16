"""Hostile replies of an upstream are errors in one line, or replies; nothing is lost and nothing keeps running."""

from __future__ import annotations

import pytest

from tests.serve import hostile
from tests.serve.conftest import serving


@pytest.mark.parametrize("count", [2 * len(hostile.KINDS), pytest.param(500, marks=pytest.mark.slow)])
def test_hostile_upstreams_lose_no_reply_and_cause_no_500(count: int) -> None:
    """openai/openai-dotnet 267, vibrantlabsai/ragas 1548, TGI 2344, AndraxDev/speak-gpt 162: other words."""
    faults, statuses, open_connections, idle = hostile.run(count)
    assert not faults
    assert statuses[200] > count / 3 and not statuses[500]
    assert (open_connections, idle) == (0, True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_status_code_and_retry_after_of_an_upstream_reach_the_client(status: int, stream: bool) -> None:
    """BerriAI/litellm 23901, scalaone/azure-openai-proxy 7: an upstream's 429 is hidden, so nobody waits."""
    kind = list(hostile.KINDS).index(f"status {status}")
    with hostile.hostile_upstream() as (_, url), serving(hostile.engine(url)) as server:
        seen, _, error, headers = hostile.ask(server, kind, stream=stream)
        assert (seen, headers["retry-after"]) == (502 if status == 500 else status, "7")
        assert '"code": "made_up"' in error and '"type": "made_up"' in error
        assert f"the upstream answered {status}: no, with key [removed]" in error


def test_a_key_goes_to_its_own_host_only_and_no_redirect_is_followed() -> None:
    kind = list(hostile.KINDS).index("a redirect elsewhere")
    with hostile.hostile_upstream() as (upstream, url), serving(hostile.engine(url)) as server:
        status, _, error, _ = hostile.ask(server, kind, stream=True)
        assert (status, len(upstream.asked)) == (502, 2)
        assert all(b"authorization: Bearer " + hostile.KEY.encode() in head for head in upstream.asked)
        assert "it redirects to http://127.0.0.1:9/v1/completions; name that server as the upstream" in error
