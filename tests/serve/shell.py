"""A tool for agents: runs programs in the sandbox, each a JSON string on a line of standard input.

python -m tests.serve.shell
"""

from __future__ import annotations

import json
import sys

from z1.sandbox.sandbox import Job, Sandbox


def main() -> None:
    """Print the output of each program as a JSON string on a line."""
    with Sandbox() as sandbox:
        for line in sys.stdin:
            outcome = sandbox.run(Job("program", json.loads(line)))
            print(json.dumps((outcome.stdout + outcome.stderr).decode("utf-8", "replace")), flush=True)


if __name__ == "__main__":
    main()
