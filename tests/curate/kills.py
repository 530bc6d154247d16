"""Kill test of the teacher client: no reply is lost, and the cost is at most the requests in flight.

python -m tests.curate.kills 50      kill -9 at random, 50 times, and compare the log with the teacher's record
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests import command_line
from tests.curate.scripted_teacher import FAULTS, SAYS_THE_TEXT, Teacher, faulty, plan, serving, text
from z1.models import shipped

CONCURRENCY = 8


def events(log: Path) -> list[dict[str, Any]]:
    """Events of the complete lines of a log."""
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]


def run_once(command: list[str], folder: Path, log: Path, lines: int) -> bool:
    """Run one process and kill it after `lines` lines; whether it was killed."""
    size = log.read_bytes().count(b"\n") if log.exists() else 0
    with subprocess.Popen(command, cwd=folder, env=command_line.environment(), stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            if log.exists() and log.read_bytes().count(b"\n") >= size + lines:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        status = process.wait()
        assert status in (0, -signal.SIGKILL), process.stderr.read() if process.stderr else ""
    return status != 0


def lost(log: Path, begin: int) -> int:
    """Number of requests from event `begin` on without a reply or a fault."""
    counts = Counter(event["event"] == "request" for event in events(log)[begin:])
    return counts[True] - counts[False]


def run(folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Request replies from a faulty teacher, killed `kills` times; raises AssertionError if a reply is lost,
    duplicated or requested again.
    """
    rng = random.Random(seed)
    questions = [f"question {number}" for number in range(40 + 12 * kills)]
    with serving(Teacher(faulty, wait_s=0.005, hang_s=6.0)) as teacher:
        tokens = f'[tokens]\ntokenizer = "{shipped()}"\n'  # some replies have no usage
        levels = f'concurrency = {CONCURRENCY}\n[teacher.levels]\nshort = "Short: {{question}}"\n'
        recipe, rows = plan(teacher.url, questions, levels)
        (folder / "plan.toml").write_text(recipe.replace("timeout_s = 20.0", "timeout_s = 5.0") + tokens)
        (folder / "problems.jsonl").write_text(rows)
        log = folder / "runs" / "asked" / "replies.jsonl"
        command = [sys.executable, "-m", "z1.cli.main", "curate", "plan.toml"]
        in_flight = []
        for _ in range(kills):
            begin = len(events(log))
            assert run_once(command, folder, log, rng.randint(1, 30)), "it ended before it was killed"
            in_flight.append(lost(log, begin))
        assert not run_once(command, folder, log, sys.maxsize)
    wanted = {f"Short: {question}" for question in questions}
    check(events(log), teacher, wanted)
    assert max(in_flight, default=0) <= CONCURRENCY, in_flight
    again = len(teacher.sent) - len(wanted)
    assert again <= sum(in_flight), "paid twice without a kill"
    seen = {name: teacher.did[name] for name in (*FAULTS, *SAYS_THE_TEXT)}
    return {"kills": kills, "replies": len(wanted), "sent_again": again, "in_flight": sum(in_flight), "did": seen}


def check(found: list[dict[str, Any]], teacher: Teacher, wanted: set[str]) -> None:
    """Check that every reply is logged once, equals the teacher's, is not requested again; the cost is right."""
    replies = Counter(event["key"] for event in found if event["event"] == "reply")
    assert set(replies.values()) == {1}
    assert sorted(event["text"] for event in found if event["event"] == "reply") == sorted(map(text, wanted))
    done: set[str] = set()
    for event in found:
        assert event["key"] not in done, "requested again"
        if event["event"] == "reply":
            done.add(event["key"])
    asked = sum(event["event"] == "request" for event in found)
    unpaid = sum(event["event"] == "fault" and not event["paid"] for event in found)
    assert teacher.asked.total() <= asked
    assert len(teacher.sent) <= asked - unpaid
    reasons = {event["reason"] for event in found if event["event"] == "fault"}
    assert reasons >= {"status 500", "status 429", "broken reply", "connection"}, reasons


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(run(Path(name), int(sys.argv[1]))))
