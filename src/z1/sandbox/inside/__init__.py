"""What runs inside the sandbox?

    kernel.py    the calls to Linux that Python has no names for
    filter.py    which system calls a program may make
    walls.py     the room: namespaces, mounts, identities
    server.py    a warm interpreter that forks a fresh room for every program
    keeper.py    the first process of such a room: limits, the clock, and the report of how it ended
    program.py   a whole program on stdin and stdout
    calls.py     a function, called with inputs
    units.py     unit tests

These modules import the standard library and each other only, since they also run under another interpreter than z1's
(`Sandbox(python=...)`), in which z1 is not installed.
"""
