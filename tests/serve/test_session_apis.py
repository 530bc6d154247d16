"""One session over the turns of a tool loop, in all three APIs: the ledger is what the replies say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serve.test_tools import PATHS, TAG, behind, body
from tests.serve.tool_host import THOUGHT, ToolHost

TURNS, BUDGET = 20, 300
WHOLE = len(THOUGHT) + TAG


def chat_turn(reply: dict[str, Any]) -> tuple[list[Any], dict[str, int]]:
    """The messages that follow a reply, and its tokens of thought and in all."""
    (choice,), usage = reply["choices"], reply["usage"]
    message, details = choice["message"], usage["completion_tokens_details"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in message.get("tool_calls", ())]
    counts = {"reasoning": details["reasoning_tokens"], "all": usage["completion_tokens"]}
    return ([message, *results] if results else []), counts


def responses_turn(reply: dict[str, Any]) -> tuple[list[Any], dict[str, int]]:
    usage, calls = reply["usage"], [item for item in reply["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "x"} for call in calls]
    counts = {"reasoning": usage["output_tokens_details"]["reasoning_tokens"], "all": usage["output_tokens"]}
    return ([*reply["output"], *results] if calls else []), counts


def messages_turn(reply: dict[str, Any]) -> tuple[list[Any], dict[str, int]]:
    calls = [block for block in reply["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "x"} for call in calls]
    following = [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": results}]
    return (following if calls else []), {"all": reply["usage"]["output_tokens"]}


NEXT = {"chat": chat_turn, "responses": responses_turn, "messages": messages_turn}


@pytest.mark.parametrize("api", PATHS)
def test_a_session_lasts_over_20_turns_of_a_tool_loop(api: str) -> None:
    """Turns think until the budget is used up, the last of them in part; then they call tools without a thought."""
    with behind(ToolHost(turns=TURNS)) as served:
        messages: list[Any] = [{"role": "user", "content": "why?"}]
        found: list[dict[str, int]] = []
        while True:
            headers = {"X-Z1-Session": f"loop; thinking_budget={BUDGET}"}
            request = body(api, messages, thinking_budget=400)
            reply = served.client.post(PATHS[api], json=request, headers=headers)
            assert reply.status_code == 200, reply.text
            more, counts = NEXT[api](reply.json())
            found.append(counts)
            messages += more
            if not more:
                break
        ledger = served.get("/v1/sessions/loop").json()
    turns = ledger["turns"]
    assert len(found) == len(turns) == TURNS + 1
    thoughts = [turn["thinking_tokens"] for turn in turns]
    full, rest = divmod(BUDGET, WHOLE)
    assert thoughts == [WHOLE] * full + [rest] + [0] * (TURNS - full)
    assert (ledger["spent"], ledger["left"], ledger["held"]) == (BUDGET, 0, 0)
    assert [turn["reason"] for turn in turns] == ["natural"] * full + ["session"] * (TURNS + 1 - full)
    for counts, turn in zip(found, turns, strict=True):
        assert turn["thinking_tokens"] + turn["hint_tokens"] + turn["answer_tokens"] == counts["all"]
        assert counts.get("reasoning", turn["thinking_tokens"] + turn["hint_tokens"]) == (
            turn["thinking_tokens"] + turn["hint_tokens"]
        )


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_used_up_session_is_refused_in_the_errors_of_the_api(api: str, stream: bool) -> None:
    with behind(ToolHost()) as served:
        session = {"id": "s", "thinking_budget": 5, "on_exhausted": "refuse"}
        asked = body(api, [{"role": "user", "content": "why?"}], session=session, thinking_budget=400)
        assert served.post(PATHS[api], **asked).status_code == 200
        refused = served.post(PATHS[api], **asked, stream=stream)
        assert refused.status_code == 403 and "thinking tokens are used up" in refused.json()["error"]["message"]
        assert served.get("/v1/sessions/s").json()["spent"] == 5
        (row,) = served.get("/v1/usage").json()["data"]
        assert (row["replies"], row["thinking_tokens"]) == (1, 5)
