"""How do bytes go to a program and come back, at whatever pace it reads and writes?

The grader's ends of one run: real pipes for stdin, stdout, stderr and results, and the leash, over which the job goes
out and the keeper's report comes back. Cutting the leash ends the program. Nothing here waits without a limit.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from contextlib import suppress
from typing import Any

CHUNK = 1 << 18


class Pipes:
    """The descriptors of one run. Reports come over the `leash` in the order of the runs; `heard` is what came of later
    ones, and belongs to all runs of a leash together.
    """

    def __init__(self, leash: socket.socket, heard: bytearray, stdin: bytes) -> None:
        self._leash, self._heard, self._left = leash, heard, memoryview(stdin)
        pairs = [os.pipe() for _ in range(4)]
        self._stdin = pairs[0][1]
        self._reads = [pair[0] for pair in pairs[1:]]
        self._theirs = [pairs[0][0], *(pair[1] for pair in pairs[1:])]
        self._ours = {self._stdin, *self._reads}
        self.said: list[bytearray] = [bytearray() for _ in self._reads]
        """What came on stdout, on stderr, and of results."""
        self.report: dict[str, Any] = {}
        os.set_blocking(self._stdin, False)
        for number in self._theirs:
            os.fchmod(number, 0o666)  # the program is another user, and may open /dev/stdin

    def hand_over(self) -> None:
        """Give the program its ends, and as much of its stdin as fits."""
        socket.send_fds(self._leash, [b"+"], self._theirs)
        self._close_theirs()
        self._feed()

    def close(self) -> None:
        """Close every end that is open."""
        self._close_theirs()
        for number in list(self._ours):
            self._shut(number)

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def _shut(self, number: int) -> None:
        if number in self._ours:
            self._ours.remove(number)
            os.close(number)

    def exchange(self, most: int, until: float) -> str:
        """Feed the rest of stdin, collect up to `most` bytes of each output, and the report.

        Returns "" when the program has ended, "output" when one output is full, "silence" when `until` has come.
        """
        leash = self._leash.fileno()
        waiting = {*self._reads, leash}
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLIN)
        if self._stdin in self._ours:
            poll.register(self._stdin, select.POLLOUT)
        while waiting:
            if leash in waiting and self._reported():
                poll.unregister(leash)
                waiting.discard(leash)
                continue
            ready = poll.poll(max(0.0, 1000 * (until - time.monotonic())))
            if not ready:
                return "silence"
            for number, _ in ready:
                if not self._move(number):
                    poll.unregister(number)
                    waiting.discard(number)
            if any(len(one) > most for one in self.said):
                return "output"
        return ""

    def _reported(self) -> bool:
        """Take the report of this run, if it is there."""
        line, end, rest = self._heard.partition(b"\n")
        if end:
            self.report = json.loads(line)
            self._heard[:] = rest
        return bool(end)

    def _move(self, number: int) -> bool:
        """Write or read once; False when there is no more to come."""
        if number == self._stdin:
            return self._feed()
        if number in self._reads:
            data = os.read(number, CHUNK)
            self.said[self._reads.index(number)] += data
            return bool(data)
        with suppress(ConnectionResetError):
            data = self._leash.recv(CHUNK)
            self._heard += data
            return bool(data)
        return False

    def _feed(self) -> bool:
        """Write what fits; the end of stdin is closed after the last byte, or when nobody reads it any more."""
        try:
            while self._left:
                self._left = self._left[os.write(self._stdin, self._left[:CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._left = self._left[:0]
        number, self._stdin = self._stdin, -1
        self._shut(number)
        return False
