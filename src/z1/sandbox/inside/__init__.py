"""Code that runs inside the sandbox.

    syscalls.py        Linux calls that Python does not wrap
    seccomp.py         the seccomp filter: which system calls a program may make
    namespaces.py      namespaces, mounts and identities
    forkserver.py      a warm interpreter that forks a fresh sandbox process for each program
    memory.py          the memory of all processes of a sandbox process
    supervisor.py      process 1 of such a sandbox: sets limits, watches the program, reports how it ended
    run_program.py     runs a whole program on stdin and stdout
    run_function.py    calls a function with inputs
    run_unit_tests.py  runs unit tests on a solution

These modules import only the standard library and each other, since they also run under other interpreters
(`Sandbox(python=...)`) in which z1 is not installed.
"""
