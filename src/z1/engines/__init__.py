"""Who computes the ids?

    protocol.py   what z1 asks of an engine: sessions that sample, take forced ids, fork, and can be interrupted
    drive.py      who carries the messages between a window and a session
    exits.py      what may end a thought early: circles, and an answer that stays the same
    scripted.py   a model whose thoughts are written down, for tests and examples
    local.py      a transformers model in this process, with continuous batching
    apart.py      any of them in a process of its own
    slots.py      which context has which place in the store of keys and values
    decoder.py    how a step of a Qwen2, Qwen3 or Llama is computed
    general.py    how a step of any other decoder is computed, slower
    choose.py     which ids come next
    weights.py    where weights come from, and which family a model is
    vllm_sessions.py   vLLM in this process, by its resumable requests
    remote.py     any server that speaks OpenAI's API
    cutting.py    how something that is being waited for is given up
    guide.py      which id must come next, where somebody else does the sampling
    masks.py      how an id is forced by its logits
    vllm_request.py, vllm_rows.py, vllm_window.py   windows inside a stock vLLM server: asked for, followed, loaded

Verbs know `protocol` and `drive`; only the door picks an engine. Importing this package loads nothing heavy.
"""

from z1.engines.driver import Control, DriverOptions, drive, tell
from z1.engines.early_exit import Convergence, ExitRule, Probe, RepetitionExit
from z1.engines.protocol import Capabilities, Engine, ForbiddenSequences, Logprob, Reason, Sampled, Sampling, Session

__all__ = [
    "Capabilities",
    "Control",
    "Convergence",
    "DriverOptions",
    "Engine",
    "ExitRule",
    "ForbiddenSequences",
    "Logprob",
    "Probe",
    "Reason",
    "RepetitionExit",
    "Sampled",
    "Sampling",
    "Session",
    "drive",
    "tell",
]
