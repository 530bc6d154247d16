"""Is nobody let in without the key, nor with too much?"""

from __future__ import annotations

from tests.serve.conftest import serving
from tests.serve.scripts import ASK, scripted
from z1.serve.desk import Limits


def test_a_key_is_asked_for_everywhere_but_at_health() -> None:
    with serving(scripted(), key="opensesame") as one:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer opensesame2"}):
            reply = one.client.post("/v1/chat/completions", json=ASK, headers=headers)
            assert (reply.status_code, reply.json()["error"]["type"]) == (401, "authentication_error")
        assert one.get("/metrics").status_code == 401
        assert one.get("/openapi.json").status_code == 401
        assert one.get("/health").status_code == 200
        right = {"Authorization": "Bearer opensesame"}
        assert one.client.post("/v1/chat/completions", json=ASK, headers=right).status_code == 200


def test_bodies_have_a_limit() -> None:
    with serving(scripted(), limits=Limits(body=1000)) as one:
        assert one.post(**ASK).status_code == 200
        reply = one.post(**ASK, user="x" * 1000)
        assert reply.status_code == 413
        assert reply.json()["error"]["message"]
        sent = one.client.post(
            "/v1/chat/completions", content=iter([b"x" * 600] * 3), headers={"content-type": "application/json"}
        )
        assert sent.status_code == 413
