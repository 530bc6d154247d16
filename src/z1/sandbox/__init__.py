"""Runs programs that a model wrote: namespaces, system-call filter, resource limits, no network.

sandbox.py   the sandbox: runs jobs, returns outcomes
pool.py      shared sandboxes, one for each purpose
pipes.py     the pipes to a program
inside/      code that runs inside the sandbox
"""

from z1.sandbox.sandbox import Job, Outcome, ProgramEnd, ResourceLimits, Sandbox, SandboxFault

__all__ = ["Job", "Outcome", "ProgramEnd", "ResourceLimits", "Sandbox", "SandboxFault"]
