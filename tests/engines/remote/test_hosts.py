"""The table of chat hosts: found by name or by URL, and each can keep a budget in at most one way."""

from __future__ import annotations

import pytest

from z1.engines.remote.hosts import HOSTS, OTHER, find_host
from z1.errors import UserError


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "qwen"),
        ("https://api.deepseek.com/beta", "deepseek"),
        ("https://eu.openrouter.ai/api/v1", "openrouter"),
        ("https://notopenrouter.ai/v1", "other"),
        ("http://127.0.0.1:8000/v1", "other"),
    ],
)
def test_a_host_is_found_by_its_domain(url: str, name: str) -> None:
    assert find_host(url).name == name
    assert find_host(url, "vllm").name == "vllm"


def test_a_host_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(UserError, match="upstream_host: got abacus; choose one of vllm, sglang"):
        find_host("http://x/v1", "abacus")


def test_each_host_keeps_a_budget_in_one_way_but_the_last() -> None:
    for host in HOSTS:
        assert host.can_continue + host.keeps_budgets == (host is not OTHER), host.name
        if host.budget is not None:
            none, some = host.budget(0), host.budget(4096)
            assert none != some and "4096" in str(some) and "4096" not in str(none)
