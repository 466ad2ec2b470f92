"""Calls of functions in other processes, each of which a hostile file may break without harm to others."""

import atexit
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from birads_app.compute.channel import Channel
from birads_app.compute.process import Limits
from birads_app.compute.turns import Turns, Urgency
from birads_app.logs import request_id
from birads_app.monitoring import instruments
from birads_app.terms.errors import ReadingEnded
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 900.0  # for one call, whatever the process waits for
_START_S = 60.0
_SOON_S = 10.0

Result = TypeVar("Result")


class ComputeFailed(RuntimeError):
    """The function raised an unexpected error, which the other process has logged."""


class NotStarted(ComputeFailed):
    """No process could be started: no fault of the file."""


class ComputePool:
    """Processes for calls, started when they are first needed.

    processes : at most so many calls at a time; with 0 calls run in the calling thread
    modules : loaded once, before processes are forked
    logging_options : level and format of the processes' log, as for :func:`birads_app.logs.configure_logging`
    limits : of each process
    """

    def __init__(
        self,
        processes: int,
        modules: Sequence[str] = (),
        logging_options: tuple[str, str] = ("INFO", "plain"),
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.processes = processes
        self._command = [sys.executable, "-m", "birads_app.compute.fork_server"]
        self._arguments = [json.dumps(asdict(limits)), *logging_options, *modules]
        self._turns: Turns[_Process | None] = Turns([None] * processes)
        self._lock = threading.Lock()
        self._closed = 0  # times
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Begin to load the modules, without waiting for it."""
        if self.processes:
            with self._lock:
                self._running_server()

    def run(self, function: Callable[..., Result], *given: Any, urgency: Urgency = Urgency.REQUEST) -> Result:
        """Call a function of a module in another process; waits for a free one.

        Parameters
        ----------
        given : arguments; shared bytes are not copied
        urgency : calls of a higher one come first

        Raises
        ------
        BiradsError, OSError
            Raised by the function; an OSError has no file name.
        ReadingEnded
            The process ended. If it did so soon, the call was repeated, as the system may have been short of memory.
        ComputeFailed
            The function raised another error; NotStarted if no process could be started.
        """
        if not self.processes:
            return function(*given)
        start = time.monotonic()
        try:
            kind, value = self._call(function, given, urgency)
        except ReadingEnded:
            if time.monotonic() - start > _SOON_S:
                raise
            kind, value = self._call(function, given, urgency)
        if kind == "raised":
            raise value
        if kind == "failed":
            raise ComputeFailed(f"{function.__qualname__}: {value}")
        return value

    def has_spare(self) -> bool:
        """Return True if a process is free for which no call waits."""
        return not self.processes or self._turns.has_spare()

    def _call(self, function: Callable[..., Any], given: tuple[Any, ...], urgency: Urgency) -> Any:
        """Return what :func:`birads_app.compute.process.call` returns in another process; raises ReadingEnded."""
        closed, ended = self._closed, True
        with instruments.timed("wait"):
            process = self._turns.take(urgency)
        try:
            if process is None or process.has_ended():
                process = self._fork()
            answer, ended = process.call(function, given)
        except ComputeFailed:
            raise
        except Exception as error:  # a process that was taken over may answer anything
            log.error("A process ended during %s: %s", function.__name__, type(error).__name__)
            raise ReadingEnded(msg("reading-ended")) from None
        finally:
            ended = ended or closed != self._closed
            if ended and process is not None:
                process.end()
            self._turns.give_back(None if ended else process)
        return answer

    def close(self) -> None:
        """End all idle processes, and what forks them; processes with a call end after it."""
        self._closed += 1
        for process in self._turns.take_free():
            if process is not None:
                process.end()
            self._turns.give_back(None)
        with self._lock:
            self._end_server()

    def _fork(self) -> "_Process":
        """Return a new process; the fork server is replaced once if it has ended. Raises NotStarted."""
        with self._lock:
            control = self._running_server()
        try:
            return _forked(control)
        except (OSError, EOFError):
            pass
        try:
            with self._lock:
                if self._control is control:  # no other thread has replaced it
                    self._end_server()
                control = self._running_server()
            return _forked(control)
        except (OSError, EOFError) as error:  # such as too many open files
            raise NotStarted(f"No process could be started: {type(error).__name__}") from None

    def _end_server(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            try:
                self._server.wait(_SOON_S)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        self._control = self._server = None

    def _running_server(self) -> socket.socket:
        """Return the connection to the fork server; start it if there is none."""
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                descriptor = theirs.fileno()
                self._server = subprocess.Popen(
                    [*self._command, str(descriptor), *self._arguments],
                    cwd=_ROOT,
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                )
            atexit.register(self.close)
        return self._control


def _forked(control: socket.socket) -> "_Process":
    """Return a new process of a fork server; raises OSError or EOFError if that has ended."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            socket.send_fds(control, [b"1"], [theirs.fileno()])
        return _Process(ours)
    except BaseException:
        ours.close()
        raise


class _Process:
    """A forked process, seen from the server."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_START_S)
        self._channel = Channel(connection)
        self._pid: int = self._channel.receive()
        connection.settimeout(_PATIENCE_S)

    def has_ended(self) -> bool:
        """Return True if an idle process has ended, for example because the system ran out of memory."""
        waiting = select.poll()  # accepts any number of a descriptor
        waiting.register(self._channel.connection, select.POLLIN)
        return bool(waiting.poll(0))

    def call(self, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        """Return what the process answers."""
        self._channel.send((function, given, request_id.get()))
        return self._channel.receive()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._channel.connection.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
