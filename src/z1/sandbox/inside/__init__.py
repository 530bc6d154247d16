"""Code that runs inside the sandbox.

    syscalls.py            Linux calls that Python does not wrap
    seccomp.py             the seccomp filter: which system calls a program may make
    namespaces.py          namespaces, mounts and identities
    forkserver.py          a warm interpreter that forks a fresh sandbox process for each program
    memory.py              the memory of all processes of a sandbox process
    supervisor.py          process 1 of such a sandbox: sets limits, watches the program, reports how it ended
    run_program.py         runs a whole program on stdin and stdout
    run_function.py        calls a function with inputs
    outcomes.py            runs the tests of a module, and records the outcome of each
    run_separate_tests.py  runs unit tests in one process and the solution in another
    solution_proxy.py      the solution, as the tests see it there
    solution_server.py     the solution's process there
    values.py              values as JSON, for calls between the two
    channel.py             messages between the two
    run_shared_tests.py    runs unit tests and the solution in one process
    comparisons.py         comparisons of a solution's objects there

These modules import only the standard library and each other (and numpy where a program uses it), since they also run
under other interpreters (`Sandbox(python=...)`) in which z1 is not installed.
"""
