"""Early exits of a calibrated policy, served live: what they change, what they save in tokens and in time.

long-tiny and programs of the synthetic task. The parts, each of which keeps its results in FOLDER:

    bench/early_exit.py record FOLDER      sweeps on easy and hard programs, for calibration and for the streams
    bench/early_exit.py live FOLDER        a policy that is calibrated on them, on 2,000 new programs in z1's server
    bench/early_exit.py time FOLDER        wall time at 1 and 64 streams, closed loop and fixed arrival rate; needs the
                                           machine for itself
    bench/early_exit.py shift FOLDER       1,000 streams drawn from recorded replies, with and without a shift to hard
                                           programs, watched by the server's monitor
    bench/early_exit.py write FOLDER       writes bench/results/early_exit.json

Arms of `time`: whole thoughts; the policy with its probes; and the exit alone, as thinking budgets at which the policy
ended each thought. *Tokens* are those that the model sampled for the reply; those of probes are named apart.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record
from bench.exit_streams import simulate
from z1 import models, runs
from z1.benchmarks import builtin, get_benchmark
from z1.cli.exit_calibration import policy_file
from z1.cli.serve import read_exit_policy
from z1.evaluate import PROBLEMS, Sweep, evaluate, intervals, read_attempts
from z1.evaluate.exit_bounds import RiskLimit, policy_bound
from z1.evaluate.exit_savings import probed_thoughts, swept_thoughts
from z1.exit_policy import CalibratedPolicy
from z1.grading.equivalence import canonical_answer
from z1.records import Problem

MODEL = "long-tiny"
LIMIT = RiskLimit("changed_answer", 0.05, 0.95)
POLICY, EVERY, STEP, LARGEST = "combined", 32, 16, 512
CALIBRATE, TEST, HARD = (2600, 101), (2800, 303), (1000, 101)
"""Programs and seed of each set; those of the test set that were used before are left out."""

TIMES = ("mean_s", "p50_s", "p99_s", "seconds", "cpu_s")

LIVE = 1000
"""Programs that are answered live in both arms."""


def new_problems(folder: Path) -> list[Problem]:
    """Programs of the test set, none of which is among those of calibration."""
    file = folder / "test.jsonl"
    if not file.exists():
        known = {problem["question"] for problem in runs.read_lines(folder / "easy" / PROBLEMS, dict)}
        found = [one for one in builtin.load(*TEST) if one.question not in known]
        runs.write_lines(file, (problem.as_json() for problem in found))
    return list(runs.read_lines(file, Problem.from_json))


def record_sweeps(folder: Path) -> None:
    """Sweep both sets of programs over a grid of budgets."""
    from z1.engines.local.engine import LocalSettings, load

    for name, found in (("easy", builtin.load(*CALIBRATE)), ("hard", builtin.load_longer(*HARD))):
        engine = load(Path(models.__file__).parent / MODEL, LocalSettings(max_num_seqs=96, max_model_len=1024))
        sweep = Sweep(engine, get_benchmark("programs"), tuple(range(STEP, LARGEST + 1, STEP)), 24)
        (folder / name).mkdir(parents=True, exist_ok=True)

        async def run(sweep: Sweep = sweep, found: list[Problem] = found, to: Path = folder / name) -> None:
            async with sweep.engine:
                await evaluate(sweep, found, to, 48, lambda _: None)

        asyncio.run(run())


def calibrate(folder: Path) -> CalibratedPolicy:
    """The policy, as `z1 calibrate --exit-policy combined --max-changed-answer 0.05 --probe-interval 32` has it."""
    file = folder / "exit-policy.json"
    if not file.exists():
        every, thoughts = swept_thoughts(read_attempts(folder / "easy").values(), EVERY)
        bound = policy_bound(POLICY, probed_thoughts(thoughts, LIMIT.risk), LIMIT)
        names = {"run": "bench/early_exit.py", "model": MODEL, "benchmark": "programs"}
        policy = policy_file(bound, LIMIT, every, thoughts, names)
        assert policy is not None, "no exit is shown to keep the bound"
        runs.write_json(file, policy.as_json())
        runs.write_json(folder / "calibration.json", bound.as_json())
    return read_exit_policy(file)


def serve(file: str, share: str) -> None:
    """z1's server in a process of its own; prints its URL."""
    from bench.early_exit import make_engine
    from z1.engines.local.worker import SubprocessEngine
    from z1.serve.api.request_parser import RequestDefaults
    from z1.serve.app import make_app
    from z1.serve.runtime.service import ChatService, ServerLimits
    from z1.serve.server import Address, run

    exits = None if file == "none" else read_exit_policy(Path(file))
    limits = ServerLimits(max_concurrent_requests=512, full_thought_share=float(share))
    service = ChatService(SubprocessEngine(make_engine), RequestDefaults(temperature=0.0), limits, None, exits)
    run(make_app(service), Address(port=0, shutdown_timeout=1), lambda url: print(url, flush=True))


def make_engine() -> Any:
    """The engine of the server's worker."""
    from z1.engines.local.engine import LocalSettings, load

    return load(Path(models.__file__).parent / MODEL, LocalSettings(max_num_seqs=160, max_model_len=1024))


@contextmanager
def server(policy: Path | None, share: float = 0.0) -> Iterator[tuple[str, int]]:
    """The URL and the process of a server with the policy."""
    command = [sys.executable, __file__, "serve", str(policy or "none"), str(share)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield next(line.strip() for line in process.stdout if line.startswith("http")), process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """The processor time of a process and its children so far (Linux)."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text("utf-8").rpartition(")")[2].split()
            if pid in (int(path.parent.name), int(fields[1])):
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class Reply(dict[str, Any]):
    """The answer, the `budget` object and the seconds of one request."""


async def ask(client: Any, problem: Problem, budget: int) -> Reply:
    """One request, and how long it took."""
    messages = get_benchmark("programs").messages(problem)
    start = time.perf_counter()
    body = {"model": MODEL, "messages": messages, "thinking_budget": budget}
    import httpx

    found: dict[str, Any] = {}
    for attempt in range(5):
        try:
            found = (await client.post("/v1/chat/completions", json=body)).json()
        except httpx.TransportError:  # an idle connection that the server has closed
            continue
        if "choices" in found:
            choice = found["choices"][0]
            seconds = time.perf_counter() - start
            return Reply(text=choice["message"]["content"], seconds=seconds, faults=attempt, **choice["budget"])
    raise SystemExit(f"no reply: {found}")


async def closed_loop(url: str, asked: Sequence[tuple[Problem, int]], streams: int) -> tuple[list[Reply], float]:
    """All requests, `streams` at a time; the replies in order, and the seconds in all."""
    import httpx

    limits = httpx.Limits(max_connections=streams + 1)
    replies: dict[int, Reply] = {}
    waiting = list(enumerate(asked))[::-1]
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:

        async def stream() -> None:
            while waiting:
                number, (problem, budget) = waiting.pop()
                replies[number] = await ask(client, problem, budget)

        start = time.perf_counter()
        await asyncio.gather(*(stream() for _ in range(streams)))
        return [replies[number] for number in range(len(asked))], time.perf_counter() - start


async def arrivals(url: str, asked: Sequence[tuple[Problem, int]], rate: float) -> tuple[list[Reply], float]:
    """The requests at random times, the same in every arm, `rate` a second in the mean."""
    import httpx

    rng = random.Random(1)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=httpx.Limits(max_connections=None)) as client:
        start, tasks = time.perf_counter(), []
        for problem, budget in asked:
            tasks.append(asyncio.create_task(ask(client, problem, budget)))
            await asyncio.sleep(rng.expovariate(rate))
        return list(await asyncio.gather(*tasks)), time.perf_counter() - start


def answer_of(reply: Reply) -> str:
    """The canonical answer, from the hint or the answer on."""
    offsets = reply.get("offsets") or {}
    starts = [value for value in (offsets.get("hint"), offsets.get("answer")) if value is not None]
    return canonical_answer(reply["text"][min(starts, default=0) :])


def sampled(reply: Reply) -> int:
    """The tokens that the model sampled for the reply itself."""
    return int(reply["used"] + (reply["answer_tokens"] or 0) + 1)


def live(folder: Path) -> dict[str, Any]:
    """The policy on new problems in the server, with the monitor, beside whole thoughts on the same problems."""
    calibrate(folder)
    test = new_problems(folder)[:LIVE]
    asked = [(problem, -1) for problem in test]
    found: dict[str, list[Reply]] = {}
    for name, file, share in (("whole", None, 0.0), ("policy", folder / "exit-policy.json", 0.05)):
        with server(file, share) as (url, _):
            found[name], _ = asyncio.run(closed_loop(url, asked, 64))
            import httpx

            metrics = [line for line in httpx.get(f"{url}/metrics").text.splitlines() if line.startswith("z1_exit")]
    whole, policy = found["whole"], found["policy"]
    runs.write_json(folder / "ends.json", {p.id: r["used"] for p, r in zip(test, policy, strict=True)})
    pairs = list(zip(test, whole, policy, strict=True))
    right = [(answer_of(a) == f"box {canonical(p)}", answer_of(b) == f"box {canonical(p)}") for p, a, b in pairs]
    count = len(pairs)
    result = {
        "problems": count,
        "changed_answer": intervals.share(sum(answer_of(a) != answer_of(b) for _, a, b in pairs), count),
        "lost_right": intervals.share(sum(a and not b for a, b in right), count),
        "accuracy_whole": fmean(a for a, _ in right),
        "accuracy_policy": fmean(b for _, b in right),
        "thinking_ratio": sum(r["used"] for r in policy) / sum(r["used"] for r in whole),
        "sampled_ratio": sum(map(sampled, policy)) / sum(map(sampled, whole)),
        "probe_tokens_per_reply": fmean(r["probe_tokens"] for r in policy),
        "faults": sum(r["faults"] for r in [*whole, *policy]),
        "exited": fmean(r["reason"] == "converged" for r in policy),
        "metrics": {line.split()[0]: float(line.split()[-1]) for line in metrics if "_created" not in line},
    }
    runs.write_json(folder / "live.json", result)
    return result


def canonical(problem: Problem) -> str:
    """The right answer in canonical form, without its kind."""
    return canonical_answer(f"\\boxed{{{problem.answer}}}").removeprefix("box ")


def timed(folder: Path) -> dict[str, Any]:
    """Wall time of the arms, in alternating order, on the same problems."""
    ends = runs.read_json(folder / "ends.json")
    test = new_problems(folder)
    result: dict[str, Any] = {}
    with server(None) as plain, server(folder / "exit-policy.json") as exiting:
        arms: dict[str, tuple[tuple[str, int], Callable[[Problem], int]]] = {
            "whole": (plain, lambda _: -1),
            "exit alone": (plain, lambda problem: ends[problem.id]),
            "with probes": (exiting, lambda _: -1),
        }
        for (url, _), _budget in arms.values():
            asyncio.run(closed_loop(url, [(problem, -1) for problem in test[:40]], 8))
        rate = 0.0
        for load, size, rounds in (("1 stream", 30, 2), ("64 streams", 256, 2), ("fixed rate", 160, 1)):
            found: dict[str, list[Turn]] = {name: [] for name in arms}
            for number in range(rounds):
                chosen = test[number * size : (number + 1) * size]
                for name in list(arms)[:: -1 if number % 2 else 1]:
                    (url, pid), budget = arms[name]
                    asked = [(problem, budget(problem)) for problem in chosen]
                    run = (
                        arrivals(url, asked, rate)
                        if load == "fixed rate"
                        else closed_loop(url, asked, int(load.split()[0]))
                    )
                    before = cpu_seconds(pid)
                    found[name].append((*asyncio.run(run), cpu_seconds(pid) - before))
            result[load] = compared(found)
            runs.write_json(folder / "time.json", result)
            if load == "64 streams":
                rate = 0.5 * 2 * size / sum(seconds for _, seconds, _ in found["whole"])
                result["arrivals per second"] = rate
    runs.write_json(folder / "time.json", result)
    return result


Turn = tuple[list[Reply], float, float]
"""The replies, the seconds in all, and the processor time of the server."""


def compared(found: Mapping[str, Sequence[Turn]]) -> dict[str, Any]:
    """Time and tokens of each arm, and the shares saved against whole thoughts."""
    rows: dict[str, dict[str, Any]] = {}
    for name, turns in found.items():
        replies = [reply for turn, _, _ in turns for reply in turn]
        times = sorted(reply["seconds"] for reply in replies)
        rows[name] = {
            "replies": len(replies),
            "seconds": sum(seconds for _, seconds, _ in turns),
            "cpu_s": sum(cpu for _, _, cpu in turns),
            "mean_s": fmean(times),
            "p50_s": times[len(times) // 2],
            "p99_s": times[len(times) * 99 // 100],
            "sampled_tokens": fmean(map(sampled, replies)),
            "thinking_tokens": fmean(reply["used"] for reply in replies),
            "probe_tokens": fmean(reply["probe_tokens"] for reply in replies),
        }
    whole = rows["whole"]
    for row in rows.values():
        saved = {key: 1 - row[key] / whole[key] for key in (*TIMES, "sampled_tokens")}
        row["saved"] = saved
        if saved["sampled_tokens"]:
            row["time_over_tokens"] = {key: saved[key] / saved["sampled_tokens"] for key in TIMES}
    return rows


def shift(folder: Path) -> dict[str, Any]:
    """The server's monitor on streams with and without a shift."""
    result = simulate(folder, calibrate(folder))
    runs.write_json(folder / "shift.json", result)
    return result


def write(folder: Path) -> dict[str, Any]:
    """The committed result."""
    names = [name for name in ("calibration", "live", "time", "shift") if (folder / f"{name}.json").exists()]
    parts = {name: runs.read_json(folder / f"{name}.json") for name in names}
    result = {**record.environment(), "model": MODEL, "policy": POLICY, "every": EVERY, **parts}
    record.write("early_exit", rounded(result))
    return result


def rounded(value: Any) -> Any:
    """Numbers with four digits."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


PARTS = {"record": record_sweeps, "live": live, "time": timed, "shift": shift, "write": write}

if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        print(json.dumps(rounded(PARTS[sys.argv[1]](Path(sys.argv[2]))), indent=1))
