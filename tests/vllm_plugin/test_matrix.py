"""The table of releases in docs/vllm.md has the cells that were run, and says of all others that they were not."""

from __future__ import annotations

import json
from pathlib import Path

from tests.vllm_plugin.matrix import RESULTS, SERVERS

PAGE = Path(__file__).parents[2] / "docs" / "vllm.md"
FEATURES = [name for _, features in SERVERS for name in features]
RELEASES = ("0.26.0", "0.27.1", "0.28.0", "0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0")


def table() -> str:
    found = json.loads(RESULTS.read_text("utf-8"))
    rows = [[release, *(found.get(release, {}).get(name, "*never run*") for name in FEATURES)] for release in RELEASES]
    lines = [["vLLM", *FEATURES], ["---"] * (len(FEATURES) + 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("| --- ", "|---").replace("|--- |", "|---|")


def test_the_documented_matrix_is_the_one_that_was_run() -> None:
    documented = PAGE.read_text("utf-8").partition("<!-- matrix -->\n")[2].partition("\n<!-- /matrix -->")[0]
    assert documented == table()
    assert json.loads(RESULTS.read_text("utf-8")).keys() <= set(RELEASES)
