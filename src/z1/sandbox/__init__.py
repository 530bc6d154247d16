"""Runs programs that a model wrote: namespaces, system-call filter, resource limits, no network.

sandbox.py   jobs in, outcomes out    pool.py   several sandboxes    pipes.py   the pipes to a program
inside/      what runs inside
"""

from z1.sandbox.sandbox import Job, Outcome, ProgramEnd, ResourceLimits, Sandbox, SandboxFault

__all__ = ["Job", "Outcome", "ProgramEnd", "ResourceLimits", "Sandbox", "SandboxFault"]
