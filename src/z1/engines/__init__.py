"""Engines: what runs a model, behind one async protocol.

    protocol.py       Engine and Session; sampling parameters, log-probabilities, capabilities
    driver.py         run_flow: runs one Flow of a window on one Session, with deadline and early exit
    early_exit.py     rules that end a thought early
    answer_exit.py    probes, and the rule that ends a thought whose probed answer is sure
    cancellation.py   cancelling what an interrupted sample waits for
    local/            a transformers model in this process, with a KV cache and continuous batching
    remote/           any server with OpenAI's API
    vllm_engine.py    vLLM in this process, by its resumable requests
    vllm_params.py    thinking budgets in requests to a vLLM server (`vllm_xargs`)
    logit_mask.py     forcing and forbidding tokens in logits
    scripted.py       an engine without weights, for tests and examples

The verbs import `protocol` and `driver`; `llm`, `pipeline` and `cli` choose an engine. Importing this package loads no
heavy library.
"""

from z1.engines.answer_exit import AnswerExit, Probe, forced_confidence, probe_sampling, scored_sampling
from z1.engines.driver import Allowance, Control, DriverOptions, run_flow, update_flow
from z1.engines.early_exit import ExitRule
from z1.engines.protocol import (
    Capabilities,
    Conversation,
    Engine,
    FinishReason,
    ForbiddenSequences,
    Logprob,
    Sampled,
    Sampling,
    Session,
    ToolPart,
)

__all__ = [
    "Allowance",
    "AnswerExit",
    "Capabilities",
    "Control",
    "Conversation",
    "DriverOptions",
    "Engine",
    "ExitRule",
    "FinishReason",
    "ForbiddenSequences",
    "Logprob",
    "Probe",
    "Sampled",
    "Sampling",
    "Session",
    "ToolPart",
    "forced_confidence",
    "probe_sampling",
    "run_flow",
    "scored_sampling",
    "update_flow",
]
