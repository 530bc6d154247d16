"""The pipes to a program: stdin, stdout, stderr, results, and the control socket.

The grader's ends of one run. The job is sent over the control socket, and the supervisor's report is received over it;
closing it ends the program. A program may read and write at any pace; nothing here waits without a limit.
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
    """The descriptors of one run. The runs of a control socket share `unread`, the bytes received after this run's
    report: reports arrive in the order of the runs.
    """

    def __init__(self, control: socket.socket, unread: bytearray, stdin: bytes) -> None:
        self._control, self._unread, self._unsent = control, unread, memoryview(stdin)
        pairs = [os.pipe() for _ in range(4)]
        self._stdin = pairs[0][1]
        self._reads = [pair[0] for pair in pairs[1:]]
        self._program_ends = [pairs[0][0], *(pair[1] for pair in pairs[1:])]
        self._own_ends = {self._stdin, *self._reads}
        self.received: list[bytearray] = [bytearray() for _ in self._reads]
        """The bytes from stdout, stderr and results."""
        self.report: dict[str, Any] = {}
        os.set_blocking(self._stdin, False)
        for number in self._program_ends:
            os.fchmod(number, 0o666)  # the program runs as another user and may open /dev/stdin

    def send(self) -> None:
        """Send the program its ends, and write as much of its stdin as fits."""
        socket.send_fds(self._control, [b"+"], self._program_ends)
        self._close_program_ends()
        self._write_stdin()

    def close(self) -> None:
        """Close all open ends."""
        self._close_program_ends()
        for number in list(self._own_ends):
            self._close(number)

    def _close_program_ends(self) -> None:
        while self._program_ends:
            os.close(self._program_ends.pop())

    def _close(self, number: int) -> None:
        if number in self._own_ends:
            self._own_ends.remove(number)
            os.close(number)

    def communicate(self, max_output: int, deadline: float) -> str:
        """Write the rest of stdin, read up to `max_output` bytes of each output, and read the report.

        Returns "" when the program has ended, "output" when an output is too long, "timeout" at `deadline`, a time of
        the monotonic clock.
        """
        control = self._control.fileno()
        waiting = {*self._reads, control}
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLIN)
        if self._stdin in self._own_ends:
            poll.register(self._stdin, select.POLLOUT)
        while waiting:
            if control in waiting and self._take_report():
                poll.unregister(control)
                waiting.discard(control)
                continue
            ready = poll.poll(max(0.0, 1000 * (deadline - time.monotonic())))
            if not ready:
                return "timeout"
            for number, _ in ready:
                if not self._transfer(number):
                    poll.unregister(number)
                    waiting.discard(number)
            if any(len(data) > max_output for data in self.received):
                return "output"
        return ""

    def _take_report(self) -> bool:
        """Take the report of this run, if it has arrived."""
        line, end, rest = self._unread.partition(b"\n")
        if end:
            self.report = json.loads(line)
            self._unread[:] = rest
        return bool(end)

    def _transfer(self, number: int) -> bool:
        """Write or read once; returns False at the end of the stream."""
        if number == self._stdin:
            return self._write_stdin()
        if number in self._reads:
            data = os.read(number, CHUNK)
            self.received[self._reads.index(number)] += data
            return bool(data)
        with suppress(ConnectionResetError):
            data = self._control.recv(CHUNK)
            self._unread += data
            return bool(data)
        return False

    def _write_stdin(self) -> bool:
        """Write what fits; closes stdin after the last byte, or when the program has closed its end."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._stdin, self._unsent[:CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._unsent = self._unsent[:0]
        number, self._stdin = self._stdin, -1
        self._close(number)
        return False
